import { authPolicy } from "@errand/proto/rest";
import * as z from "zod";
import { ruleInput, ruleOptions, rulesOf } from "../policy-rules.ts";
import { verb } from "../verb.ts";

export const policyCreate = verb({
	name: "policy create",
	summary: "Make an authentication policy: what an endpoint asks of the logins of whoever submits",
	arguments: [{ name: "policy", summary: "a name for people" }],
	options: [
		...ruleOptions,
		{ flags: "--project <id>", summary: "let the administrators of this project manage it too" },
	],
	examples: [
		[
			"errand policy create staff --include uni.edu,*.lab.org --max-age 8h",
			"then: authentication_policy in config.yaml",
		],
		["errand policy create no-guests --exclude guests.uni.edu", "everybody else is let in"],
	],
	input: z
		.object({ policy: z.string().min(1).max(256), ...ruleInput, project: z.uuid().optional() })
		.refine(
			({ include, exclude, maxAge }) => include !== undefined || exclude !== undefined || maxAge !== undefined,
			"say what it asks for: --include, --exclude or --max-age",
		),
	output: authPolicy,
	json: "document",
	show: ({ name, id }, screen) =>
		screen.line(
			`Made policy ${screen.style("bold", name)}. Next: put this into an endpoint's config.yaml, and restart it:\nauthentication_policy: ${id}`,
		),
	ids: ({ id }) => [id],
	async *run(context, input) {
		const client = await context.client();
		yield await client.authPolicies.create({
			name: input.policy,
			...rulesOf(input),
			...(input.project !== undefined && { project_id: input.project }),
		});
	},
});
