import * as z from "zod";
import { findProgram, runProgram } from "../child-program.ts";
import { configuredEndpoint } from "../endpoint-files.ts";
import { verb } from "../verb.ts";

export const endpointResume = verb({
	name: "endpoint resume",
	summary: "Let a paused endpoint ask its scheduler for blocks again",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	examples: [
		["errand endpoint resume local", "after the cause of the pause is mended: failures count from zero again"],
	],
	input: z.object({ name: z.string() }),
	output: z.object({ name: z.string(), was: z.string().nullable() }),
	json: "document",
	show: ({ name, was }, screen) =>
		screen.line(was === null ? `Endpoint ${name} was not paused.` : `Endpoint ${name} goes on. It was paused: ${was}`),
	ids: ({ name }) => [name],
	async *run(context, { name }) {
		const { directory } = configuredEndpoint(context.home, name);
		const text = runProgram({
			name: "errand-endpoint resume",
			program: findProgram("endpoint", context.environment),
			arguments: ["resume", directory],
			environment: context.environment,
		});
		yield { name, was: z.object({ was: z.string().nullable() }).parse(JSON.parse(text)).was };
	},
});
