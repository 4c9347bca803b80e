import * as z from "zod";
import { administrator } from "../operator.ts";
import { verb } from "../verb.ts";

export const cloudUserAdmin = verb({
	name: "cloud user admin",
	summary: "Make an account an administrator of the cloud (the cloud's operator, or an administrator)",
	arguments: [{ name: "username", summary: "or the account's id" }],
	options: [{ flags: "--revoke", summary: "end it; one administrator always stays" }],
	examples: [
		["errand cloud user admin alice", "a second administrator"],
		["errand cloud user admin alice --revoke", "alice is an ordinary account again"],
	],
	input: z.object({ username: z.string(), revoke: z.boolean().default(false) }),
	output: z.object({ username: z.string(), admin: z.boolean() }),
	json: "document",
	show: ({ username, admin }, screen) =>
		screen.line(`${screen.style("bold", username)} is ${admin ? "an administrator" : "no administrator any more"}.`),
	ids: ({ username }) => [username],
	async *run(context, { username, revoke }) {
		const client = await administrator(context);
		await client.setAdministrator(username, !revoke);
		yield { username, admin: !revoke };
	},
});
