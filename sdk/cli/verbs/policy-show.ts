import { authPolicy } from "@errand/proto/rest";
import * as z from "zod";
import { selectPolicy, showPolicy } from "../policy-rules.ts";
import { verb } from "../verb.ts";

export const policyShow = verb({
	name: "policy show",
	summary: "Show what an authentication policy asks for",
	arguments: [{ name: "policy", summary: "name or id" }],
	examples: [["errand policy show staff", "its rules, and how many endpoints have it"]],
	input: z.object({ policy: z.string() }),
	output: authPolicy,
	json: "document",
	show: showPolicy,
	ids: ({ id }) => [id],
	async *run(context, { policy }) {
		yield await selectPolicy(await context.client(), policy);
	},
});
