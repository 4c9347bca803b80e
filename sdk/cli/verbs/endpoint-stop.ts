import * as z from "zod";
import { configuredEndpoint } from "../endpoint-files.ts";
import { stopEndpoint } from "../endpoint-process.ts";
import { verb } from "../verb.ts";

export const endpointStop = verb({
	name: "endpoint stop",
	summary: "Stop an endpoint of this machine and wait until it has ended",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	examples: [["errand endpoint stop local", "its tasks that have not run wait for the next start"]],
	input: z.object({ name: z.string() }),
	output: z.object({ name: z.string(), how: z.enum(["ended", "killed", "gone"]) }),
	json: "document",
	show: ({ name, how }, screen) => screen.line(outcomes[how](name)),
	ids: ({ name }) => [name],
	async *run(context, { name }) {
		yield { name, how: await stopEndpoint(context, configuredEndpoint(context.home, name)) };
	},
});

const outcomes = {
	ended: (name: string) => `Endpoint ${name} has stopped.`,
	killed: (name: string) => `Endpoint ${name} did not stop in time and was killed.`,
	gone: (name: string) => `Endpoint ${name} was not running on this machine.`,
};
