import { accountGroupDocument } from "@errand/proto/rest";
import * as z from "zod";
import { verb } from "../verb.ts";

export const groupCreate = verb({
	name: "group create",
	summary: "Make a group of people, which you administer",
	arguments: [{ name: "group", summary: "a letter, then letters, digits, and . _ -" }],
	options: [{ flags: "--description <text>", summary: "for people" }],
	examples: [["errand group create astro", "then: errand group add astro bob"]],
	input: z.object({ group: z.string(), description: z.string().max(1024).optional() }),
	output: accountGroupDocument,
	json: "document",
	show: ({ name }, screen) =>
		screen.line(`Made group ${screen.style("bold", name)}. Next: errand group add ${name} USER`),
	ids: ({ id }) => [id],
	async *run(context, { group, description }) {
		const client = await context.client();
		yield await client.sharing.createGroup(group, description);
	},
});
