import * as z from "zod";
import { Complaint } from "../complaint.ts";
import { configuredEndpoint } from "../endpoint-files.ts";
import { launchEndpoint, runEndpoint } from "../endpoint-process.ts";
import { verb } from "../verb.ts";

const started = z.object({
	name: z.string(),
	state: z.enum(["started", "online", "stopped"]),
	pid: z.int().nullable(),
	log: z.string().nullable(),
});

export const endpointStart = verb({
	name: "endpoint start",
	summary: "Run an endpoint of this machine: here until Ctrl-C, or in the background",
	arguments: [{ name: "name", summary: "a configured endpoint", completes: "local-endpoint" }],
	options: [{ flags: "-d, --detach", summary: "in the background; returns when the cloud says that it is online" }],
	examples: [
		["errand endpoint start local", "in this terminal; Ctrl-C stops it"],
		["errand endpoint start local --detach", "in the background; its log: errand endpoint logs -f local"],
	],
	input: z.object({ name: z.string(), detach: z.boolean().default(false) }),
	output: started,
	json: "lines",
	endsOnInterrupt: true,
	show: (value, screen) => {
		if (value.state === "online") {
			screen.line(
				`Endpoint ${screen.style("bold", value.name)} is ${screen.style("green", "online")} (process ${value.pid}).`,
			);
			screen.note(`Next: errand run -e ${value.name} -- hostname`);
		} else screen.note(`Endpoint ${value.name} ${value.state}.`);
	},
	ids: (value) => (value.state === "stopped" ? [] : [value.name]),
	async *run(context, { name, detach }): AsyncGenerator<z.infer<typeof started>> {
		const files = configuredEndpoint(context.home, name);
		if (detach) {
			const pid = await launchEndpoint(context, await context.client(), files);
			yield { name, state: "online", pid, log: files.log };
			return;
		}
		const begun = Promise.withResolvers<number>();
		const ended = runEndpoint(context, files, begun.resolve);
		const pid = await Promise.race([begun.promise, ended.then(() => null)]);
		if (pid !== null) yield { name, state: "started", pid, log: null };
		const { code, signal } = await ended;
		if (code !== 0 && !context.signal.aborted)
			throw new Complaint("failed", `endpoint "${name}" ended with ${signal ?? `status ${code}`}`, {
				next: `errand endpoint doctor ${name}`,
			});
		yield { name, state: "stopped", pid: null, log: null };
	},
});
