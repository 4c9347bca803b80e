/** How much a process has computed, as opposed to waited. */
import { readFileSync } from "node:fs";

/** Linux tells in hundredths of a second, whatever its clock. */
const tickMs = 10;

/** Of all its threads; undefined when it is gone, or the system does not tell. */
export function processorTimeMs(pid: number): number | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		// The second field is the program's name in parentheses, and may hold anything.
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return (Number(fields[11]) + Number(fields[12])) * tickMs;
	} catch {
		return undefined;
	}
}
