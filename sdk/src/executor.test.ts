import { spawn } from "node:child_process";
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openTestCloud, type TestCloud } from "./cloud.test-harness.ts";
import {
	CancelledError,
	CaptureError,
	ClosedError,
	Executor,
	keywords,
	mpi,
	python,
	RemoteError,
	SerializationError,
	shell,
} from "./index.ts";

let cloud: TestCloud;

beforeEach(async () => {
	cloud = await openTestCloud();
});
afterEach(async () => {
	await cloud[Symbol.asyncDispose]();
});

const open = (options: object = {}): Executor =>
	new Executor({ endpoint: "local", cloudUrl: cloud.url, token: "good", ...options });

/** Tasks wait until `open`. */
function gate(): { open: () => void } {
	const { promise, resolve } = Promise.withResolvers<void>();
	cloud.before = () => promise;
	return { open: resolve };
}

describe("an executor", () => {
	test("NEW-12: a typed function runs elsewhere and its value comes back", async () => {
		await using executor = open();
		const sum = executor.submit((a: number, b: number) => a + b, 2, 3);
		expect(await sum).toBe(5);
		expect(cloud.tasks.has(String(sum.taskId))).toBe(true);
		expect(await sum.status()).toBe("success");
	});

	test("NEW-14: values keep their types between TypeScript ends", async () => {
		await using executor = open();
		const value = {
			when: new Date(86_400_000),
			map: new Map<string, unknown>([["a", new Set([1n, 2n])]]),
			bytes: new Uint8Array([1, 2, 255]),
			nothing: undefined,
			error: new RangeError("out"),
		};
		const back = await executor.submit((x: typeof value) => x, value);
		expect(back).toEqual(value);
		expect(back.error).toBeInstanceOf(RangeError);
	});

	test("a function that throws rejects with its name, message and remote stack", async () => {
		await using executor = open();
		const future = executor.submit(function explode(): number {
			throw new TypeError("boom");
		});
		const error = await future.catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(RemoteError);
		expect(error).toMatchObject({
			code: "FUNCTION_FAILED",
			remoteName: "TypeError",
			remoteMessage: "boom",
			functionName: "explode",
			taskId: future.taskId,
			message: "explode: TypeError: boom",
		});
		expect((error as RemoteError).remoteStack).toContain("explode");
		expect((error as RemoteError).stack).toContain((error as RemoteError).remoteStack);
	});

	test("NEW-12: a captured variable is refused at submit, before anything is sent", () => {
		const rate = 3;
		const executor = open();
		expect(() => executor.submit((x: number) => x * rate, 2)).toThrow(CaptureError);
		expect(cloud.seen).toEqual([]);
	});

	test("a function is registered once, however often it is submitted", async () => {
		await using executor = open();
		const double = (x: number): number => x * 2;
		await executor.submit(double, 1);
		await Promise.all([executor.submit(double, 2), executor.submit((x: number): number => x * 2, 3)]);
		expect([...cloud.functions.values()].map((each) => each.name)).toEqual(["double", "anonymous"]);
	});

	test("a Python function takes JSON and keywords, and refuses anything else by name", async () => {
		await using executor = open();
		const mean = python({ source: "def mean(xs, weights=None):\n    return 0\n", name: "mean" });
		const value = await executor.submit(mean, [1, 2, 3], keywords({ weights: [1, 1, 2] }));
		expect(value).toEqual({ args: "[[1,2,3]]", kwargs: '{"weights":[1,1,2]}' });
		expect(() => executor.submit(mean, [1, { when: new Date() }])).toThrow(
			/in the arguments, the value at \[0\]\[1\]\.when: a Date has no JSON form/,
		);
	});

	test("a command's result has its five parts", async () => {
		await using executor = open();
		const result = await executor.submit(shell("wc -l {path}"), { path: "/etc/passwd" });
		expect(result).toEqual({
			cmd: "wc -l {path}",
			stdout: '{"path":"/etc/passwd"}',
			stderr: "",
			returncode: 0,
			exceptionName: null,
		});
	});

	test("resources and walltime travel with the submit", async () => {
		await using executor = open({ walltimeMs: 5_000 });
		const future = executor
			.with({ resources: { cores: 2, memoryBytes: 1024, gpus: 1 }, walltimeMs: 60 })
			.submit(() => 1);
		await future;
		const plain = executor.submit(() => 2);
		await plain;
		expect(cloud.tasks.get(String(future.taskId))?.resources).toEqual({
			cores: 2,
			memory_bytes: 1024,
			gpus: 1,
			walltime_ms: 60,
		});
		expect(cloud.tasks.get(String(plain.taskId))?.resources).toEqual({ walltime_ms: 5_000 });
	});

	test("GC-9: what a template asks for travels with each submit, and what this client is", async () => {
		await using executor = open({ userEndpointConfig: { max_blocks: 4 } });
		await executor.with({ resources: { cores: 2 } }).submit(() => 1);
		await executor.submit(() => 2);
		const bodies = cloud.seen.filter(({ path }) => path.endsWith("/submit")).map(({ body }) => JSON.parse(body));
		expect(bodies).toHaveLength(2);
		for (const body of bodies)
			expect(body).toMatchObject({
				user_endpoint_config: { max_blocks: 4 },
				user_runtime: { errand_sdk_version: expect.any(String), node_version: process.versions.node },
			});
	});

	test("HQ-2: BAL-5: PAR-6: shares of devices, named resources, nodes, ranks, other ways and the expected time travel", async () => {
		await using executor = open({ expectedMs: 2_400_000 });
		const future = executor
			.with({
				resources: {
					gpus: 0.5,
					nodes: 1,
					ranksPerNode: 4,
					named: { fpga: 1 },
					image: "sim.sif",
					priority: 2,
					variants: [{ cores: 16, memoryBytes: 1e9 }, { nodes: 2 }],
				},
				expectedMs: 60,
			})
			.submit(() => 1);
		await future;
		const plain = executor.submit(() => 2);
		await plain;
		expect(cloud.tasks.get(String(future.taskId))?.resources).toEqual({
			gpus: 0.5,
			nodes: 1,
			ranks_per_node: 4,
			resources: { fpga: 1 },
			container_image: "sim.sif",
			priority: 2,
			variants: [{ cores: 16, memory_bytes: 1e9 }, { nodes: 2 }],
			expected_ms: 60,
		});
		expect(cloud.tasks.get(String(plain.taskId))?.resources).toEqual({ expected_ms: 2_400_000 });
	});

	test("BAL-5: an MPI program asks for its ranks; what the executor says goes before it", async () => {
		await using executor = open({ resources: { priority: 1 } });
		const solver = mpi("./solver {n}", { nodes: 2, ranksPerNode: 8, walltimeMs: 9_000, expectedMs: 5_000 });
		const asked = async (from: Executor): Promise<unknown> => {
			const future = from.submit(solver, { n: 1 });
			const { cmd } = await future;
			expect(cmd).toBe("./solver {n}");
			return cloud.tasks.get(String(future.taskId))?.resources;
		};
		const own = { nodes: 2, ranks_per_node: 8, walltime_ms: 9_000, expected_ms: 5_000 };
		expect(await asked(executor)).toEqual({ ...own, priority: 1 });
		const larger = executor.with({ resources: { nodes: 4, gpus: 1 }, walltimeMs: 20_000 });
		expect(await asked(larger)).toEqual({ ...own, nodes: 4, gpus: 1, walltime_ms: 20_000 });
		expect(await asked(executor)).toEqual({ ...own, priority: 1 });
	});

	test("NEW-8: a future says why its task waits, and that it does not when it has ended", async () => {
		await using executor = open();
		const { open: release } = gate();
		const future = executor.submit(() => 1);
		expect(await future.explain()).toMatchObject({ state: "submitting", word: "delivery", since: undefined });
		await future.accepted;
		expect(await future.explain()).toEqual({
			state: "waiting-for-nodes",
			word: "block-pending",
			sentence: "One block is queued, because of Priority.",
			since: new Date(0),
		});
		release();
		await future;
		expect(await future.explain()).toMatchObject({ state: "success", word: null });
		const never = executor.submit(() => 1);
		await never.cancel();
		expect(await never.explain()).toMatchObject({ state: "cancelled", word: null });
	});

	test("NEW-8: dependency: a future that waits for others names them, and what the head of the chain waits for", async () => {
		await using executor = open();
		const { open: release } = gate();
		const first = executor.submit(function first() {
			return 1;
		});
		const next = (x: number): number => x + 1;
		const second = executor.submit(next, first);
		const third = executor.submit((x: number, y: number, z: number) => x + y + z, second, first, 5);
		await first.accepted;
		expect(third.waitsFor).toEqual([second, first]);
		expect(await second.explain()).toEqual({
			state: "submitting",
			word: "dependency",
			sentence: `It is sent when the futures among its arguments have their values: first (task ${first.taskId}). That one: One block is queued, because of Priority.`,
			since: undefined,
		});
		const { sentence } = await third.explain();
		expect(sentence).toContain("next and 1 more. At the head of that chain, first (task");
		release();
		expect(await third).toBe(8);
		expect(third.waitsFor).toEqual([]);
	});

	test("GC-3: ten thousand tasks of a map go out in few requests", async () => {
		await using executor = open();
		const squares = await executor
			.map(
				(x: number) => x * x,
				Array.from({ length: 10_000 }, (_, i) => i),
			)
			.toArray();
		expect(squares).toHaveLength(10_000);
		expect(squares[9_999]).toBe(9_999 ** 2);
		expect(cloud.paths("POST").filter((path) => path.endsWith("/submit")).length).toBeLessThanOrEqual(6);
	});

	test("NEW-14: arguments and results above the inline limit go by reference, once each", async () => {
		await using executor = open();
		const large = "ü".repeat(200_000);
		const echo = (text: string): string => `${text}!`;
		expect(await executor.submit(echo, large)).toBe(`${large}!`);
		expect(await executor.submit(echo, large)).toBe(`${large}!`);
		expect(cloud.paths("PUT")).toHaveLength(1);
		expect(cloud.paths("GET").filter((path) => path.startsWith("/v1/blobs/"))).toHaveLength(2);
	});

	test("GC-4: a result whose bytes were changed in the blob store is refused", async () => {
		cloud.inlineLimitBytes = 10;
		await using executor = open();
		const { open: release } = gate();
		const future = executor.submit(() => "a long enough text");
		await future.accepted;
		release();
		const spoil = cloud.blobs.set.bind(cloud.blobs);
		cloud.blobs.set = (key, bytes) => spoil(key, Buffer.concat([bytes, Buffer.from("x")]));
		await expect(future).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
	});

	test("GC-7: a task that runs is cancelled, and says so", async () => {
		await using executor = open();
		gate();
		const future = executor.submit(() => 1);
		await future.accepted;
		expect(await future.cancel()).toBe(true);
		await expect(future).rejects.toBeInstanceOf(CancelledError);
		expect(await future.cancel()).toBe(false);
	});

	test("GC-7: a task that has not left is cancelled without a request", async () => {
		await using executor = open();
		const future = executor.submit(() => 1);
		expect(await future.cancel()).toBe(true);
		await expect(future).rejects.toBeInstanceOf(CancelledError);
		expect(await future.status()).toBe("cancelled");
		expect(cloud.tasks.size).toBe(0);
	});

	test("GC-1: all futures of a group are found again, finished or not", async () => {
		const executor = open();
		const done = executor.submit((x: number) => x + 1, 1);
		await done;
		const { open: release } = gate();
		const running = executor.submit((x: number) => x + 2, 1);
		await running.accepted;
		const { taskGroup } = executor;
		await executor.close();
		await expect(running).rejects.toBeInstanceOf(ClosedError);
		await using again = await Executor.reload({ taskGroup, cloudUrl: cloud.url, token: "good" });
		expect(again.map((future) => future.taskId)).toEqual([done.taskId, running.taskId]);
		expect(await again[0]).toBe(2);
		expect(again[1]?.settled).toBe(false);
		release();
		expect(await again[1]).toBe(3);
	});

	test("NEW-2: output comes line by line while the task runs", async () => {
		await using executor = open();
		const { open: release } = gate();
		const future = executor.submit(() => 1);
		const task = cloud.tasks.get(await future.accepted);
		if (task === undefined) throw new Error("no task");
		task.stdout = "first\nsec";
		const lines = future.stdout();
		expect((await lines.next()).value).toBe("first");
		const second = lines.next();
		while (![...cloud.sockets.values()].some((socket) => socket.reports)) await turn();
		const say = (data: string): void => {
			const offset_bytes = Buffer.byteLength(task.stdout);
			task.stdout += data;
			cloud.say(task.group, {
				type: "output",
				group: task.group,
				task_id: task.id,
				stream: "stdout",
				offset_bytes,
				data,
				size_bytes: Buffer.byteLength(data),
				truncated: false,
			});
		};
		say("ond\nthird: ü");
		expect((await second).value).toBe("second");
		release();
		expect((await lines.next()).value).toBe("third: ü");
		expect((await lines.next()).done).toBe(true);
	});

	test("NEW-3: progress comes as it is reported and ends with the task", async () => {
		await using executor = open();
		const { open: release } = gate();
		const future = executor.submit(() => 1);
		const task_id = await future.accepted;
		const progress = future.progress();
		const first = progress.next();
		while (![...cloud.sockets.values()].some((socket) => socket.reports)) await turn();
		cloud.say(executor.taskGroup, {
			type: "progress",
			group: executor.taskGroup,
			task_id,
			fraction: 0.5,
			message: "half",
		});
		expect((await first).value).toEqual({ fraction: 0.5, message: "half" });
		release();
		expect((await progress.next()).done).toBe(true);
	});

	test("one function that the endpoint does not permit does not hurt the others of its batch", async () => {
		await using executor = open();
		cloud.scripted.push(
			{
				method: "POST",
				path: /submit$/,
				status: 403,
				body: { code: "FUNCTION_NOT_PERMITTED", detail: "not this one" },
			},
			{
				method: "POST",
				path: /submit$/,
				status: 403,
				body: { code: "FUNCTION_NOT_PERMITTED", detail: "not this one" },
			},
		);
		const outcomes = await Promise.allSettled([executor.submit(() => 1), executor.submit(() => 2)]);
		expect(outcomes.map((outcome) => outcome.status)).toEqual(["rejected", "fulfilled"]);
	});

	test("a batch that is too large goes in halves", async () => {
		await using executor = open();
		const tooLarge = { code: "BATCH_RUN_TOO_LARGE", detail: "too large" };
		cloud.scripted.push({ method: "POST", path: /submit$/, status: 413, body: tooLarge });
		expect(await executor.map((x: number) => x, [1, 2, 3, 4]).toArray()).toEqual([1, 2, 3, 4]);
		expect(cloud.paths("POST").filter((path) => path.endsWith("/submit"))).toHaveLength(3);
	});

	test("a closed executor takes nothing more", async () => {
		const executor = open();
		await executor.close();
		expect(() => executor.submit(() => 1)).toThrow(ClosedError);
	});

	test("a failure that nobody awaits does not end the process", async () => {
		await using executor = open();
		const unhandled: unknown[] = [];
		const listen = (reason: unknown): void => void unhandled.push(reason);
		process.on("unhandledRejection", listen);
		executor.submit(() => {
			throw new Error("nobody looks");
		});
		await executor.drain();
		await turn();
		process.off("unhandledRejection", listen);
		expect(unhandled).toEqual([]);
	});

	test("a program that forgets to close ends when its tasks have ended, and not before", async () => {
		const program = `
			const { Executor } = await import(${JSON.stringify(new URL("./index.ts", import.meta.url).href)});
			const executor = new Executor({ endpoint: "local", cloudUrl: ${JSON.stringify(cloud.url)}, token: "good" });
			executor.submit((x) => x + 1, 41).then((value) => console.log(value));
		`;
		const { promise, resolve: release } = Promise.withResolvers<void>();
		cloud.before = () => promise;
		const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const ended = once(child, "exit");
		let printed = "";
		child.stdout.on("data", (data) => {
			printed += data;
		});
		await vi.waitUntil(() => cloud.sockets.size === 1 && cloud.tasks.size === 1, { timeout: 10_000 });
		release();
		expect(await ended).toEqual([0, null]);
		expect(printed).toBe("42\n");
	});

	test("arguments that cannot travel are refused by their path", () => {
		const executor = open();
		const refuse = (value: unknown): unknown => {
			try {
				executor.submit((x: unknown) => x, value);
			} catch (error) {
				return error;
			}
			return undefined;
		};
		expect(refuse({ a: [{ callback: () => 1 }] })).toBeInstanceOf(SerializationError);
		expect(refuse({ a: [{ callback: () => 1 }] })).toMatchObject({ path: "arguments[0].a[0].callback" });
		expect(refuse([Symbol("s")])).toMatchObject({ path: "arguments[0][0]" });
		expect(refuse({ weak: new WeakMap() })).toMatchObject({ path: "arguments[0].weak" });
	});
});
