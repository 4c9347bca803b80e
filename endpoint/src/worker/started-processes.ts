/** Notices that the running task started a process, so that what it leaves behind is looked for only then. */
import childProcess from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { syncBuiltinESMExports } from "node:module";

/** Calls `onStart` whenever code of this process starts another one, in whichever way node:child_process offers. */
export function watchStartedProcesses(onStart: () => void): void {
	subscribe("child_process", onStart);
	// The synchronous forms are not announced.
	for (const name of ["spawnSync", "execSync", "execFileSync"] as const) {
		const original = childProcess[name] as (...args: unknown[]) => unknown;
		Object.assign(childProcess, {
			[name]: (...args: unknown[]) => {
				onStart();
				return original(...args);
			},
		});
	}
	syncBuiltinESMExports();
}
