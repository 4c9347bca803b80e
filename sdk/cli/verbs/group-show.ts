import { accountGroupDocument } from "@errand/proto/rest";
import * as z from "zod";
import { verb } from "../verb.ts";

export const groupShow = verb({
	name: "group show",
	summary: "Show who is in a group of yours",
	arguments: [{ name: "group", summary: "name or id" }],
	examples: [["errand group show astro", "its members"]],
	input: z.object({ group: z.string() }),
	output: accountGroupDocument,
	json: "document",
	show: ({ people }, screen) =>
		screen.table(
			people,
			[
				{ title: "member", cell: (row) => row.username },
				{ title: "administrator", cell: (row) => (row.admin ? "yes" : "") },
				{ title: "since", cell: (row) => row.added_at.slice(0, 10) },
			],
			"Nobody.",
		),
	ids: ({ people }) => people.map((row) => row.account_id),
	async *run(context, { group }) {
		const client = await context.client();
		yield await client.sharing.getGroup(group);
	},
});
