/** Resident memory of a process and its descendants. */
import { readFileSync } from "node:fs";

const pageBytes = 4096;
const depthLimit = 16;

/** Bytes; 0 where the kernel does not tell. */
export function residentBytes(pid: number, depth = 0): number {
	const pages = Number(read(`/proc/${pid}/statm`).split(" ")[1] ?? 0);
	const children = depth < depthLimit ? read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean) : [];
	return children.reduce((sum, child) => sum + residentBytes(Number(child), depth + 1), pages * pageBytes);
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8").trim();
	} catch {
		return "";
	}
}
