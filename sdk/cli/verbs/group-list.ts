import { accountGroupSummary } from "@errand/proto/rest";
import * as z from "zod";
import { allPages, collected } from "../selector.ts";
import { verb } from "../verb.ts";

export const groupList = verb({
	name: "group list",
	summary: "List the groups that you are in",
	examples: [["errand group list", "all of them"]],
	input: z.object({}),
	output: z.object({ groups: z.array(accountGroupSummary) }),
	json: "document",
	show: ({ groups }, screen) =>
		screen.table(
			groups,
			[
				{ title: "group", cell: (row) => row.name },
				{ title: "members", align: "right", cell: (row) => String(row.members) },
				{ title: "administrator", cell: (row) => (row.admin ? "yes" : "") },
				{ title: "since", cell: (row) => row.created_at.slice(0, 10) },
				{ title: "description", cell: (row) => row.description.slice(0, 60) },
			],
			"You are in no group. Next: errand group create NAME",
		),
	ids: ({ groups }) => groups.map((row) => row.id),
	async *run(context) {
		const client = await context.client();
		const groups = await collected(
			allPages((cursor) => client.sharing.listGroups({ limit: 500, ...cursor }), Number.POSITIVE_INFINITY),
		);
		yield { groups };
	},
});
