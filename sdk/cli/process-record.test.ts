import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { followFile, formatLogLine, tailOf } from "./log-file.ts";
import { endProcess, processStart, readProcessRecord, writeProcessRecord } from "./process-record.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-process-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const path = (): string => join(directory, "process.json");
const patience = {
	graceMs: 20_000,
	now: Date.now,
	pause: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};

async function startChild(script: string): Promise<{ pid: number; ended: Promise<unknown> }> {
	const child = spawn(process.execPath, ["-e", `${script}; setInterval(() => {}, 1000); console.log("up")`], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await once(child.stdout, "data");
	return { pid: child.pid as number, ended: once(child, "exit") };
}

test("a process is known by its id and its start, and its record is private", () => {
	const record = writeProcessRecord(path(), process.pid, { url: "http://localhost:5000" });
	expect(record.start).toBe(processStart(process.pid));
	expect(statSync(path()).mode & 0o777).toBe(0o600);
	expect(readProcessRecord(path())).toEqual(record);
});

test("an id that now belongs to another process, and a damaged file, are nobody", () => {
	writeFileSync(path(), JSON.stringify({ pid: process.pid, start: "1", started_at: new Date().toISOString() }));
	expect(readProcessRecord(path())).toBeUndefined();
	writeFileSync(path(), "{");
	expect(readProcessRecord(path())).toBeUndefined();
});

test("ending asks first and kills what does not listen", async () => {
	const polite = await startChild("");
	const start = processStart(polite.pid) as string;
	expect(await endProcess({ pid: polite.pid, start }, patience)).toBe("ended");
	await polite.ended;
	expect(await endProcess({ pid: polite.pid, start }, patience)).toBe("gone");
	const deaf = await startChild('process.on("SIGTERM", () => {})');
	const record = { pid: deaf.pid, start: processStart(deaf.pid) as string };
	expect(await endProcess(record, { ...patience, graceMs: 0 })).toBe("killed");
	await deaf.ended;
});

test("the tail of a log, and what is added to it, come as whole lines", async () => {
	const log = join(directory, "a.log");
	expect(await tailOf(log, 5)).toEqual({ lines: [], sizeBytes: 0 });
	writeFileSync(log, "one\ntwo\nthree\nfo");
	const tail = await tailOf(log, 2);
	expect(tail).toEqual({ lines: ["three", "fo"], sizeBytes: 16 });
	writeFileSync(log, "one\ntwo\nthree\nfour\nfive\n");
	const stop = new AbortController();
	const seen: string[] = [];
	const pause = async (): Promise<void> => stop.abort();
	for await (const line of followFile({ pause, signal: stop.signal }, log, tail.sizeBytes)) seen.push(line);
	expect(seen).toEqual(["ur", "five"]);
});

test("structured lines are told in words, others stay as they are", () => {
	expect(
		formatLogLine(
			'{"level":40,"time":1769860800000,"pid":1,"hostname":"h","endpoint":"local","msg":"waiting for the broker"}',
		),
	).toBe("2026-01-31 12:00:00 warn  waiting for the broker endpoint=local");
	expect(formatLogLine("{not json")).toBe("{not json");
	expect(formatLogLine("plain")).toBe("plain");
});
