import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ended } from "./process-end.ts";
import { command, failureIn, javascript, jsonOf, python, ScriptedDaemon } from "./scripted-daemon.ts";

describe("a function that goes wrong hurts only its own task", () => {
	let daemon: ScriptedDaemon;
	beforeAll(async () => {
		daemon = await new ScriptedDaemon().open();
	});
	afterAll(() => daemon.close());

	/** Runs the bad function in the middle of good ones of its kind; the good ones must all succeed. */
	async function amongOthers(bad: ReturnType<typeof javascript>, submission = {}) {
		const good = bad.runtime === 2 ? python("def f(n):\n    return n\n") : javascript("export const f = (n) => n;");
		await daemon.run(good, { args: [0] });
		const before = Array.from({ length: 20 }, (_, n) => daemon.task(good, { args: [n] }));
		const after = Array.from({ length: 20 }, (_, n) => daemon.task(good, { args: [n] }));
		const task = daemon.task(bad, submission);
		daemon.submit(good, before);
		daemon.submit(bad, [task]);
		daemon.submit(good, after);
		for (const [n, fine] of [...before, ...after].entries()) expect(jsonOf(await daemon.result(fine))).toBe(n % 20);
		const result = await daemon.result(task);
		expect(daemon.resultsOf(task)).toHaveLength(1);
		return failureIn(result);
	}

	test.each([
		["JavaScript syntax error", javascript("export function f( {"), "FUNCTION_NOT_LOADED", /SyntaxError/],
		["JavaScript without the export", javascript("export const g = 1;"), "FUNCTION_NOT_LOADED", /exports: g/],
		[
			"JavaScript missing package",
			javascript("import 'no-such-package-x';\nexport const f = 1;"),
			"FUNCTION_NOT_LOADED",
			/no-such-package-x/,
		],
		["JavaScript throws no error", javascript("export function f() { throw 7; }"), "FUNCTION_FAILED", /threw 7/],
		["JavaScript process.exit", javascript("export function f() { process.exit(3); }"), "WORKER_EXITED", /exit code 3/],
		["JavaScript abort", javascript("export function f() { process.abort(); }"), "WORKER_EXITED", /SIGABRT/],
		[
			"JavaScript killed from outside",
			javascript("export function f() { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); }"),
			"WORKER_EXITED",
			/SIGKILL, sent by itself or from outside/,
		],
		[
			"JavaScript unhandled rejection",
			javascript("export async function f() { Promise.reject(new RangeError('lost')); await new Promise(() => {}); }"),
			"FUNCTION_FAILED",
			/lost/,
		],
		[
			"JavaScript error in a timer",
			javascript(
				"export function f() { setTimeout(() => { throw new Error('later'); }); return new Promise(() => {}); }",
			),
			"FUNCTION_FAILED",
			/later/,
		],
		[
			"JavaScript result JSON cannot hold",
			javascript("export const f = () => ({ rows: [{ when: new Date() }] });"),
			"RESULT_NOT_SERIALIZABLE",
			/rows\[0\]\.when.*Date/,
		],
		["Python syntax error", python("def f(:\n"), "FUNCTION_NOT_LOADED", /SyntaxError/],
		["Python sys.exit", python("import sys\ndef f():\n    sys.exit(4)\n"), "FUNCTION_FAILED", /sys\.exit\(4\)/],
		["Python os._exit", python("import os\ndef f():\n    os._exit(5)\n"), "WORKER_EXITED", /exit code 5/],
		["Python segfault", python("import ctypes\ndef f():\n    ctypes.string_at(0)\n"), "WORKER_EXITED", /SIGSEGV/],
		["Python interrupt", python("def f():\n    raise KeyboardInterrupt\n"), "FUNCTION_FAILED", /KeyboardInterrupt/],
		["Python out of memory", python("def f():\n    raise MemoryError('no room')\n"), "OUT_OF_MEMORY", /no room/],
		[
			"Python result JSON cannot hold",
			python("def f():\n    return {'a': [1, {2, 3}]}\n"),
			"RESULT_NOT_SERIALIZABLE",
			/\['a'\]\[1\].*set/,
		],
		[
			"Python missing module",
			python("import no_such_module_x\ndef f():\n    pass\n"),
			"FUNCTION_NOT_LOADED",
			/no_such_module_x/,
		],
	] as const)("%s", async (_, bad, code, message) => {
		const jsonOnly = { resultSerializers: ["globus_compute_sdk.serialize.JSONData"] };
		const failure = await amongOthers(bad, jsonOnly);
		expect(failure.code).toBe(code);
		expect(failure.message).toMatch(message);
	});

	test("a task that uses more memory than it asked for is ended", async () => {
		const hog = python("import time\ndef f():\n    held = b'x' * 200_000_000\n    time.sleep(60)\n");
		const failure = failureIn(await daemon.run(hog, { resources: { memoryBytes: 100_000_000 } }));
		expect(failure.code).toBe("OUT_OF_MEMORY");
		expect(failure.message).toMatch(/100000000 bytes/);
	});

	test("a dill payload without dill says what to install, and where", async () => {
		const failure = failureIn(await daemon.run(python("def f(x):\n    return x\n"), { as: "00" as "11", args: [1] }));
		expect(["RUNTIME_MISSING", "ARGUMENTS_NOT_DECODED"]).toContain(failure.code);
		expect(failure.message).toMatch(/pip install globus-compute-sdk|could not be read/);
	});

	test("a command without a value for its placeholder names it", async () => {
		const failure = failureIn(await daemon.run(command("cat {path} {other}"), { kwargs: { path: "x" } }));
		expect(failure).toMatchObject({ code: "ARGUMENTS_NOT_DECODED" });
		expect(failure.message).toMatch(/value for other; given: path/);
	});

	test.each([
		[
			"JavaScript",
			javascript(
				"import { spawn } from 'node:child_process';\nexport function f() { return spawn('setsid', ['sleep', '1000'], { detached: true, stdio: 'ignore' }).pid; }",
			),
		],
		[
			"JavaScript synchronously",
			javascript(
				"import { execSync } from 'node:child_process';\nexport function f() { return Number(execSync('setsid sleep 1000 >/dev/null 2>&1 & echo $!')); }",
			),
		],
		[
			"Python",
			python(
				"import subprocess\ndef f():\n    return subprocess.Popen(['sleep', '1000'], start_new_session=True).pid\n",
			),
		],
		[
			"Python by fork",
			python(
				"import os, time\ndef f():\n    pid = os.fork()\n    if pid == 0:\n        os.setsid()\n        time.sleep(1000)\n    return pid\n",
			),
		],
	])("NEW-5: a child that a %s function leaves behind ends with the task", async (_, leave) => {
		const pid = Number(jsonOf(await daemon.run(leave)));
		await ended(pid);
	});

	test("a child that a command leaves in the background ends with it", async () => {
		const result = jsonOf(await daemon.run(command("setsid sleep 1000 & sleep 1000 & echo $!"))) as { stdout: string };
		await ended(Number(result.stdout));
	});

	test("a fork that returns from the function does not answer a second time", async () => {
		const twice = python("import os\ndef f():\n    return 'child' if os.fork() == 0 else 'parent'\n");
		const task = daemon.task(twice);
		daemon.submit(twice, [task]);
		expect(jsonOf(await daemon.result(task))).toBe("parent");
		await daemon.run(twice);
		expect(daemon.resultsOf(task)).toHaveLength(1);
	});

	test("after all this no worker is left over and no sandbox of a success", async () => {
		const where = javascript(
			"import { writeFileSync } from 'node:fs';\nexport function f() { writeFileSync('left.txt', 'x'); return process.cwd(); }",
		);
		const cwd = String(jsonOf(await daemon.run(where)));
		expect(cwd.startsWith(daemon.directory)).toBe(true);
		expect(existsSync(`${cwd}/left.txt`)).toBe(false);
	});
});

test("a Python that is not there is named, with where it was looked for", async () => {
	const daemon = await new ScriptedDaemon({ options: { python: "python9.9" } }).open();
	try {
		const failure = failureIn(await daemon.run(python("def f():\n    return 1\n")));
		expect(failure.code).toBe("RUNTIME_MISSING");
		expect(failure.message).toMatch(/python9\.9.*PATH/);
		expect(jsonOf(await daemon.run(javascript("export const f = () => 1;")))).toBe(1);
	} finally {
		await daemon.close();
	}
});

test("a worker that is killed while it starts is started again; one that always is ends the task", async () => {
	const directory = mkdtempSync(join(tmpdir(), "errand-killed-"));
	const [once, always] = [join(directory, "once"), join(directory, "always")];
	writeFileSync(once, `#!/bin/sh\nmkdir ${directory}/killed 2>/dev/null && kill -9 $$\nexec python3 "$@"\n`, {
		mode: 0o755,
	});
	writeFileSync(always, "#!/bin/sh\nkill -9 $$\n", { mode: 0o755 });
	const first = await new ScriptedDaemon({ options: { python: once } }).open();
	const second = await new ScriptedDaemon({ options: { python: always } }).open();
	try {
		expect(jsonOf(await first.run(python("def f():\n    return 1\n")))).toBe(1);
		const failure = failureIn(await second.run(python("def f():\n    return 1\n")));
		expect(failure).toMatchObject({ code: "RUNTIME_MISSING", message: expect.stringContaining("SIGKILL") });
	} finally {
		await first.close();
		await second.close();
		rmSync(directory, { recursive: true });
	}
});

test("a failed task's sandbox is kept under its id", async () => {
	const daemon = await new ScriptedDaemon().open();
	try {
		const bad = python("def f():\n    open('trace.txt', 'w').write('here')\n    raise ValueError\n");
		const task = daemon.task(bad);
		daemon.submit(bad, [task]);
		await daemon.result(task);
		const kept = readdirSync(`${daemon.directory}/sandbox`, { recursive: true }).map(String);
		const trace = kept.find((path) => path.endsWith("trace.txt")) ?? "";
		expect(readFileSync(`${daemon.directory}/sandbox/${trace}`, "utf8")).toBe("here");
	} finally {
		await daemon.close();
	}
});

test("a JavaScript heap that is full is told as out of memory, with its last words", async () => {
	const environment = { NODE_OPTIONS: "--max-old-space-size=64" };
	const daemon = await new ScriptedDaemon({ options: { environment } }).open();
	try {
		const hog = javascript(
			"export function f() { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)); }",
		);
		const failure = failureIn(await daemon.run(hog));
		expect(failure).toMatchObject({ code: "OUT_OF_MEMORY" });
		expect(failure.stderrTail).toMatch(/heap/);
	} finally {
		await daemon.close();
	}
});
