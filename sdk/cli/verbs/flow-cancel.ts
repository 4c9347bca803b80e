import { runDocument } from "@errand/proto/rest";
import * as z from "zod";
import { selectRun } from "../flow-selector.ts";
import { statusOf } from "../run-view.ts";
import { verb } from "../verb.ts";

export const flowCancel = verb({
	name: "flow cancel",
	summary: "End runs; their actions are asked to end",
	arguments: [{ name: "runs", takes: "many", summary: "ids, their first characters, or last" }],
	examples: [["errand flow cancel last", "the task that it waits for is cancelled too"]],
	input: z.object({ runs: z.array(z.string()).min(1) }),
	output: runDocument,
	json: "lines",
	show: (run, screen) => screen.line(`${run.run_id}  ${statusOf(run, screen)}  ${run.details.description}`),
	ids: (run) => [run.run_id],
	async *run(context, { runs }) {
		const client = await context.client();
		for (const text of runs) yield await client.flows.cancelRun((await selectRun(client, text)).run_id);
	},
});
