import * as z from "zod";
import { selectPolicy } from "../policy-rules.ts";
import { verb } from "../verb.ts";

export const policyDelete = verb({
	name: "policy delete",
	summary: "Delete an authentication policy that no endpoint has",
	arguments: [{ name: "policy", summary: "name or id" }],
	examples: [["errand policy delete staff", "refused while an endpoint is registered with it"]],
	input: z.object({ policy: z.string() }),
	output: z.object({ id: z.uuid(), name: z.string() }),
	json: "document",
	show: ({ name }, screen) => screen.line(`Deleted policy ${name}.`),
	ids: ({ id }) => [id],
	async *run(context, { policy }) {
		const client = await context.client();
		const { id, name } = await selectPolicy(client, policy);
		await client.authPolicies.delete(id);
		yield { id, name };
	},
});
