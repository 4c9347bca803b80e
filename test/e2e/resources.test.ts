import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Executor, python, RemoteError, shell, type TaskFuture } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const config = `
workers_per_node: 8
cores_per_node: 8
memory_per_node: 8GiB
available_accelerators: ["0", "1", "2", "3"]
`;
const patient = { timeout: 60_000, interval: 20 };

let cloud: TestCloud;
let endpoint: TestEndpoint;
let executor: Executor;

beforeAll(async () => {
	cloud = await TestCloud.start();
	const { client } = await cloud.login("ada");
	endpoint = await TestEndpoint.start(cloud, client, { config });
	executor = new Executor({ endpoint: "local", client });
});
afterAll(async () => {
	await executor?.close();
	await endpoint?.stop();
	await cloud?.stop();
});

/** Says that it runs, waits until it may end, tells what it was given. */
async function hold(
	directory: string,
	index: number,
): Promise<{ gpus: string | undefined; cores: string | undefined }> {
	const fs = process.getBuiltinModule("node:fs");
	fs.writeFileSync(`${directory}/running-${index}`, "");
	while (!fs.existsSync(`${directory}/end-${index}`) && !fs.existsSync(`${directory}/end`))
		await new Promise((resolve) => setTimeout(resolve, 20));
	fs.rmSync(`${directory}/running-${index}`);
	return { gpus: process.env.CUDA_VISIBLE_DEVICES, cores: process.env.ERRAND_CORES };
}

/** A place where tasks say that they run; `end` lets one of them, or all, end. */
function place(name: string) {
	const directory = join(cloud.home, name);
	mkdirSync(directory);
	return {
		directory,
		running: () => readdirSync(directory).filter((file) => file.startsWith("running-")).length,
		end: (index?: number) => writeFileSync(join(directory, index === undefined ? "end" : `end-${index}`), ""),
	};
}

/** Exactly so many of the tasks run at once, until all have ended. */
async function packed<T>(at: ReturnType<typeof place>, futures: TaskFuture<T>[], together: number): Promise<T[]> {
	await vi.waitFor(() => expect(at.running()).toBe(together), patient);
	// One that could start, would: a task without a wish goes through the same hands now and is answered.
	await executor.submit(() => 1);
	expect(at.running()).toBe(together);
	at.end();
	return Promise.all(futures);
}

describe("HQ-2: a task's share of a node is its own", () => {
	test("four tasks of one GPU each see four different devices, a fifth waits for one", async () => {
		const at = place("gpus");
		const one = executor.with({ resources: { gpus: 1 } });
		const futures = Array.from({ length: 4 }, (_, n) => one.submit(hold, at.directory, n));
		await vi.waitFor(() => expect(at.running()).toBe(4), patient);
		const fifth = one.submit(hold, at.directory, 4);
		await fifth.accepted;
		await executor.submit(() => 1);
		expect(existsSync(join(at.directory, "running-4"))).toBe(false);
		at.end(2);
		const freed = await futures[2];
		await vi.waitFor(() => expect(existsSync(join(at.directory, "running-4"))).toBe(true), patient);
		at.end();
		expect((await fifth).gpus).toBe(freed?.gpus);
		const seen = (await Promise.all(futures)).map(({ gpus }) => gpus);
		expect(seen.sort()).toEqual(["0", "1", "2", "3"]);
	});

	test("a task of two GPUs sees both, in every vendor's word and every language; one of none sees none", async () => {
		const two = executor.with({ resources: { gpus: 2 } });
		const words = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"];
		expect(await two.submit((names: string[]) => names.map((name) => process.env[name]), words)).toEqual(
			words.map(() => "0,1"),
		);
		const inPython = python<[], string>({
			source: "import os\ndef f():\n    return os.environ['CUDA_VISIBLE_DEVICES']\n",
			name: "f",
		});
		expect(await two.submit(inPython)).toBe("0,1");
		expect((await two.submit(shell("printf %s $CUDA_VISIBLE_DEVICES"))).stdout).toBe("0,1");
		const none = executor.with({ resources: { cores: 2 } });
		expect(await none.submit(() => process.env.CUDA_VISIBLE_DEVICES)).toBe("");
	});

	test("cores are packed: two tasks of three cores and none more on eight, when two are taken", async () => {
		const at = place("cores");
		const three = executor.with({ resources: { cores: 3 } });
		const futures = Array.from({ length: 4 }, (_, n) => three.submit(hold, at.directory, n));
		const shares = await packed(at, futures, 2);
		expect(shares.map(({ cores }) => cores)).toEqual(["3", "3", "3", "3"]);
	});

	test("memory is packed: two tasks of 3 GiB on 8 GiB", async () => {
		const at = place("memory");
		const big = executor.with({ resources: { memoryBytes: 3 * 2 ** 30 } });
		await packed(
			at,
			Array.from({ length: 4 }, (_, n) => big.submit(hold, at.directory, n)),
			2,
		);
	});

	test("what no node can give is refused at once, with what there is", async () => {
		for (const [resources, says] of [
			[{ gpus: 5 }, /5 GPUs?/],
			[{ cores: 9 }, /9 cores/],
			[{ memoryBytes: 9 * 2 ** 30 }, /memory/],
		] as const) {
			const failure = await executor
				.with({ resources })
				.submit(() => 1)
				.catch((error: unknown) => error);
			expect(failure).toBeInstanceOf(RemoteError);
			expect(failure).toMatchObject({ code: "RESOURCES_UNAVAILABLE", message: expect.stringMatching(says) });
		}
	});

	test("a task of higher priority goes before those that came earlier", async () => {
		const at = place("priority");
		const whole = { cores: 8 };
		const blocking = executor.with({ resources: whole }).submit(hold, at.directory, 0);
		await vi.waitFor(() => expect(at.running()).toBe(1), patient);
		const low = executor.with({ resources: whole }).submit(() => "low");
		await low.accepted;
		const high = executor.with({ resources: { ...whole, priority: 10 } }).submit(() => "high");
		await high.accepted;
		await vi.waitFor(async () => expect(await high.status()).toBe("waiting-for-nodes"), patient);
		at.end();
		await Promise.all([blocking, low, high]);
		const [lowAt, highAt] = await Promise.all([low, high].map(async (future) => (await future.document()).execution));
		expect(highAt?.finished_at_ms).toBeLessThanOrEqual(lowAt?.started_at_ms as number);
	});
});
