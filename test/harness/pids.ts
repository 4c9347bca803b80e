import { readdirSync, readFileSync } from "node:fs";

/** Direct children of a process. */
export function childrenOf(pid: number): number[] {
	return readdirSync("/proc")
		.filter((entry) => /^\d+$/.test(entry))
		.map(Number)
		.filter((candidate) => parentOf(candidate) === pid);
}

/** A process and all that descends from it. */
export function treeOf(pid: number): number[] {
	return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

/** `/proc/PID/stat` after the command's name, which may itself hold blanks and brackets; undefined when it is gone. */
function stat(pid: number): string[] | undefined {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, "utf8");
		return text.slice(text.lastIndexOf(")") + 2).split(" ");
	} catch {
		return undefined;
	}
}

function parentOf(pid: number): number | undefined {
	const fields = stat(pid);
	return fields === undefined ? undefined : Number(fields[1]);
}

export function isAlive(pid: number): boolean {
	const state = stat(pid)?.[0];
	return state !== undefined && state !== "Z" && state !== "X";
}

const microsecondsPerTick = 10_000; // Linux on x86-64 and arm64 counts hundredths

/** CPU time that the processes have used so far, in microseconds. */
export function cpuUs(pids: readonly number[]): number {
	let ticks = 0;
	for (const pid of pids) {
		const fields = stat(pid);
		if (fields !== undefined) ticks += Number(fields[11]) + Number(fields[12]);
	}
	return ticks * microsecondsPerTick;
}

/** Memory that only these processes hold (proportional set size), in bytes. */
export function memoryBytes(pids: readonly number[]): number {
	let kibibytes = 0;
	for (const pid of pids) {
		try {
			kibibytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
		} catch {
			// ended meanwhile
		}
	}
	return kibibytes * 1024;
}

/** The command line, its arguments joined by blanks; empty when the process is gone. */
export function commandOf(pid: number): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
	} catch {
		return "";
	}
}
