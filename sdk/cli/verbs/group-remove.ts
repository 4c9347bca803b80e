import * as z from "zod";
import { verb } from "../verb.ts";

export const groupRemove = verb({
	name: "group remove",
	summary: "Take people out of a group that you administer; without a name, leave it",
	arguments: [
		{ name: "group", summary: "name or id" },
		{ name: "users", takes: "any", summary: "usernames or ids" },
	],
	examples: [
		["errand group remove astro bob", "what is shared with astro is not for bob any more"],
		["errand group remove astro", "leave the group"],
	],
	input: z.object({ group: z.string(), users: z.array(z.string()).default([]) }),
	output: z.object({ group: z.string(), removed: z.array(z.string()) }),
	json: "document",
	show: ({ group, removed }, screen) => screen.line(`Not in group ${group} any more: ${removed.join(", ")}.`),
	ids: ({ removed }) => removed,
	async *run(context, { group, users }) {
		const client = await context.client();
		const removed = users.length === 0 ? [(await client.whoami()).username] : users;
		for (const user of removed) await client.sharing.removeMember(group, user);
		yield { group, removed };
	},
});
