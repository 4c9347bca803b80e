import * as z from "zod";
import { launchCloud, runCloud } from "../cloud-process.ts";
import { Complaint } from "../complaint.ts";
import { whole } from "../input.ts";
import type { ProcessRecord } from "../process-record.ts";
import { verb } from "../verb.ts";

const cloudState = z.object({
	state: z.enum(["started", "ready", "stopped"]),
	url: z.string().nullable(),
	pid: z.int().nullable(),
	log: z.string().nullable(),
});

export const cloudStart = verb({
	name: "cloud start",
	summary: "Run a cloud on this machine: here until Ctrl-C, or in the background",
	options: [
		{ flags: "-d, --detach", summary: "in the background; returns when it is ready" },
		{ flags: "-p, --port <port>", summary: "where it listens (default 5000, or ERRAND_CLOUD_PORT)" },
	],
	examples: [
		["errand cloud start --detach", "in the background; its state is in ~/.errand/cloud, or under ERRAND_HOME"],
		["errand cloud start --port 5001", "in this terminal; Ctrl-C stops it"],
	],
	input: z.object({ detach: z.boolean().default(false), port: whole(1, 65_535).optional() }),
	output: cloudState,
	json: "lines",
	endsOnInterrupt: true,
	show: (value, screen) => {
		if (value.state === "ready") {
			screen.line(`The cloud is ${screen.style("green", "ready")} at ${value.url} (process ${value.pid}).`);
			screen.note("Next: errand login");
		} else screen.note(value.state === "started" ? `Starting the cloud at ${value.url} …` : "The cloud has stopped.");
	},
	ids: (value) => (value.url === null ? [] : [value.url]),
	async *run(outer, { detach, port }): AsyncGenerator<z.infer<typeof cloudState>> {
		const context =
			port === undefined ? outer : { ...outer, environment: { ...outer.environment, ERRAND_CLOUD_PORT: String(port) } };
		if (detach) {
			yield { state: "ready", ...shown(await launchCloud(context)) };
			return;
		}
		const begun = Promise.withResolvers<ProcessRecord>();
		const ended = runCloud(context, begun.resolve);
		const record = await Promise.race([begun.promise, ended.then(() => undefined)]);
		if (record) yield { state: "started", ...shown(record) };
		const { code, signal } = await ended;
		if (code !== 0 && !context.signal.aborted)
			throw new Complaint("failed", `the cloud ended with ${signal ?? `status ${code}`}`, {
				next: "errand cloud doctor",
			});
		yield { state: "stopped", url: null, pid: null, log: null };
	},
});

const shown = ({ url, pid, log }: ProcessRecord) => ({ url: url ?? null, pid, log: log ?? null });
