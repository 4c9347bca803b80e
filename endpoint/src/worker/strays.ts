/** Processes that a task started and left behind, wherever they went: found by a marker that children inherit. */
import { readdirSync, readFileSync } from "node:fs";

/** Set by the manager in a worker's environment, unique to the worker. Nobody but its descendants carries it. */
export const workerMarker = "ERRAND_WORKER_ID";

/** A process may fork while the list is read; after this many rounds the rest is a fork bomb that only SIGKILL races. */
const roundLimit = 10;

/**
 * Kills every process whose environment says `ERRAND_WORKER_ID=<workerId>`, and the children of `spared`, not itself. Returns how many there were.
 * Costs one read per process of the machine, so it is done only on a kill or when something was started.
 */
export function killStrays(workerId: string, spared: number, signal: NodeJS.Signals = "SIGKILL"): number {
	let killed = 0;
	for (let round = 0; round < roundLimit; round++) {
		const found = findStrays(workerId, spared);
		if (found.length === 0) break;
		for (const pid of found) killed += signalProcess(pid, signal) ? 1 : 0;
		if (signal !== "SIGKILL") break;
	}
	return killed;
}

function findStrays(workerId: string, spared: number): number[] {
	const marker = `${workerMarker}=${workerId}\0`;
	let names: string[];
	try {
		names = readdirSync("/proc");
	} catch {
		return []; // no /proc on this system: process groups are all there is
	}
	const isStray = (pid: string): boolean => {
		const environment = read(`/proc/${pid}/environ`);
		// Between its fork and the end of its exec a process shows no environment: its parent tells then.
		return environment === "" ? spared > 0 && parentOf(pid) === spared : environment.includes(marker);
	};
	return names.filter((name) => /^\d+$/.test(name) && Number(name) !== spared && isStray(name)).map(Number);
}

/** 0 for a process that has ended. */
function parentOf(pid: string): number {
	const stat = read(`/proc/${pid}/stat`);
	const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return state === "Z" || state === "X" ? 0 : Number(parent ?? 0);
}

function read(path: string): string {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return ""; // ended meanwhile, or another user's
	}
}

/** False when there is no such process or group (a negative pid is a group). */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
	try {
		return process.kill(pid, signal);
	} catch {
		return false;
	}
}
