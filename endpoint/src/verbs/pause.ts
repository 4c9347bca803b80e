/** No further blocks until somebody lets the endpoint go on: a file that the daemon watches. */
import { hostname, userInfo } from "node:os";
import { readPause, removePause, writePause } from "../blocks/pause-file.ts";
import { exitStatus } from "../service/exit-status.ts";

export async function pause(directory: string, reason: string | undefined): Promise<number> {
	const says = reason ?? `somebody (${userInfo().username} on ${hostname()}) paused it`;
	await writePause(directory, { reason: says, since: new Date().toISOString(), by: "person" });
	process.stdout.write(`${JSON.stringify({ paused: says })}\n`);
	return exitStatus.ok;
}

export async function resume(directory: string): Promise<number> {
	const was = await readPause(directory);
	await removePause(directory);
	process.stdout.write(`${JSON.stringify({ was: was?.reason ?? null })}\n`);
	return exitStatus.ok;
}
