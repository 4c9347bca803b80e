import { randomBytes } from "node:crypto";
import { accountSummary } from "@errand/proto/rest";
import * as z from "zod";
import { Complaint } from "../complaint.ts";
import type { Context } from "../context.ts";
import { administrator } from "../operator.ts";
import { verb } from "../verb.ts";

export const cloudUserAdd = verb({
	name: "cloud user add",
	summary: "Make an account (the cloud's operator, or an administrator)",
	arguments: [{ name: "username", summary: "letters, digits, and . _ @ -" }],
	options: [
		{ flags: "--admin", summary: "an administrator" },
		{ flags: "--name <text>", summary: "the person's name" },
		{ flags: "--email <address>", summary: "the person's address" },
		{ flags: "--generate", summary: "make a password and print it, once" },
		{ flags: "--password-stdin", summary: "read the password from stdin" },
	],
	examples: [
		["errand cloud user add alice --admin", "asks for a password"],
		["errand cloud user add bob --generate", "prints a password to hand over"],
	],
	input: z
		.object({
			username: z.string(),
			admin: z.boolean().default(false),
			name: z.string().optional(),
			email: z.email().optional(),
			generate: z.boolean().default(false),
			passwordStdin: z.boolean().default(false),
		})
		.refine((input) => !(input.generate && input.passwordStdin), "--generate and --password-stdin exclude each other"),
	output: accountSummary.extend({
		/** Only with --generate, and only this once. */
		password: z.string().optional(),
	}),
	json: "document",
	show: (account, screen) => {
		screen.line(`Made ${account.admin ? "administrator" : "account"} ${screen.style("bold", account.username)}.`);
		if (account.password) screen.line(`Password (shown this once): ${account.password}`);
	},
	ids: (account) => [account.id],
	async *run(context, input) {
		const generated = input.generate ? makePassword() : undefined;
		const password =
			generated ?? (input.passwordStdin ? (await context.readInput()).replace(/\r?\n$/, "") : await askTwice(context));
		const client = await administrator(context);
		const account = await client.createAccount({
			username: input.username,
			password,
			admin: input.admin,
			...(input.name !== undefined && { name: input.name }),
			...(input.email !== undefined && { email: input.email }),
		});
		yield { ...account, ...(generated !== undefined && { password: generated }) };
	},
});

/** 120 bits in letters that are not mistaken for one another. */
function makePassword(): string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
	const letters = [...randomBytes(24)].map((byte) => alphabet[byte % 32]);
	return [0, 6, 12, 18].map((at) => letters.slice(at, at + 6).join("")).join("-");
}

async function askTwice(context: Context): Promise<string> {
	const password = await context.ask("Password: ", { secret: true });
	if ((await context.ask("Again: ", { secret: true })) === password) return password;
	throw new Complaint("usage", "the two passwords differ; nothing was made");
}
