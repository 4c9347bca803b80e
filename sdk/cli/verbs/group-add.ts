import { accountGroupDocument } from "@errand/proto/rest";
import * as z from "zod";
import { verb } from "../verb.ts";

export const groupAdd = verb({
	name: "group add",
	summary: "Put people into a group that you administer",
	arguments: [
		{ name: "group", summary: "name or id" },
		{ name: "users", takes: "many", summary: "usernames or ids" },
	],
	options: [{ flags: "--admin", summary: "they may change the group too" }],
	examples: [
		["errand group add astro bob carol", "what is shared with astro is shared with them"],
		["errand group add astro bob --admin", "also for one who is in it already"],
	],
	input: z.object({ group: z.string(), users: z.array(z.string()), admin: z.boolean().default(false) }),
	output: accountGroupDocument,
	json: "document",
	show: ({ name, members }, screen) => screen.line(`Group ${screen.style("bold", name)} has ${members} members.`),
	ids: ({ id }) => [id],
	async *run(context, { group, users, admin }) {
		const client = await context.client();
		for (const user of users) await client.sharing.setMember(group, user, { admin });
		yield await client.sharing.getGroup(group);
	},
});
