import { resolve } from "node:path";
import * as z from "zod";
import { findProgram, runProgram } from "../child-program.ts";
import { configuredEndpoint } from "../endpoint-files.ts";
import { verb } from "../verb.ts";

const rendered = z.object({
	account: z.object({ uname: z.string(), uid: z.number(), gid: z.number(), dir: z.string() }),
	identity: z.string(),
	config: z.string(),
});

export const endpointRender = verb({
	name: "endpoint render",
	summary: "Print the configuration that a person's endpoint gets from the template of this one",
	arguments: [{ name: "name", summary: "a configured endpoint with a template", completes: "local-endpoint" }],
	options: [
		{ flags: "--identity <who>", summary: "a user name, or identities as JSON, or a file of them (default: you)" },
		{ flags: "--user-config <json>", summary: "what the person asks for: JSON, or a file of JSON or YAML" },
		{ flags: "--user-runtime <json>", summary: "what the person's client says about itself, likewise" },
	],
	examples: [
		["errand endpoint render cluster --identity ada@example.org", "the account is told on stderr"],
		[`errand endpoint render cluster --user-config '{"max_blocks": 4}'`, "as it is filled in with these values"],
	],
	input: z.object({
		name: z.string(),
		identity: z.string().optional(),
		userConfig: z.string().optional(),
		userRuntime: z.string().optional(),
	}),
	output: rendered.extend({ name: z.string() }),
	json: "document",
	show: ({ account: { uname, uid, gid, dir }, config }, screen) => {
		screen.note(`as ${uname} (uid ${uid}, gid ${gid}), at home in ${dir}`);
		screen.line(config.trimEnd());
	},
	ids: ({ name }) => [name],
	async *run(context, { name, identity, userConfig, userRuntime }) {
		const { directory } = configuredEndpoint(context.home, name);
		const given = (flag: string, text: string | undefined): string[] =>
			text === undefined ? [] : [`--${flag}=${/^\s*[{[]/.test(text) ? text : resolve(context.workingDirectory, text)}`];
		const words = [
			...(identity === undefined ? [] : [`--identity=${identity}`]),
			...given("user-config", userConfig),
			...given("user-runtime", userRuntime),
		];
		const said = runProgram({
			name: "errand-endpoint render",
			program: findProgram("endpoint", context.environment),
			arguments: ["render", directory, ...words],
			environment: context.environment,
		});
		yield { name, ...rendered.parse(JSON.parse(said)) };
	},
});
