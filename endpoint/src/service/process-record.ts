/** `process.json` in the endpoint's directory: which process runs it, in the form that the command line reads. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processStart } from "./process-identity.ts";

const fileOf = (directory: string): string => join(directory, "process.json");

/** Says that this process runs the endpoint, unless whoever started it has said so. Inverse of {@link removeProcessRecord}. */
export function writeProcessRecord(directory: string, now: Date): void {
	if (isOurs(directory)) return;
	const record = { pid: process.pid, start: processStart(process.pid) ?? "unknown", started_at: now.toISOString() };
	const path = fileOf(directory);
	writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
	renameSync(`${path}.new`, path);
}

export function removeProcessRecord(directory: string): void {
	if (isOurs(directory)) rmSync(fileOf(directory), { force: true });
}

function isOurs(directory: string): boolean {
	try {
		return (JSON.parse(readFileSync(fileOf(directory), "utf8")) as { pid?: unknown }).pid === process.pid;
	} catch {
		return false;
	}
}
