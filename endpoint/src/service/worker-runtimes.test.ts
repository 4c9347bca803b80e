import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, ResultSchema } from "@errand/proto/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WorkerRuntimes } from "./worker-runtimes.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-runtimes-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const ranOn = (...texts: string[]) =>
	texts.map((runtimeVersion) => create(ResultSchema, { execution: { runtimeVersion } }));

test("GC-6: what Python workers were is told when it is new, the newest last, and nothing of other languages", () => {
	const runtimes = new WorkerRuntimes(directory);
	expect(runtimes.note(ranOn("Node.js 24.1.0", ""))).toBe(false);
	expect(runtimes.note(ranOn("Python 3.11.7, dill 0.3.9"))).toBe(true);
	expect(runtimes.note(ranOn("Python 3.11.7, dill 0.3.9", "Node.js 24.1.0"))).toBe(false);
	expect(runtimes.note(ranOn("Python 3.12.1"))).toBe(true);
	expect(runtimes.note(ranOn("Python 3.11.7, dill 0.3.9"))).toBe(true);
	expect(runtimes.seen).toEqual(["Python 3.12.1", "Python 3.11.7, dill 0.3.9"]);
	for (let minor = 0; minor < 20; minor++) runtimes.note(ranOn(`Python 3.${minor}.0`));
	expect(runtimes.seen).toHaveLength(8);
	expect(readdirSync(directory)).toEqual(["worker-runtimes.json"]);
});

test("after a restart it is known until a worker says otherwise; a damaged file is none", () => {
	new WorkerRuntimes(directory).note(ranOn("Python 3.10.1", "Python 3.11.7"));
	const next = new WorkerRuntimes(directory);
	expect(next.seen).toEqual(["Python 3.10.1", "Python 3.11.7"]);
	next.note(ranOn("Python 3.12.1"));
	expect(next.seen).toEqual(["Python 3.12.1"]);
	expect(new WorkerRuntimes(directory).seen).toEqual(["Python 3.12.1"]);
	writeFileSync(join(directory, "worker-runtimes.json"), "{");
	expect(new WorkerRuntimes(directory).seen).toEqual([]);
});
