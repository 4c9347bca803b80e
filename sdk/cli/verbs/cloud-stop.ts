import * as z from "zod";
import { stopCloud } from "../cloud-process.ts";
import { verb } from "../verb.ts";

export const cloudStop = verb({
	name: "cloud stop",
	summary: "Stop the cloud of this machine and wait until it has ended",
	examples: [["errand cloud stop", "endpoints go on working and report when it is back"]],
	input: z.object({}),
	output: z.object({ how: z.enum(["ended", "killed", "gone"]) }),
	json: "document",
	show: ({ how }, screen) => screen.line(outcomes[how]),
	ids: () => [],
	async *run(context) {
		yield { how: await stopCloud(context) };
	},
});

const outcomes = {
	ended: "The cloud has stopped.",
	killed: "The cloud did not stop in time and was killed; its state is safe.",
	gone: "No cloud was running here.",
} as const;
