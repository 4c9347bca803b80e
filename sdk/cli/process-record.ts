/**
 * Who runs where: a 0600 JSON file with a process id and that process's start time, so that a number which the system
 * has given to somebody else since is never signalled.
 */
import { readFileSync, rmSync } from "node:fs";
import * as z from "zod";
import { writePrivateFile } from "./home.ts";

const processRecord = z.object({
	pid: z.int().positive(),
	/** As {@link processStart} says. */
	start: z.string(),
	started_at: z.iso.datetime(),
	url: z.string().optional(),
	log: z.string().optional(),
});
export type ProcessRecord = z.infer<typeof processRecord>;

/** A text that differs for each process that ever had this id; undefined when there is no such process. */
export function processStart(pid: number): string | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		return fields[0] === "Z" ? undefined : fields[19];
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code !== "ENOENT" && code !== "ESRCH") throw error;
		return existsWithoutProc(pid) ? "unknown" : undefined;
	}
}

/** On a system without /proc only the id itself can be asked for. */
function existsWithoutProc(pid: number): boolean {
	if (process.platform === "linux") return false;
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

/** Inverse of {@link readProcessRecord}. */
export function writeProcessRecord(
	path: string,
	pid: number,
	more: { url?: string; log?: string } = {},
): ProcessRecord {
	const record = { pid, start: processStart(pid) ?? "ended", started_at: new Date().toISOString(), ...more };
	writePrivateFile(path, `${JSON.stringify(record)}\n`);
	return record;
}

/** Undefined when there is no file, when it makes no sense, or when its process has ended. */
export function readProcessRecord(path: string): ProcessRecord | undefined {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
	const parsed = processRecord.safeParse(jsonOrNothing(text));
	return parsed.success && processStart(parsed.data.pid) === parsed.data.start ? parsed.data : undefined;
}

function jsonOrNothing(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/**
 * Asks a process to end and waits for it; after `graceMs` it is killed. Resolves to how it went.
 * `pause` is asked to wait between looks.
 */
export async function endProcess(
	record: Pick<ProcessRecord, "pid" | "start">,
	options: { graceMs: number; now: () => number; pause: (ms: number) => Promise<void> },
): Promise<"ended" | "killed" | "gone"> {
	const alive = (): boolean => processStart(record.pid) === record.start;
	if (!alive()) return "gone";
	signalProcess(record.pid, "SIGTERM");
	const deadline = options.now() + options.graceMs;
	let waitMs = 10;
	while (alive() && options.now() < deadline) {
		await options.pause(waitMs);
		waitMs = Math.min(waitMs * 1.5, 200);
	}
	if (!alive()) return "ended";
	signalProcess(record.pid, "SIGKILL");
	while (alive()) await options.pause(20);
	return "killed";
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

export function forgetProcess(path: string): void {
	rmSync(path, { force: true });
}
