import * as z from "zod";
import { health, localCloudUrl, runningCloud } from "../cloud-process.ts";
import { formatAge } from "../duration.ts";
import { stateColours } from "../screen.ts";
import { verb } from "../verb.ts";

const cloudStatusDocument = z.object({
	url: z.string(),
	state: z.enum(["ready", "starting", "stopped"]),
	says: z.string(),
	pid: z.int().nullable(),
	started_at: z.iso.datetime().nullable(),
});

export const cloudStatus = verb({
	name: "cloud status",
	summary: "Show whether the cloud of this machine runs and is ready",
	options: [{ flags: "--cloud <url>", summary: "another cloud" }],
	examples: [["errand cloud status", "exit status 0 when it is ready, 5 when it is not"]],
	input: z.object({ cloud: z.url().optional() }),
	output: cloudStatusDocument,
	json: "document",
	show: (value, screen) =>
		screen.pairs([
			["cloud", value.url],
			["state", screen.style(value.state === "ready" ? "green" : stateColours.stopped, value.state)],
			["says", value.state === "ready" ? undefined : value.says],
			["process", value.pid === null ? undefined : String(value.pid)],
			[
				"running for",
				value.started_at === null ? undefined : formatAge(Date.parse(value.started_at), Date.now()).replace(" ago", ""),
			],
		]),
	ids: (value) => [value.state],
	exit: (value) => (value.state === "ready" ? undefined : "unreachable"),
	async *run(context, { cloud }): AsyncGenerator<z.infer<typeof cloudStatusDocument>> {
		const url = cloud?.replace(/\/+$/, "") ?? localCloudUrl(context.home, context.environment);
		const found = await health(url);
		const record = cloud === undefined ? runningCloud(context.home) : undefined;
		yield {
			url,
			state: found.ready ? "ready" : found.alive || record ? "starting" : "stopped",
			says: found.says,
			pid: record?.pid ?? null,
			started_at: record?.started_at ?? null,
		};
	},
});
