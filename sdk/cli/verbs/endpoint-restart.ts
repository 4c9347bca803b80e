import * as z from "zod";
import { configuredEndpoint } from "../endpoint-files.ts";
import { launchEndpoint, stopEndpoint } from "../endpoint-process.ts";
import { verb } from "../verb.ts";

const restarted = z.object({ name: z.string(), state: z.literal("online"), pid: z.int(), log: z.string() });

export const endpointRestart = verb({
	name: "endpoint restart",
	summary: "Stop an endpoint of this machine and start it again in the background",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	examples: [["errand endpoint restart local", "after a change of its config.yaml"]],
	input: z.object({ name: z.string() }),
	output: restarted,
	json: "document",
	show: (value, screen) =>
		screen.line(
			`Endpoint ${screen.style("bold", value.name)} is ${screen.style("green", "online")} (process ${value.pid}).`,
		),
	ids: (value) => [value.name],
	async *run(context, { name }): AsyncGenerator<z.infer<typeof restarted>> {
		const files = configuredEndpoint(context.home, name);
		const client = await context.client();
		await stopEndpoint(context, files);
		yield { name, state: "online", pid: await launchEndpoint(context, client, files), log: files.log };
	},
});
