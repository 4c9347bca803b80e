/** For tests: waiting for a process of which nobody here is the parent. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate } from "node:timers/promises";

const limitMs = 5000;

/** Resolves when there is no such process (a zombie has ended); throws when it lives on. */
export async function ended(pid: number): Promise<void> {
	if (!(pid > 1)) throw new Error(`${pid} is no process id`);
	const untilMs = Date.now() + limitMs;
	while (isAlive(pid)) {
		if (Date.now() > untilMs) throw new Error(`process ${pid} is still there`);
		await setImmediate();
	}
}

function isAlive(pid: number): boolean {
	try {
		return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
	} catch {
		return false;
	}
}

/** Processes that have this directory's name in their environment, or work in it. */
export function processesIn(directory: string): number[] {
	const isIn = (pid: string): boolean => {
		try {
			return (
				readFileSync(`/proc/${pid}/environ`, "latin1").includes(directory) ||
				readlinkSync(`/proc/${pid}/cwd`).startsWith(directory)
			);
		} catch {
			return false;
		}
	};
	const names = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
	return names.filter(isIn).map(Number);
}
