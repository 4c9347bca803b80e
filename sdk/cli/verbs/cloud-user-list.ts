import { accountSummary } from "@errand/proto/rest";
import * as z from "zod";
import { administrator } from "../operator.ts";
import { allPages, collected } from "../selector.ts";
import { verb } from "../verb.ts";

export const cloudUserList = verb({
	name: "cloud user list",
	summary: "List the accounts (the cloud's operator, or an administrator)",
	examples: [["errand cloud user list", "everybody who can log in"]],
	input: z.object({}),
	output: z.object({ accounts: z.array(accountSummary) }),
	json: "document",
	show: ({ accounts }, screen) =>
		screen.table(
			accounts,
			[
				{ title: "account", cell: (row) => row.username },
				{ title: "name", cell: (row) => row.name },
				{ title: "email", cell: (row) => row.email },
				{ title: "administrator", cell: (row) => (row.admin ? "yes" : "") },
				{ title: "since", cell: (row) => row.created_at.slice(0, 10) },
			],
			"No accounts. Next: errand cloud user add NAME --admin",
		),
	ids: ({ accounts }) => accounts.map((row) => row.id),
	async *run(context) {
		const client = await administrator(context);
		const accounts = await collected(
			allPages((cursor) => client.listAccounts({ limit: 500, ...cursor }), Number.POSITIVE_INFINITY),
		);
		yield { accounts };
	},
});
