import * as z from "zod";
import { findProgram, runProgram } from "../child-program.ts";
import { configuredEndpoint } from "../endpoint-files.ts";
import { verb } from "../verb.ts";

export const endpointScript = verb({
	name: "endpoint script",
	summary: "Print the batch script that an endpoint hands to its scheduler",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	options: [{ flags: "--queue <name>", summary: "a queue of its config.yaml; the first one unless told" }],
	examples: [
		["errand endpoint script local", "exactly as it is submitted, but for the block's token"],
		["errand endpoint script polaris --queue debug", "of another queue"],
	],
	input: z.object({ name: z.string(), queue: z.string().optional() }),
	output: z.object({ name: z.string(), script: z.string() }),
	json: "document",
	show: ({ script }, screen) => screen.line(script.trimEnd()),
	ids: ({ name }) => [name],
	async *run(context, { name, queue }) {
		const { directory } = configuredEndpoint(context.home, name);
		const script = runProgram({
			name: "errand-endpoint script",
			program: findProgram("endpoint", context.environment),
			arguments: ["script", directory, ...(queue === undefined ? [] : [`--queue=${queue}`])],
			environment: context.environment,
		});
		yield { name, script };
	},
});
