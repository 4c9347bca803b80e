import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Executor, mpi, type Resources, type TaskFuture } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

const config = `
workers_per_node: 8
cores_per_node: 8
available_accelerators: ["0", "1"]
resources_per_node: { fpga: 2 }
heartbeat_period: 5s
environment: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" }
`;
const patient = { timeout: 60_000, interval: 50 };

let cloud: TestCloud;
let client: Client;
let endpoint: TestEndpoint;
let executor: Executor;

beforeAll(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	endpoint = await TestEndpoint.start(cloud, client, { config });
	executor = new Executor({ endpoint: "local", client });
});
afterAll(async () => {
	await executor?.close();
	await endpoint?.stop();
	await cloud?.stop();
});

/** Tasks that ask for the same and run until told to end; what each saw of the devices. */
function holders(name: string, resources: Resources, count: number) {
	const directory = join(cloud.home, name);
	mkdirSync(directory);
	const asking = executor.with({ resources });
	const futures = Array.from({ length: count }, (_, n) =>
		asking.submit(
			async (place: string, index: number) => {
				const fs = process.getBuiltinModule("node:fs");
				fs.writeFileSync(`${place}/running-${index}`, "");
				while (!fs.existsSync(`${place}/end`)) await new Promise((resolve) => setTimeout(resolve, 20));
				return process.env.CUDA_VISIBLE_DEVICES;
			},
			directory,
			n,
		),
	);
	const end = (): void => writeFileSync(join(directory, "end"), "");
	return {
		futures,
		end,
		[Symbol.dispose]: end,
		running: () => readdirSync(directory).filter((file) => file.startsWith("running-")).length,
	};
}

/** The endpoint's next heartbeat says it. */
function waitsFor(future: TaskFuture<unknown>, word: string, sentence: RegExp): Promise<void> {
	return vi.waitFor(async () => {
		const told = await future.explain();
		expect(told).toMatchObject({ word, sentence: expect.stringMatching(sentence) });
	}, patient);
}

describe("HQ-2: what tasks share", () => {
	test("four halves fill two devices, two on each; a fifth waits and says for what", async () => {
		using halves = holders("halves", { gpus: 0.5 }, 5);
		await vi.waitFor(() => expect(halves.running()).toBe(4), patient);
		const states = await Promise.all(halves.futures.map((future) => future.status()));
		const last = halves.futures[states.findLastIndex((state) => state !== "running")] as TaskFuture<unknown>;
		await waitsFor(last, "nodes-busy", /GPU/);
		expect(halves.running()).toBe(4);
		halves.end();
		const seen = await Promise.all(halves.futures);
		expect(seen.slice(0, 4).sort()).toEqual(["0", "0", "1", "1"]);
	});

	test("a named resource is given out as often as there is of it", async () => {
		using cards = holders("cards", { named: { fpga: 1 } }, 3);
		await vi.waitFor(() => expect(cards.running()).toBe(2), patient);
		await waitsFor(cards.futures[2] as TaskFuture<unknown>, "nodes-busy", /fpga/);
		cards.end();
		await Promise.all(cards.futures);
	});

	test("when the devices are taken the next way is tried", async () => {
		using whole = holders("whole", { gpus: 2 }, 1);
		await vi.waitFor(() => expect(whole.running()).toBe(1), patient);
		const either = executor.with({ resources: { gpus: 1, variants: [{ cores: 4 }] } });
		expect(await either.submit(() => [process.env.CUDA_VISIBLE_DEVICES, process.env.ERRAND_CORES])).toEqual(["", "4"]);
		whole.end();
		await Promise.all(whole.futures);
		expect(await either.submit(() => process.env.CUDA_VISIBLE_DEVICES)).toBe("0");
	});

	test("what nobody has is refused with the name of it", async () => {
		const asking = executor.with({ resources: { named: { quantum: 1 } } });
		await expect(asking.submit(() => 1)).rejects.toMatchObject({
			code: "RESOURCES_UNAVAILABLE",
			message: expect.stringContaining("quantum"),
		});
	});
});

test("BAL-5: a program of four ranks runs four times, and its output comes together", async () => {
	// With an MPI on the machine its launcher says which rank it is, without one the endpoint does.
	const program = mpi('echo "rank $OMPI_COMM_WORLD_RANK$PMI_RANK$ERRAND_RANK"', { ranksPerNode: 4 });
	const { returncode, stdout, stderr } = await executor.submit(program);
	expect(returncode, stderr).toBe(0);
	expect(stdout.trim().split("\n").sort()).toEqual(["rank 0", "rank 1", "rank 2", "rank 3"]);
});
