import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Client, Executor, LostError } from "@errand/sdk";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { childrenOf, commandOf } from "../harness/pids.ts";

const patient = { timeout: 60_000, interval: 20 };
/** One try and `max_retries_on_loss` more. */
const tries = 4;

let cloud: TestCloud;
let client: Client;
let endpoint: TestEndpoint;
let executor: Executor;
let record: string;

beforeEach(async () => {
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
	endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\nmax_retries_on_loss: 3\n" });
	executor = new Executor({ endpoint: "local", client });
	record = join(cloud.home, "record");
	appendFileSync(record, "");
});
afterEach(async () => {
	await executor?.close();
	await endpoint?.stop();
	expect(endpoint?.processesLeft() ?? []).toEqual([]);
	await cloud?.stop();
});

const runs = (): number => readFileSync(record, "utf8").split("\n").length - 1;

test("HQ-8: a task that kills its own worker each time ends as poison after its budget, and nobody else is hurt", {
	timeout: 120_000,
}, async () => {
	const poison = executor.submit(async (path: string) => {
		process.getBuiltinModule("node:fs").appendFileSync(path, "run\n");
		process.kill(process.pid, "SIGKILL");
		await new Promise(() => {});
	}, record);
	const others = Array.from({ length: 200 }, (_, n) => executor.submit((x: number) => x, n));
	const failure = (await poison.catch((error: unknown) => error)) as LostError;
	expect(failure).toBeInstanceOf(LostError);
	expect(failure).toMatchObject({ code: "POISON", signal: "SIGKILL" });
	expect(failure.message).toContain(`died ${tries} times, each time while the task ran`);
	expect(failure.message).toContain("SIGKILL");
	expect(runs()).toBe(tries);
	expect(await Promise.all(others)).toEqual(Array.from({ length: 200 }, (_, n) => n));
});

test("HQ-8: what was lost before the daemon died counts after it", { timeout: 120_000 }, async () => {
	const poison = executor.submit(
		async (path: string, home: string) => {
			const { appendFileSync, existsSync, readFileSync } = process.getBuiltinModule("node:fs");
			appendFileSync(path, "run\n");
			const run = readFileSync(path, "utf8").split("\n").length - 1;
			while (!existsSync(`${home}/kill-${run}`)) await new Promise((resolve) => setTimeout(resolve, 20));
			process.kill(process.pid, "SIGKILL");
			await new Promise(() => {});
		},
		record,
		cloud.home,
	);
	const kill = (run: number): void => writeFileSync(join(cloud.home, `kill-${run}`), "");
	kill(1);
	kill(2);
	await vi.waitFor(() => expect(runs()).toBe(3), patient);
	await endpoint.kill();
	await endpoint.start();
	// The third run goes on under the new daemon: it was never ended by the old one's death.
	expect(runs()).toBe(3);
	kill(3);
	kill(4);
	await expect(poison).rejects.toMatchObject({ code: "POISON" });
	expect(runs()).toBe(tries);
});

test("a worker that somebody kills once costs its task one more run, no more", { timeout: 120_000 }, async () => {
	const gate = join(cloud.home, "gate");
	const future = executor.submit(
		async (path: string, until: string) => {
			const { appendFileSync, existsSync } = process.getBuiltinModule("node:fs");
			appendFileSync(path, "run\n");
			while (!existsSync(until)) await new Promise((resolve) => setTimeout(resolve, 20));
			return process.pid;
		},
		record,
		gate,
	);
	await vi.waitFor(() => expect(runs()).toBe(1), patient);
	const workers = endpoint
		.managerPids()
		.flatMap(childrenOf)
		.filter((pid) => commandOf(pid).includes("/worker/"));
	for (const pid of workers) process.kill(pid, "SIGKILL");
	await vi.waitFor(() => expect(runs()).toBe(2), patient);
	writeFileSync(gate, "");
	expect(workers).not.toContain(await future);
	expect(runs()).toBe(2);
	expect((await future.document()).execution?.losses).toBe(1);
});
