import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DependencyError, Executor, python, RemoteError, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

declare const errand: { progress(fraction: number, message?: string): void };

let cloud: TestCloud;
let endpoint: TestEndpoint;
let executor: Executor;

beforeAll(async () => {
	cloud = await TestCloud.start();
	const { client } = await cloud.login("ada");
	endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\n" });
	executor = new Executor({ endpoint: "local", client });
});
afterAll(async () => {
	await executor?.close();
	await endpoint?.stop();
	await cloud?.stop();
});

async function all(lines: AsyncIterable<string>): Promise<string[]> {
	const read: string[] = [];
	for await (const line of lines) read.push(line);
	return read;
}

const median = (values: readonly number[]): number =>
	values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

describe("NEW-2: output while the function runs", () => {
	/** Prints the time, many times; the reader compares it with its own clock, for both run on this machine. */
	const clocks = {
		JavaScript: () =>
			executor.submit(async (lines: number) => {
				for (let at = 0; at < lines; at++) {
					console.log(performance.timeOrigin + performance.now());
					await new Promise((resolve) => setTimeout(resolve, 100));
				}
			}, 20),
		Python: () =>
			executor.submit(
				python({
					name: "f",
					source:
						"import time\ndef f(lines):\n    for _ in range(lines):\n        print(time.time() * 1000)\n        time.sleep(0.1)\n",
				}),
				20,
			),
		"shell's": () => executor.submit(shell("for i in $(seq 20); do date +%s%3N; sleep 0.1; done")),
	} as const;

	test.each(["JavaScript", "Python", "shell's"] as const)(
		"%s lines are read soon after they are printed",
		async (language) => {
			const delaysMs: number[] = [];
			for await (const line of clocks[language]().stdout())
				delaysMs.push(performance.timeOrigin + performance.now() - Number(line));
			expect(delaysMs).toHaveLength(20);
			// The promise is 200 ms; this machine may be busy with other things.
			expect(median(delaysMs)).toBeLessThan(1_000);
			process.stderr.write(
				`${language} lines: ${median(delaysMs).toFixed(0)} ms median, ${Math.max(...delaysMs).toFixed(0)} ms at most\n`,
			);
		},
	);

	test("2,000 lines come whole, in order, each stream on its own", async () => {
		const future = executor.submit(() => {
			for (let n = 0; n < 2_000; n++) {
				console.log(`out ${n}`);
				console.error(`err ${n}`);
			}
		});
		const [out, err] = await Promise.all([all(future.stdout()), all(future.stderr())]);
		expect(out).toEqual(Array.from({ length: 2_000 }, (_, n) => `out ${n}`));
		expect(err).toEqual(Array.from({ length: 2_000 }, (_, n) => `err ${n}`));
	});

	test("a reader who comes after the end reads it all", async () => {
		const future = executor.submit(shell("seq 100"));
		await future;
		expect(await all(future.stdout())).toEqual(Array.from({ length: 100 }, (_, n) => String(n + 1)));
	});
});

describe("NEW-3: progress", () => {
	const reporting = {
		JavaScript: (seen: string) =>
			executor.submit(async (path: string) => {
				const { existsSync } = process.getBuiltinModule("node:fs");
				for (let n = 0; !existsSync(path); n = Math.min(3, n + 1)) {
					errand.progress(n / 4, `step ${n}`);
					await new Promise((resolve) => setTimeout(resolve, 20));
				}
				errand.progress(1, "done");
				return "ended";
			}, seen),
		Python: (seen: string) =>
			executor.submit(
				python({
					name: "f",
					source: [
						"import errand, os, time",
						"def f(path):",
						"    n = 0",
						"    while not os.path.exists(path):",
						"        errand.progress(n / 4, 'step %d' % n)",
						"        n = min(3, n + 1)",
						"        time.sleep(0.02)",
						"    errand.progress(1, 'done')",
						"    return 'ended'",
					].join("\n"),
				}),
				seen,
			),
	};

	test.each(["JavaScript", "Python"] as const)("of a %s function is seen while it runs", async (language) => {
		const seen = join(cloud.home, `seen-${language}`);
		const future = reporting[language](seen);
		const fractions: number[] = [];
		for await (const { fraction, message } of future.progress()) {
			fractions.push(fraction);
			if (fraction < 1) expect(message).toBe(`step ${fraction * 4}`);
			// The function goes on only after this has been seen here.
			if (fraction === 0.75) writeFileSync(seen, "");
		}
		expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
		expect(fractions).toContain(0.75);
		expect(await future).toBe("ended");
	});
});

describe("PAR-1: tasks one after another", () => {
	test("a chain of languages passes values along", async () => {
		const words = executor.submit((text: string) => text.split(" "), "a bb ccc");
		const lengths = executor.submit(
			python<[string[]], number[]>({ source: "def lengths(xs):\n    return [len(x) for x in xs]\n", name: "lengths" }),
			words,
		);
		expect(await executor.submit((xs: number[]) => xs.reduce((a, b) => a + b, 0), lengths)).toBe(6);
	});

	test("a diamond of a hundred tasks runs in the order of its dependencies", async () => {
		const first = executor.submit((x: number) => x + 1, 0);
		const middle = Array.from({ length: 98 }, (_, n) => executor.submit((x: number, y: number) => x * y, first, n));
		const ends = [middle[1], middle[97]] as const;
		const sum = executor.submit((a: number, b: number) => a + b, ends[0] as never, ends[1] as never);
		expect(await sum).toBe(98);
		expect(await Promise.all(middle)).toEqual(Array.from({ length: 98 }, (_, n) => n));
	});

	test("a failure reaches all that depend on it, with its cause, and no one else", async () => {
		const bad = executor.submit(function broken(): number {
			throw new RangeError("no value");
		});
		const good = executor.submit(() => 1);
		const depends = executor.submit((a: number, b: number) => a + b, good, bad);
		const error = (await depends.catch((reason: unknown) => reason)) as DependencyError;
		expect(error).toBeInstanceOf(DependencyError);
		expect(error).toMatchObject({ dependencyName: "broken", dependencyTaskId: bad.taskId });
		expect(error.cause).toBeInstanceOf(RemoteError);
		expect(await good).toBe(1);
	});
});
