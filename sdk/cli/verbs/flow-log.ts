import { runLogEntry } from "@errand/proto/rest";
import * as z from "zod";
import { selectRun } from "../flow-selector.ts";
import { showEntry } from "../run-view.ts";
import { verb } from "../verb.ts";

export const flowLog = verb({
	name: "flow log",
	summary: "Print what happened in a run",
	arguments: [{ name: "run", summary: "its id, its first characters, or last" }],
	options: [{ flags: "--reverse", summary: "newest first" }],
	examples: [["errand flow log last --json", "with the inputs and outputs of its states"]],
	input: z.object({ run: z.string(), reverse: z.boolean().default(false) }),
	output: runLogEntry,
	json: "lines",
	show: showEntry,
	ids: () => [],
	async *run(context, { run: text, reverse }) {
		const client = await context.client();
		const { run_id: id } = await selectRun(client, text);
		let marker: string | null = null;
		do {
			const page: Awaited<ReturnType<typeof client.flows.runLog>> = await client.flows.runLog(id, {
				limit: 100,
				reverse,
				...(marker !== null && { marker }),
			});
			yield* page.entries;
			marker = page.marker;
		} while (marker !== null);
	},
});
