import * as z from "zod";
import { approveDevice, operatorTokenOf } from "../operator.ts";
import { verb } from "../verb.ts";

const defaultCloud = "http://localhost:5000";

export const login = verb({
	name: "login",
	summary: "Log in to a cloud with a code that a browser confirms",
	options: [
		{ flags: "--cloud <url>", summary: `the cloud's address (default ${defaultCloud}, or ERRAND_CLOUD_URL)` },
		{
			flags: "--fresh",
			summary: "give the password again, for endpoints that want a recent login, even where the browser remembers it",
		},
		{
			flags: "--approve-as <user>",
			summary: "confirm as this account, with the operator token of the cloud whose state is on this machine",
		},
	],
	examples: [
		["errand login --cloud https://errand.example.org", "prints an address and a code to type there"],
		["errand login --approve-as alice", "the cloud runs on this machine under your own account: no browser needed"],
	],
	input: z.object({
		cloud: z.url().optional(),
		fresh: z.boolean().default(false),
		approveAs: z.string().min(1).optional(),
	}),
	output: z.object({ cloud_url: z.url(), username: z.string(), id: z.uuid() }),
	json: "document",
	show: (value, screen) => screen.line(`Logged in to ${value.cloud_url} as ${screen.style("bold", value.username)}.`),
	ids: (value) => [value.id],
	async *run(context, { cloud, fresh, approveAs }) {
		const cloudUrl = (cloud ?? (context.environment.ERRAND_CLOUD_URL || defaultCloud)).replace(/\/+$/, "");
		const operatorToken = approveAs === undefined ? undefined : operatorTokenOf(context.home);
		const me = await context.login(cloudUrl, { fresh }, async (prompt) => {
			if (approveAs !== undefined && operatorToken !== undefined) {
				await approveDevice(cloudUrl, operatorToken, prompt.userCode, approveAs);
				return;
			}
			context.note(`Open   ${prompt.verificationUrl}\nand enter the code   ${prompt.userCode}`);
			context.note("Waiting for the confirmation (Ctrl-C gives up) …");
		});
		yield { cloud_url: cloudUrl, username: me.username, id: me.id };
	},
});
