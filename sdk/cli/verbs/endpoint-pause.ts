import * as z from "zod";
import { findProgram, runProgram } from "../child-program.ts";
import { configuredEndpoint } from "../endpoint-files.ts";
import { verb } from "../verb.ts";

export const endpointPause = verb({
	name: "endpoint pause",
	summary: "Let an endpoint ask its scheduler for nothing more; what runs goes on",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	options: [{ flags: "--reason <text>", summary: "told to everybody whose tasks wait" }],
	examples: [
		["errand endpoint pause local", "tasks wait until it is resumed"],
		['errand endpoint pause local --reason "file system maintenance until 17:00"', "says why"],
	],
	input: z.object({ name: z.string(), reason: z.string().min(1).max(500).optional() }),
	output: z.object({ name: z.string(), paused: z.string() }),
	json: "document",
	show: ({ name, paused }, screen) => screen.line(`Endpoint ${name} is paused: ${paused}`),
	ids: ({ name }) => [name],
	async *run(context, { name, reason }) {
		const { directory } = configuredEndpoint(context.home, name);
		const text = runProgram({
			name: "errand-endpoint pause",
			program: findProgram("endpoint", context.environment),
			arguments: ["pause", directory, ...(reason === undefined ? [] : [`--reason=${reason}`])],
			environment: context.environment,
		});
		yield { name, paused: z.object({ paused: z.string() }).parse(JSON.parse(text)).paused };
	},
});
