/** `process.json` in the endpoint's directory: which process runs it, in the form that the command line reads. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { isAlive, processStart } from "./process-identity.ts";

const record = z.object({ pid: z.int(), start: z.string() });

const fileOf = (directory: string): string => join(directory, "process.json");

/**
 * Says that this process runs the endpoint, unless whoever started it has said so, or another one that lives is named:
 * the lease decides which of the two goes on. Inverse of {@link removeProcessRecord}.
 */
export function writeProcessRecord(directory: string, now: Date): void {
	const named = read(directory);
	if (named?.pid === process.pid || (named !== undefined && isAlive(named.pid, named.start))) return;
	const ours = { pid: process.pid, start: processStart(process.pid) ?? "unknown", started_at: now.toISOString() };
	const path = fileOf(directory);
	writeFileSync(`${path}.new`, `${JSON.stringify(ours)}\n`, { mode: 0o600 });
	renameSync(`${path}.new`, path);
}

export function removeProcessRecord(directory: string): void {
	if (read(directory)?.pid === process.pid) rmSync(fileOf(directory), { force: true });
}

function read(directory: string): { pid: number; start: string } | undefined {
	try {
		return record.parse(JSON.parse(readFileSync(fileOf(directory), "utf8")));
	} catch {
		return undefined;
	}
}
