import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { Executor } from "@errand/sdk";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import type { LoggedProcess } from "../harness/process.ts";
import { readRecord, settled, submitWorkload } from "../harness/workload.ts";

const leaseHeld = 75;

let cloud: TestCloud;
let endpoint: TestEndpoint;
let executor: Executor;
const others: LoggedProcess[] = [];

beforeEach(async () => {
	cloud = await TestCloud.start();
	const { client } = await cloud.login("ada");
	endpoint = await TestEndpoint.start(cloud, client, { config: "workers_per_node: 2\norphan_limit: 10s\n" });
	executor = new Executor({ endpoint: "local", client });
});
afterEach(async () => {
	await executor?.close();
	for (const other of others.splice(0)) await other.stop();
	if (!endpoint.process.ended) await endpoint.stop();
	await vi.waitFor(() => expect(endpoint.processesLeft()).toEqual([]), { timeout: 60_000, interval: 200 });
	await cloud?.stop();
});

/** As on another machine with the same home directory but not the same state: only what was configured. */
function elsewhere(): string {
	const directory = join(cloud.home, "elsewhere", basename(endpoint.directory));
	mkdirSync(directory, { recursive: true, mode: 0o700 });
	for (const file of ["credentials.json", "config.yaml"]) cpSync(join(endpoint.directory, file), join(directory, file));
	return directory;
}

function another(directory?: string): LoggedProcess {
	const process = endpoint.spawn(directory);
	others.push(process);
	return process;
}

describe("NEW-24: one daemon serves an endpoint", () => {
	test("a second one of the same directory says where the first runs, ends, and leaves it alone", async () => {
		const record = processRecord();
		expect(record).toContain(String(endpoint.process.pid));
		const second = another();
		expect(await second.exit()).toBe(leaseHeld);
		expect(second.output).toContain(`process ${endpoint.process.pid}`);
		expect(await executor.submit(() => "served")).toBe("served");
		expect(endpoint.process.ended).toBe(false);
		expect(processRecord()).toBe(record);
	});

	test("a second one elsewhere waits until the lease should have run out, says who renews it, and ends", {
		timeout: 180_000,
	}, async () => {
		const second = another(elsewhere());
		await second.line("another daemon has it");
		expect(await executor.submit(() => "served")).toBe("served");
		expect(await second.exit()).toBe(leaseHeld);
		expect(second.output).toContain(`served by process ${endpoint.process.pid} on ${hostname()}`);
		expect(await executor.submit(() => "still served")).toBe("still served");
	});

	test("after kill -9 of the first a new one takes over at once", async () => {
		await endpoint.kill();
		const killedAt = performance.now();
		await endpoint.start();
		expect(await executor.submit(() => "served")).toBe("served");
		expect(endpoint.process.output).not.toContain("another daemon has it");
		expect(performance.now() - killedAt).toBeLessThan(20_000); // a lease runs for 30 s
	});

	test("a daemon that lost its lease while it was stopped stops for good, and the new one serves", {
		timeout: 180_000,
	}, async () => {
		process.kill(endpoint.process.pid, "SIGSTOP");
		const second = another(elsewhere());
		await second.line("uplink: connected to the broker");
		process.kill(endpoint.process.pid, "SIGCONT");
		expect(await endpoint.process.exit()).toBe(leaseHeld);
		expect(await executor.submit(() => "served")).toBe("served");
		expect(second.ended).toBe(false);
	});
});

/** What `errand endpoint status` goes by; undefined when it is gone. */
function processRecord(): string | undefined {
	const path = join(endpoint.directory, "process.json");
	return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

test("HQ-6: a daemon that is killed five times among 2,000 tasks loses none and runs none twice", {
	timeout: 240_000,
}, async () => {
	const count = 2_000;
	const record = join(cloud.home, "record");
	const futures = submitWorkload(executor, record, count);
	for (let kill = 1; kill <= 5; kill++) {
		// At moments that nobody chose: somewhere in the next part of the tasks.
		await settled(futures, Math.ceil((count / 6) * (kill - 1 + Math.random())) || 1);
		await endpoint.kill();
		await endpoint.start();
	}
	expect(await Promise.all(futures)).toEqual(Array.from({ length: count }, (_, index) => index));
	const { begun, ended } = readRecord(record);
	expect(ended.size).toBe(count);
	expect([...begun].filter(([, times]) => times > 1)).toEqual([]);
});
