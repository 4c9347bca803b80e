import { runDocument, runStatuses } from "@errand/proto/rest";
import * as z from "zod";
import { allRuns, selectFlow } from "../flow-selector.ts";
import { whole } from "../input.ts";
import { showRuns } from "../run-view.ts";
import { collected } from "../selector.ts";
import { verb } from "../verb.ts";

const words = runStatuses.map((status) => status.toLowerCase());

export const flowRuns = verb({
	name: "flow runs",
	summary: "List runs, newest first",
	arguments: [
		{ name: "flow", takes: "optional", summary: "only of this flow: its id, its first characters, or its title" },
	],
	options: [
		{ flags: "-s, --status <statuses...>", summary: "only with these", choices: words },
		{ flags: "-n, --limit <count>", summary: "at most this many (default 20)" },
	],
	examples: [["errand flow runs --status failed", "those that failed"]],
	input: z.object({
		flow: z.string().optional(),
		status: z.array(z.enum(words as [string, ...string[]])).optional(),
		limit: whole(1, 10_000).default(20),
	}),
	output: z.object({ runs: z.array(runDocument), now: z.iso.datetime() }),
	json: "document",
	show: ({ runs, now }, screen) => showRuns(runs, now, screen),
	ids: ({ runs }) => runs.map((run) => run.run_id),
	async *run(context, { flow: text, status, limit }) {
		const client = await context.client();
		const flow = text === undefined ? undefined : await selectFlow(client, text);
		const statuses = runStatuses.filter((one) => status?.includes(one.toLowerCase()));
		const rows = allRuns(client, limit, { ...(flow && { flows: [flow.id] }), ...(status && { statuses }) });
		yield { runs: await collected(rows), now: new Date(context.now()).toISOString() };
	},
});
