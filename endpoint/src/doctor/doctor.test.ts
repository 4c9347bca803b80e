import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Findings, fault, ok } from "./check.ts";
import { judgeClock, skewMs } from "./clock.ts";
import { type FileSystem, judgeFileSystem, probeFileSystem } from "./file-system.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-doctor-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("clocks", () => {
	const asked = Date.UTC(2026, 0, 1, 12);
	const header = (ms: number): string => new Date(asked + ms).toUTCString();

	test("NEW-10: a clock that is wrong is told with which way, and when tokens cannot work it is a fault", () => {
		const verdict = (ms: number) => judgeClock(skewMs(header(ms), asked, asked + 100));
		expect(verdict(0)).toMatchObject({ state: "ok" });
		expect(verdict(10_000)).toMatchObject({ state: "ok", says: expect.stringContaining("10 s behind") });
		expect(verdict(60_000)).toMatchObject({
			state: "warning",
			says: expect.stringContaining("60 s behind"),
			next: expect.any(String),
		});
		expect(verdict(-3_600_000)).toMatchObject({ state: "fault", says: expect.stringContaining("3600 s ahead of") });
	});

	test("an answer without a date is no clock", () => {
		expect(skewMs("", asked, asked)).toBeUndefined();
		expect(judgeClock(undefined)).toMatchObject({ state: "warning" });
	});
});

describe("file systems", () => {
	const good: FileSystem = { kind: "NFS", freeBytes: 100 * 2 ** 30, syncMs: 4, clockMs: 3 };
	const judge = (more: Partial<FileSystem>, shared = true) => judgeFileSystem("/d", { ...good, ...more }, shared);

	test("NEW-10: room, speed, sight and clock are judged, each with what to do", () => {
		expect(judge({})).toEqual(ok("/d: NFS, 100 GiB free, a safe write takes 4.0 ms"));
		expect(judge({ freeBytes: 1e6 })).toMatchObject({ state: "fault", next: expect.stringContaining("make room") });
		expect(judge({ freeBytes: 5e8 })).toMatchObject({
			state: "warning",
			says: expect.stringContaining("476 MiB free"),
		});
		expect(judge({ kind: "tmpfs" })).toMatchObject({
			state: "warning",
			says: expect.stringContaining("do not see it"),
		});
		expect(judge({ kind: "tmpfs" }, false)).toMatchObject({ state: "ok" });
		expect(judge({ syncMs: 900 })).toMatchObject({ state: "warning", says: expect.stringContaining("waits for that") });
		expect(judge({ clockMs: -60_000 })).toMatchObject({ state: "warning", says: expect.stringContaining("clock") });
	});

	test("a real one is probed and left as it was", () => {
		const seen = probeFileSystem(directory, Date.now);
		expect(seen.kind).not.toBe("");
		expect(seen.freeBytes).toBeGreaterThan(0);
		expect(seen.syncMs).toBeGreaterThan(0);
		expect(Math.abs(seen.clockMs)).toBeLessThan(5_000);
		expect(readdirSync(directory)).toEqual([]);
		writeFileSync(join(directory, "file"), "");
		expect(() => probeFileSystem(join(directory, "file", "below"), Date.now)).toThrow();
	});
});

test("a check that fails in any way is a row with what to do", async () => {
	const findings = new Findings();
	expect(await findings.look("good", () => ok("fine"), "never told")).toBe(true);
	expect(await findings.look("bad", () => fault("broken", "mend it"), "else")).toBe(false);
	expect(await findings.look("thrown", () => Promise.reject(new Error("no route")), "look at the network")).toBe(false);
	expect(findings.checks).toEqual([
		{ name: "good", state: "ok", says: "fine" },
		{ name: "bad", state: "fault", says: "broken", next: "mend it" },
		{ name: "thrown", state: "fault", says: "no route", next: "look at the network" },
	]);
});
