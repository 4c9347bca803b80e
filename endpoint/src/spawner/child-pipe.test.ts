/** The manager's end of a line whose other end is in a user's hands. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ChildLine } from "./child-line.ts";
import { type ChildPipe, openChildPipe } from "./child-pipe.ts";

let directory: string;
let pipe: ChildPipe;
let lines: ChildLine[];
let nonsense: number;
let writers: ChildProcess[];

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-pipe-"));
	lines = [];
	nonsense = 0;
	writers = [];
	pipe = openChildPipe(join(directory, "line"), true, {
		line: (line) => void lines.push(line),
		nonsense: (count) => {
			nonsense += count;
		},
	});
});
afterEach(async () => {
	pipe.remove();
	for (const writer of writers) {
		const ended = new Promise((resolve) => writer.once("exit", resolve));
		writer.kill("SIGKILL");
		await ended;
	}
	rmSync(directory, { recursive: true, force: true });
});

/** A process with the line's end as its own descriptor 3, in blocking mode: as a user can make it. */
function writes(command: string): ChildProcess {
	const descriptor = openSync(join(directory, "line"), "w");
	const writer = spawn("sh", ["-c", command], { stdio: ["ignore", "ignore", "ignore", descriptor] });
	closeSync(descriptor);
	writers.push(writer);
	return writer;
}

test("what a process has said last is read after its end", () => {
	const descriptor = pipe.openWritingEnd();
	writeSync(descriptor, '{"says":"idle"}\n');
	closeSync(descriptor);
	pipe.drain();
	expect(lines).toEqual([{ says: "idle" }]);
});

test("GC-9: another process that has kept the line and writes without end does not hold the manager up", async () => {
	// Writes whenever there is room: the reader never sees the pipe empty.
	for (let count = 0; count < 3; count++) writes("exec yes x >&3");
	await expect.poll(() => nonsense, { timeout: 10_000, interval: 5 }).toBeGreaterThan(0);
	const before = nonsense;
	pipe.drain();
	// What the socket had read, twice a pipe at most, and what a pipe holds: two bytes each.
	expect(nonsense - before).toBeLessThanOrEqual((3 * 64 * 1024) / 2 + 1);
});

test("GC-9: what never ends its line is held back like lines are", async () => {
	const writer = writes("exec cat /dev/zero >&3");
	const written = (): number => Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${writer.pid}/io`, "utf8"))?.[1] ?? 0);
	await expect.poll(written, { timeout: 10_000, interval: 5 }).toBeGreaterThan(256 * 1024);
	const [fromBytes, fromMs] = [written(), performance.now()];
	await expect.poll(() => performance.now() - fromMs, { timeout: 10_000, interval: 20 }).toBeGreaterThan(1_500);
	const perSecond = (written() - fromBytes) / ((performance.now() - fromMs) / 1000);
	expect(perSecond).toBeLessThan(4 * 1024 * 1024);
});
