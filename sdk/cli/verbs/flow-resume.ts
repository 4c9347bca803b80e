import { runDocument } from "@errand/proto/rest";
import * as z from "zod";
import { selectRun } from "../flow-selector.ts";
import { statusOf } from "../run-view.ts";
import { verb } from "../verb.ts";

export const flowResume = verb({
	name: "flow resume",
	summary: "Let inactive runs go on, when what they waited for has been put right",
	arguments: [{ name: "runs", takes: "many", summary: "ids, their first characters, or last" }],
	examples: [["errand flow resume last", "it says INACTIVE for what it waits: errand flow show last"]],
	input: z.object({ runs: z.array(z.string()).min(1) }),
	output: runDocument,
	json: "lines",
	show: (run, screen) => screen.line(`${run.run_id}  ${statusOf(run, screen)}  ${run.details.description}`),
	ids: (run) => [run.run_id],
	async *run(context, { runs }) {
		const client = await context.client();
		for (const text of runs) yield await client.flows.resumeRun((await selectRun(client, text)).run_id);
	},
});
