/** Keeps this worker, and what it starts from now on, on some processors. Node.js cannot itself: util-linux's program does. */
import { spawnSync } from "node:child_process";

let pinnedTo = "";

/** @param list "0-3,8"; undefined or the same as before: nothing is done. Where it cannot be done it is said on stderr, once. */
export function pinTo(list: string | undefined): void {
	if (list === undefined || list === pinnedTo) return;
	const isFirst = pinnedTo === "";
	pinnedTo = list;
	const { status, error, stderr } = spawnSync("taskset", ["-a", "-c", "-p", list, String(process.pid)]);
	if (status !== 0 && isFirst)
		process.stderr.write(
			`errand: this worker is on no processors of its own: ${error?.message ?? String(stderr).trim()}\n`,
		);
}
