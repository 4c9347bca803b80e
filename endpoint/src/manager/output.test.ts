import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { command, failureIn, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

describe("what tasks print and report", () => {
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		daemon = await new ScriptedDaemon({ options: { outputLimitBytes: 200_000 } }).open();
	});
	afterAll(() => daemon.close());

	test.each([
		[
			"JavaScript",
			javascript(
				"export async function f() { console.log('line', Date.now()); await new Promise((r) => setTimeout(r, 600)); console.error('end'); }",
			),
		],
		[
			"Python",
			python(
				"import sys, time\ndef f():\n    print('line', int(time.time() * 1000))\n    time.sleep(0.6)\n    print('end', file=sys.stderr)\n",
			),
		],
		["a command", command("echo line $(date +%s%3N); sleep 0.6; echo end >&2")],
	])("NEW-2: a line that %s prints is told within 200 ms, while the task runs", async (_, talk) => {
		await daemon.run(talk);
		const task = daemon.task(talk);
		daemon.submit(talk, [task]);
		await daemon.until(() => daemon.outputOf(task) !== "");
		const heardMs = Date.now();
		expect(daemon.resultsOf(task)).toHaveLength(0);
		expect(heardMs - Number(daemon.outputOf(task).split(" ")[1])).toBeLessThan(200);
		const result = await daemon.result(task);
		expect(daemon.outputOf(task, 2)).toBe("end\n");
		expect(result.stdoutBytes).toBe(daemon.outputOf(task).length);
		expect(result.stderrBytes).toBe(4);
		expect(daemon.reportsOf(task).some(({ event }) => event.case === "state")).toBe(true);
	});

	test("HQ-9: every one of many short tasks gets its own lines, from two files a worker", async () => {
		const talk = javascript(
			"export const f = (n) => { console.log('task', n); if (n % 3 === 0) console.error('odd', n); };",
		);
		const tasks = Array.from({ length: 1000 }, (_, n) => daemon.task(talk, { args: [n] }));
		daemon.submit(talk, tasks);
		for (const [n, task] of tasks.entries()) {
			await daemon.result(task);
			expect(daemon.outputOf(task)).toBe(`task ${n}\n`);
			expect(daemon.outputOf(task, 2)).toBe(n % 3 === 0 ? `odd ${n}\n` : "");
		}
		const files = readdirSync(daemon.directory, { recursive: true })
			.map(String)
			.filter((name) => /\.std(out|err)$/.test(name));
		const workers = new Set(files.map((name) => name.replace(/\.\w+$/, "")));
		expect(files.length).toBe(2 * workers.size);
		expect(workers.size).toBeLessThanOrEqual(4);
	});

	test("NEW-2: a function that prints 100 MB is harmless: the cap is carried, the cut marked, the disk not filled", async () => {
		const flood = python("def f():\n    for _ in range(1600):\n        print('x' * 65535)\n    return 'done'\n");
		const task = daemon.task(flood);
		daemon.submit(flood, [task]);
		const result = await daemon.result(task);
		expect(jsonOf(result)).toBe("done");
		expect(daemon.outputOf(task)).toHaveLength(200_000);
		const chunks = daemon.reportsOf(task).flatMap(({ event }) => (event.case === "output" ? [event.value] : []));
		expect(chunks.at(-1)?.truncated).toBe(true);
		expect(chunks.filter(({ truncated }) => truncated)).toHaveLength(1);
		// Emptied when nothing runs, and no hole is being made in it.
		const onDisk = () =>
			readdirSync(daemon.directory, { recursive: true }).map(
				(name) => (statSync(join(daemon.directory, String(name)), { throwIfNoEntry: false })?.blocks ?? 0) * 512,
			);
		await vi.waitFor(
			async () => {
				await daemon.run(python("def f():\n    print('small')\n"));
				expect(Math.max(...onDisk())).toBeLessThan(16 * 1024 * 1024);
			},
			{ timeout: 20_000, interval: 100 },
		);
	});

	test("NEW-3: a running function reports its progress", async () => {
		const js = javascript(
			"export function f() { errand.progress(0.25, 'a quarter'); errand.progress(2); return errand.taskId; }",
		);
		const py = python(
			"import errand\ndef f():\n    errand.progress(0.25, 'a quarter')\n    errand.progress(2)\n    return errand.task_id()\n",
		);
		for (const report of [js, py]) {
			const task = daemon.task(report);
			daemon.submit(report, [task]);
			const result = await daemon.result(task);
			expect(String(jsonOf(result)).replaceAll("-", "")).toBe(Buffer.from(task.id).toString("hex"));
			const told = daemon.reportsOf(task).flatMap(({ event }) => (event.case === "progress" ? [event.value] : []));
			expect(told).toMatchObject([
				{ fraction: 0.25, message: "a quarter" },
				{ fraction: 1, message: "" },
			]);
		}
	});

	test("what a dead worker printed last belongs to the task that killed it", async () => {
		const last = python("import os\ndef f():\n    print('goodbye', flush=True)\n    os.abort()\n");
		const task = daemon.task(last);
		daemon.submit(last, [task]);
		expect(failureIn(await daemon.result(task)).code).toBe("WORKER_EXITED");
		expect(daemon.outputOf(task)).toBe("goodbye\n");
	});
});
