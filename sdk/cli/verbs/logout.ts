import * as z from "zod";
import { verb } from "../verb.ts";

export const logout = verb({
	name: "logout",
	summary: "Revoke and forget the tokens of the current cloud",
	examples: [["errand logout", "the cloud ends the tokens; the file that held them is rewritten without them"]],
	input: z.object({}),
	output: z.object({ cloud_url: z.string().nullable() }),
	json: "document",
	show: (value, screen) => screen.line(value.cloud_url ? `Logged out of ${value.cloud_url}.` : "Was not logged in."),
	ids: () => [],
	async *run(context) {
		yield { cloud_url: (await context.logout()) ?? null };
	},
});
