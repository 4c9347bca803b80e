import { authPolicy } from "@errand/proto/rest";
import * as z from "zod";
import { ruleInput, ruleOptions, rulesOf, selectPolicy, showPolicy } from "../policy-rules.ts";
import { verb } from "../verb.ts";

const rules = ["include", "exclude", "max-age"] as const;
const keys = {
	include: "domain_constraints_include",
	exclude: "domain_constraints_exclude",
	"max-age": "authentication_assurance_timeout",
} as const;

export const policyChange = verb({
	name: "policy change",
	summary: "Change what an authentication policy asks for; it counts within seconds",
	arguments: [{ name: "policy", summary: "name or id" }],
	options: [...ruleOptions, { flags: "--drop <rule>", summary: "take a rule away", choices: rules }],
	examples: [
		["errand policy change staff --max-age 15m", "what is not named stays"],
		["errand policy change staff --drop max-age", "a login of any age will do"],
	],
	input: z.object({ policy: z.string(), ...ruleInput, drop: z.enum(rules).optional() }),
	output: authPolicy,
	json: "document",
	show: showPolicy,
	ids: ({ id }) => [id],
	async *run(context, input) {
		const client = await context.client();
		const { id } = await selectPolicy(client, input.policy);
		yield await client.authPolicies.change(id, { ...rulesOf(input), ...(input.drop && { [keys[input.drop]]: null }) });
	},
});
