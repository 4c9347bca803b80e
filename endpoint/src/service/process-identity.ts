/** Which process a number means: ids are used again, so a process is its id and the time it started. */
import { readFileSync } from "node:fs";

/** A text that no other process with this id has; undefined when there is no such process, or it is a zombie. */
export function processStart(pid: number): string | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The second field is the program's name in parentheses, and may hold anything.
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code !== "ENOENT" && code !== "ESRCH") throw error;
		return process.platform === "linux" ? undefined : startWithoutProc(pid);
	}
}

/** Without /proc only the id itself can be asked for. */
function startWithoutProc(pid: number): string | undefined {
	try {
		process.kill(pid, 0);
		return "unknown";
	} catch {
		return undefined;
	}
}

/** True when that very process lives. */
export function isAlive(pid: number, start: string): boolean {
	return processStart(pid) === start;
}
