/** For tests: waiting for a process of which nobody here is the parent. */
import { readFileSync } from "node:fs";
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
