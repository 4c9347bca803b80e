import { runDocument } from "@errand/proto/rest";
import * as z from "zod";
import { selectRun } from "../flow-selector.ts";
import { verb } from "../verb.ts";

export const flowRerun = verb({
	name: "flow rerun",
	summary: "Repeat runs from the states at which they failed; what succeeded is kept",
	arguments: [{ name: "runs", takes: "many", summary: "ids, their first characters, or last" }],
	examples: [["errand flow rerun last", "a new run: of a Map only the items that failed"]],
	input: z.object({ runs: z.array(z.string()).min(1) }),
	output: runDocument,
	json: "lines",
	show: (run, screen) => screen.line(`${run.run_id}  repeats ${run.rerun_of}`),
	ids: (run) => [run.run_id],
	async *run(context, { runs }) {
		const client = await context.client();
		for (const text of runs) yield await client.flows.rerun((await selectRun(client, text)).run_id);
	},
});
