import * as z from "zod";
import { verb } from "../verb.ts";

export const groupDelete = verb({
	name: "group delete",
	summary: "Delete a group that you administer; what was shared with it is shared with nobody",
	arguments: [{ name: "group", summary: "name or id" }],
	examples: [["errand group delete astro", "its people keep their accounts"]],
	input: z.object({ group: z.string() }),
	output: z.object({ id: z.uuid(), name: z.string() }),
	json: "document",
	show: ({ name }, screen) => screen.line(`Deleted group ${name}.`),
	ids: ({ id }) => [id],
	async *run(context, { group }) {
		const client = await context.client();
		const { id, name } = await client.sharing.getGroup(group);
		await client.sharing.deleteGroup(id);
		yield { id, name };
	},
});
