import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
	type Client,
	Executor,
	module,
	python,
	RemoteError,
	shell,
	TaskError,
	type TaskFuture,
	type TaskOptions,
	TimeoutError,
} from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { diskBytes } from "../harness/disk.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { isAlive } from "../harness/pids.ts";

const patient = { timeout: 60_000, interval: 20 };
const innocentCount = 20;

let cloud: TestCloud;
let client: Client;
let endpoint: TestEndpoint;
/** Workers with little heap, and a Python that is not there. */
let poor: TestEndpoint;
let executor: Executor;
let poorExecutor: Executor;

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\n" });
	poor = await TestEndpoint.start(cloud, client, {
		name: "poor",
		config:
			"workers_per_node: 2\npython: /nonexistent/python3\nenvironment: { NODE_OPTIONS: --max-old-space-size=64 }\n",
	});
	executor = new Executor({ endpoint: "local", client });
	poorExecutor = new Executor({ endpoint: "poor", client });
});
afterAll(async () => {
	await Promise.all([executor?.close(), poorExecutor?.close()]);
	await Promise.all([endpoint?.stop(), poor?.stop()]);
	expect([endpoint, poor].flatMap((each) => each?.processesLeft() ?? [])).toEqual([]);
	await cloud?.stop();
});

const innocents = {
	JavaScript: (on: Executor, n: number) => on.submit((x: number) => x, n),
	Python: (on: Executor, n: number) => on.submit(python({ source: "def same(x):\n    return x\n", name: "same" }), n),
};

/** What the bad task ends with, while others of its language run before, beside and after it and are not hurt. */
async function amongOthers<T>(
	bad: () => TaskFuture<T>,
	language: keyof typeof innocents = "JavaScript",
	on = executor,
): Promise<PromiseSettledResult<T>> {
	const some = () => Array.from({ length: innocentCount }, (_, n) => innocents[language](on, n));
	const before = some();
	const future = bad();
	const after = some();
	const [outcome] = await Promise.allSettled([future]);
	const expected = Array.from({ length: innocentCount }, (_, n) => n);
	expect(await Promise.all(before)).toEqual(expected);
	expect(await Promise.all(after)).toEqual(expected);
	return outcome;
}

function failureIn(outcome: PromiseSettledResult<unknown>): TaskError {
	if (outcome.status === "fulfilled") throw new Error(`it returned ${JSON.stringify(outcome.value)}`);
	expect(outcome.reason).toBeInstanceOf(TaskError);
	return outcome.reason as TaskError;
}

const py = (source: string) => python({ source, name: "f" });

const javascriptFailures: [string, () => unknown, code: string, message: RegExp][] = [
	[
		"throws",
		() => {
			throw new RangeError("too far");
		},
		"FUNCTION_FAILED",
		/RangeError: too far/,
	],
	[
		"rejects after a while",
		async () => {
			await new Promise((resolve) => setTimeout(resolve, 5));
			throw new TypeError("late");
		},
		"FUNCTION_FAILED",
		/TypeError: late/,
	],
	[
		"returns what cannot travel",
		() => ({ rows: [{ ok: 1 }, { format: () => "x" }] }),
		"RESULT_NOT_SERIALIZABLE",
		/rows\[1\]\.format/,
	],
	["calls process.exit", () => process.exit(3), "WORKER_EXITED", /exit code 3/],
	["aborts", () => process.abort(), "WORKER_EXITED", /SIGABRT/],
	[
		"segfaults",
		() => {
			process.kill(process.pid, "SIGSEGV");
			return new Promise(() => {});
		},
		"WORKER_EXITED",
		/SIGSEGV/,
	],
];

describe("a JavaScript function that", () => {
	test.each(javascriptFailures)(
		"%s is a RemoteError that says so, and nobody else is hurt",
		async (_, bad, code, says) => {
			const failure = failureIn(await amongOthers(() => executor.submit(bad)));
			expect(failure).toBeInstanceOf(RemoteError);
			expect(failure.code).toBe(code);
			expect(failure.message).toMatch(says);
			expect(failure.taskId).toMatch(/^[0-9a-f-]{36}$/);
		},
	);

	test("loops for ever is ended at its walltime", async () => {
		const brief = executor.with({ walltimeMs: 500 });
		const loop = () => {
			for (;;);
		};
		const failure = failureIn(await amongOthers(() => brief.submit(loop)));
		expect(failure).toBeInstanceOf(TimeoutError);
		expect(failure).toMatchObject({ code: "WALLTIME_EXCEEDED", message: expect.stringContaining("500 ms") });
	});

	test("fills its heap is out of memory, with the runtime's last words", async () => {
		const hog = () => {
			const all: number[][] = [];
			for (;;) all.push(new Array(100_000).fill(all.length));
		};
		const failure = failureIn(await amongOthers(() => poorExecutor.submit(hog), "JavaScript", poorExecutor));
		expect(failure).toBeInstanceOf(RemoteError);
		expect(failure).toMatchObject({ code: "OUT_OF_MEMORY", stderrTail: expect.stringContaining("heap") });
	});

	test("has a syntax error is refused before anything is sent, with the place", async () => {
		const file = join(cloud.home, "broken.ts");
		writeFileSync(file, "export function f(: number) {}\n");
		const failure = await executor.submit(module({ file, name: "f" }) as never).catch((error: unknown) => error);
		expect(failure).toMatchObject({ code: "CAPTURE_REFUSED", message: expect.stringContaining("broken.ts") });
	});
});

const pythonFailures: [string, source: string, code: string, message: RegExp][] = [
	["raises", "def f():\n    raise ValueError('no such row')\n", "FUNCTION_FAILED", /ValueError: no such row/],
	["returns a set", "def f():\n    return {'a': [1, {2, 3}]}\n", "RESULT_NOT_SERIALIZABLE", /\['a'\]\[1\].*set/],
	["calls sys.exit", "import sys\ndef f():\n    sys.exit(4)\n", "FUNCTION_FAILED", /sys\.exit\(4\)/],
	["calls os._exit", "import os\ndef f():\n    os._exit(5)\n", "WORKER_EXITED", /exit code 5/],
	["segfaults", "import ctypes\ndef f():\n    ctypes.string_at(0)\n", "WORKER_EXITED", /SIGSEGV/],
	["runs out of memory", "def f():\n    raise MemoryError('no room')\n", "OUT_OF_MEMORY", /no room/],
	["has a syntax error", "def f(:\n", "FUNCTION_NOT_LOADED", /SyntaxError/],
	["imports what is not there", "import nowhere_x\ndef f():\n    pass\n", "FUNCTION_NOT_LOADED", /nowhere_x/],
];

describe("a Python function that", () => {
	test.each(pythonFailures)(
		"%s is a RemoteError that says so, and nobody else is hurt",
		async (_, source, code, says) => {
			const failure = failureIn(await amongOthers(() => executor.submit(py(source)), "Python"));
			expect(failure).toBeInstanceOf(RemoteError);
			expect(failure.code).toBe(code);
			expect(failure.message).toMatch(says);
		},
	);

	test("loops for ever is ended at its walltime", async () => {
		const brief = executor.with({ walltimeMs: 500 });
		const loop = py("def f():\n    while True:\n        pass\n");
		expect(failureIn(await amongOthers(() => brief.submit(loop), "Python"))).toBeInstanceOf(TimeoutError);
	});

	test("takes more memory than it asked for is ended", async () => {
		const options: TaskOptions = { resources: { memoryBytes: 100_000_000 } };
		const hog = py("import time\ndef f():\n    held = b'x' * 200_000_000\n    time.sleep(600)\n");
		const failure = failureIn(await amongOthers(() => executor.with(options).submit(hog), "Python"));
		expect(failure).toMatchObject({ code: "OUT_OF_MEMORY", message: expect.stringContaining("100000000 bytes") });
	});

	test("needs a Python that is not there says where it was looked for", async () => {
		const any = py("def f():\n    return 1\n");
		const failure = failureIn(await amongOthers(() => poorExecutor.submit(any), "JavaScript", poorExecutor));
		expect(failure).toBeInstanceOf(RemoteError);
		expect(failure).toMatchObject({
			code: "RUNTIME_MISSING",
			message: expect.stringContaining("/nonexistent/python3"),
		});
		expect(failure.message).toContain("`python` in the endpoint's configuration");
	});
});

describe("a command that", () => {
	test.each([
		["is not there", "no-such-command-x", 127],
		["segfaults", "kill -SEGV $$", -11],
		["runs past its walltime", "sleep 600", 124],
	])("%s returns the code that says so", async (_, text, returncode) => {
		const outcome = await amongOthers(() => executor.submit(shell(text, { walltimeMs: 1_000 })));
		expect(outcome).toMatchObject({ status: "fulfilled", value: { returncode } });
	});
});

describe("100 MB of output", () => {
	const lots = 100_000_000;
	/** Prints half of it, waits for the gate, prints the rest. */
	const printing = {
		JavaScript: (gate: string) =>
			executor.submit(
				async (half: number, path: string) => {
					const { existsSync } = process.getBuiltinModule("node:fs");
					const line = `${"x".repeat(999)}\n`;
					for (let at = 0; at < half; at += 1_000) process.stdout.write(line);
					while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
					for (let at = 0; at < half; at += 1_000) process.stdout.write(line);
					return "printed";
				},
				lots / 2,
				gate,
			),
		Python: (gate: string) =>
			executor.submit(
				py(
					[
						"import os, time",
						"def f(half, gate):",
						"    line = 'x' * 999",
						"    for at in range(0, half, 1000): print(line)",
						"    while not os.path.exists(gate): time.sleep(0.02)",
						"    for at in range(0, half, 1000): print(line)",
						"    return 'printed'",
					].join("\n"),
				),
				lots / 2,
				gate,
			),
	};

	test.each(["JavaScript", "Python"] as const)(
		"of a %s function: the result is right, the output is cut and marked, the disk does not fill",
		{ timeout: 120_000 },
		async (language) => {
			const gate = join(cloud.home, `gate-${language}`);
			const before = diskBytes(endpoint.directory);
			const future = printing[language](gate) as TaskFuture<string>;
			const reading = (async () => {
				let bytes = 0;
				let last = "";
				for await (const line of future.stdout()) {
					bytes += line.length + 1;
					last = line;
				}
				return { bytes, last };
			})();
			await future.accepted;
			// The first half is printed: it is carried up to the cap, and the rest goes from the disk while the task runs.
			await vi.waitFor(async () => {
				expect((await client.taskOutput(future.taskId as string, "stdout", 1_000_000)).truncated).toBe(true);
				expect(diskBytes(endpoint.directory) - before).toBeLessThan(20_000_000);
			}, patient);
			writeFileSync(gate, "");
			expect(await future).toBe("printed");
			const { bytes, last } = await reading;
			expect(last).toContain("output cut");
			expect(bytes).toBeLessThan(2 * 2 ** 20);
			expect(await innocents[language](executor, 7)).toBe(7);
			expect(diskBytes(endpoint.directory) - before).toBeLessThan(20_000_000);
		},
	);

	test("of a command: its return code is right and its last lines are kept", { timeout: 120_000 }, async () => {
		const result = await executor.submit(shell(`yes | head -c ${lots}; echo the end; exit 5`));
		expect(result.returncode).toBe(5);
		expect(result.stdout.endsWith("y\nthe end\n")).toBe(true);
		expect(result.stdout.length).toBeLessThan(10_000);
	});
});

describe("what a task leaves behind is gone after it", () => {
	const leaving: Record<string, () => Promise<number>> = {
		"a detached child of JavaScript": () =>
			executor.submit(() => {
				const { spawn } = process.getBuiltinModule("node:child_process");
				const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
				child.unref();
				return child.pid ?? 0;
			}),
		"a fork of Python": () =>
			executor.submit(
				py(
					"import os, time\ndef f():\n    pid = os.fork()\n    if pid == 0:\n        os.setsid()\n        time.sleep(1000)\n    return pid\n",
				),
			) as Promise<number>,
		"a subprocess of Python": () =>
			executor.submit(
				py("import subprocess\ndef f():\n    return subprocess.Popen(['sleep', '1000'], start_new_session=True).pid\n"),
			) as Promise<number>,
		"a disowned child of a command": async () =>
			Number((await executor.submit(shell("sleep 1000 & echo $!; disown"))).stdout),
		"a child of a command in a session of its own": async () =>
			Number((await executor.submit(shell("setsid sleep 1000 & echo $!; disown"))).stdout),
		"a child of a command that was ended at its walltime": async () =>
			Number((await executor.submit(shell("setsid sleep 1000 & echo $!; sleep 1000", { walltimeMs: 1_000 }))).stdout),
	};

	test.each(Object.keys(leaving))("NEW-5: %s", async (what) => {
		const pid = await leaving[what]?.();
		expect(pid).toBeGreaterThan(1);
		await vi.waitFor(() => expect(isAlive(pid as number)).toBe(false), patient);
	});
});
