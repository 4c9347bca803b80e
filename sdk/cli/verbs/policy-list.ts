import { authPolicy } from "@errand/proto/rest";
import * as z from "zod";
import { ageText, domainsText } from "../policy-rules.ts";
import { allPages, collected } from "../selector.ts";
import { verb } from "../verb.ts";

export const policyList = verb({
	name: "policy list",
	summary: "List your authentication policies, and those of projects that you administer",
	examples: [["errand policy list", "all of them"]],
	input: z.object({}),
	output: z.object({ policies: z.array(authPolicy) }),
	json: "document",
	show: ({ policies }, screen) =>
		screen.table(
			policies,
			[
				{ title: "policy", cell: (row) => row.name },
				{ title: "id", cell: (row) => row.id },
				{ title: "lets in", cell: (row) => domainsText(row.domain_constraints_include) },
				{ title: "keeps out", cell: (row) => domainsText(row.domain_constraints_exclude) },
				{ title: "login of the last", cell: ageText },
				{ title: "endpoints", align: "right", cell: (row) => String(row.endpoints) },
			],
			"You have no policies. Next: errand policy create NAME --include uni.edu",
		),
	ids: ({ policies }) => policies.map((row) => row.id),
	async *run(context) {
		const client = await context.client();
		const policies = await collected(
			allPages((cursor) => client.authPolicies.list({ limit: 500, ...cursor }), Number.POSITIVE_INFINITY),
		);
		yield { policies };
	},
});
