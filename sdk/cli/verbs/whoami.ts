import { whoami as whoamiDocument } from "@errand/proto/rest";
import * as z from "zod";
import { verb } from "../verb.ts";

export const whoami = verb({
	name: "whoami",
	summary: "Show who is logged in where",
	examples: [["errand whoami", "account, cloud and how long the token lasts"]],
	input: z.object({}),
	output: whoamiDocument.extend({ cloud_url: z.string() }),
	json: "document",
	show: (me, screen) =>
		screen.pairs([
			["account", `${me.username}${me.admin ? " (administrator)" : ""}`],
			["name", me.name],
			["email", me.email],
			["id", me.id],
			["cloud", me.cloud_url],
			["token until", me.expires_at],
		]),
	ids: (me) => [me.id],
	async *run(context) {
		const client = await context.client();
		yield { ...(await client.whoami()), cloud_url: client.cloudUrl };
	},
});
