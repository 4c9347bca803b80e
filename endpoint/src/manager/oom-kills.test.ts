import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { OomKills } from "./oom-kills.ts";

const directory = mkdtempSync(join(tmpdir(), "errand-oom-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("a death is the kernel's doing only when its counter has risen", () => {
	const path = join(directory, "memory.events");
	writeFileSync(path, "low 0\noom 3\noom_kill 2\n");
	const kills = new OomKills([join(directory, "absent"), path]);
	expect(kills.explain(0)).toBe(false);
	writeFileSync(path, "low 0\noom 4\noom_kill 3\n");
	expect(kills.explain(1_000)).toBe(true);
	// A second process of the same shortage, and one that was killed long after.
	expect(kills.explain(1_500)).toBe(true);
	expect(kills.explain(60_000)).toBe(false);
});

test("where nothing counts, nothing is explained", () => {
	expect(new OomKills([join(directory, "absent")]).explain(0)).toBe(false);
});
