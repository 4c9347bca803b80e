import * as z from "zod";
import { selectEither } from "../flow-selector.ts";
import { verb } from "../verb.ts";

export const flowDelete = verb({
	name: "flow delete",
	summary: "Delete flows, or runs that have ended; the runs of a deleted flow stay",
	arguments: [{ name: "flows-or-runs", takes: "many", summary: "ids, their first characters, or a flow's title" }],
	examples: [["errand flow delete analyse", "nobody can start it any more"]],
	input: z.object({ flowsOrRuns: z.array(z.string()).min(1) }),
	output: z.object({ kind: z.enum(["flow", "run"]), id: z.uuid() }),
	json: "lines",
	show: ({ kind, id }, screen) => screen.line(`Deleted ${kind} ${id}.`),
	ids: ({ id }) => [id],
	async *run(context, { flowsOrRuns }) {
		const client = await context.client();
		for (const text of flowsOrRuns) {
			const found = await selectEither(client, text);
			if ("run" in found) {
				await client.flows.releaseRun(found.run.run_id);
				yield { kind: "run" as const, id: found.run.run_id };
			} else {
				await client.flows.delete(found.flow.id);
				yield { kind: "flow" as const, id: found.flow.id };
			}
		}
	},
});
