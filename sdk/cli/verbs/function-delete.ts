import * as z from "zod";
import { selectFunction } from "../selector.ts";
import { verb } from "../verb.ts";

export const functionDelete = verb({
	name: "function delete",
	summary: "Delete a function; tasks that were submitted keep running",
	arguments: [
		{ name: "functions", takes: "many", summary: "ids, their first characters, or names", completes: "function" },
	],
	examples: [["errand function delete mean", "nobody can submit it any more"]],
	input: z.object({ functions: z.array(z.string()).min(1) }),
	output: z.object({ deleted: z.array(z.uuid()) }),
	json: "document",
	show: ({ deleted }, screen) => {
		for (const id of deleted) screen.line(`Deleted ${id}.`);
	},
	ids: ({ deleted }) => deleted,
	async *run(context, { functions }) {
		const client = await context.client();
		const deleted = [];
		for (const text of functions) {
			const id = await selectFunction(client, text);
			await client.deleteFunction(id);
			deleted.push(id);
		}
		yield { deleted };
	},
});
