import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import * as z from "zod";
import { type Check, checks, exitOfChecks, failedChecks, privacyCheck, showChecks, tryCheck } from "../check.ts";
import { findProgram } from "../child-program.ts";
import { health, localCloudUrl, refuseTakenPort, runningCloud } from "../cloud-process.ts";
import type { Context } from "../context.ts";
import { formatSize } from "../size.ts";
import { verb } from "../verb.ts";

/** A database that cannot write loses nothing, but accepts nothing either. */
const leastFreeBytes = 1024 ** 3;

export const cloudDoctor = verb({
	name: "cloud doctor",
	summary: "Look for what keeps the cloud of this machine from working",
	examples: [["errand cloud doctor", "checks process, port, files and disk; exit status 1 on a fault"]],
	input: z.object({}),
	output: checks,
	json: "document",
	show: showChecks,
	ids: failedChecks,
	exit: exitOfChecks,
	async *run(context) {
		const rows = [await tryCheck("program", () => findProgram("cloud", context.environment)), await answer(context)];
		if (existsSync(context.home.cloud))
			rows.push(
				privacyCheck("state directory", context.home.cloud),
				privacyCheck("operator token", context.home.operatorToken),
				await disk(context.home.cloud),
			);
		yield { checks: rows };
	},
});

async function answer(context: Context): Promise<Check> {
	const name = "cloud";
	const running = runningCloud(context.home);
	const url = localCloudUrl(context.home, context.environment);
	const found = await health(url);
	if (found.ready && running) return { name, state: "ok", says: `ready at ${url} (process ${running.pid})` };
	if (running)
		return { name, state: "fault", says: `process ${running.pid} runs, but: ${found.says}`, next: "errand cloud stop" };
	const port = await tryCheck(name, async () => {
		await refuseTakenPort(context.environment);
		return `not running; its port is free`;
	});
	return port.state === "ok" ? { ...port, state: "warning", next: "errand cloud start --detach" } : port;
}

async function disk(directory: string): Promise<Check> {
	const { bavail, bsize } = await statfs(directory);
	const free = bavail * bsize;
	const says = `${formatSize(free)} free at ${directory}`;
	return free >= leastFreeBytes
		? { name: "disk", state: "ok", says }
		: { name: "disk", state: "warning", says, next: "make room" };
}
