import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Fault, newId, type TaskId } from "@errand/proto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../config/config.ts";
import { openLocalScheduler } from "../scheduler/local/local.ts";
import { batchOf, FakeCloud, returnedBy } from "./daemon.test-harness.ts";
import { type Daemon, type DaemonOptions, openDaemon } from "./daemon.ts";
import { silentLogger } from "./logger.ts";
import { TaskAudit } from "./task-audit.ts";

const managerProgram = fileURLToPath(new URL("../manager/main.ts", import.meta.url));

let home: string;
let directory: string;
let cloud: FakeCloud;
let daemons: Daemon[];

beforeEach(() => {
	home = mkdtempSync(join(tmpdir(), "errand-daemon-"));
	directory = join(home, "local");
	mkdirSync(directory);
	cloud = new FakeCloud();
	daemons = [];
});
afterEach(async () => {
	for (const daemon of daemons) await daemon.stop({ hurry: true });
	rmSync(home, { recursive: true, force: true });
});

async function start(config = "", more: Partial<DaemonOptions> = {}): Promise<Daemon> {
	const daemon = await openDaemon({
		directory,
		endpointId: newId(),
		config: parseConfig(`workers_per_node: 2\ncores_per_node: 2\n${config}`, "config.yaml", directory),
		version: "0.1.0",
		cloud: cloud.client,
		scheduler: openLocalScheduler({ directory, log: silentLogger }),
		managerProgram,
		log: silentLogger,
		connect: cloud.connect,
		...more,
	});
	daemons.push(daemon);
	return daemon;
}

const answerOf = (id: TaskId): unknown => returnedBy(cloud.results.get(id));
const ended = (ids: readonly TaskId[]) =>
	vi.waitFor(() => expect(ids.filter((id) => !cloud.results.has(id))).toEqual([]), { timeout: 20_000, interval: 20 });
const running = () =>
	vi.waitFor(() => expect(cloud.heartbeats.at(-1)?.managers).toBe(1), { timeout: 15_000, interval: 20 });

/** As a kill -9: the daemon's object is forgotten, its connections break, nothing is closed in order. */
async function crash(daemon: Daemon): Promise<void> {
	daemons.splice(daemons.indexOf(daemon), 1);
	await daemon.abandon();
}

describe("the daemon with a real manager and real workers", () => {
	test("tasks come in, run and go out; the endpoint tells how it is", async () => {
		await start();
		const { bytes, ids } = batchOf(
			"export const f = (x) => x * 2;",
			Array.from({ length: 300 }, (_, i) => [i]),
		);
		await cloud.events?.taskBatch(bytes);
		await ended(ids);
		expect(ids.map(answerOf)).toEqual(ids.map((_, i) => i * 2));
		await running();
		expect(cloud.heartbeats.at(-1)).toMatchObject({ active: true, total_workers: 2, managers: 1, scheduler: "local" });
	});

	test("GC-9: one with nothing to do for long enough ends, but not under a task; each task is told of", async () => {
		const told: string[] = [];
		const audit = new TaskAudit(({ says, task }) => told.push(`${says} ${task}`));
		const daemon = await start("", { idleShutdownMs: 600, audit });
		const { bytes, ids } = batchOf("export const f = () => new Promise((resolve) => setTimeout(resolve, 1500, 1));", [
			[],
		]);
		await cloud.events?.taskBatch(bytes);
		let over = false;
		void daemon.ending.then(() => {
			over = true;
		});
		await ended(ids);
		expect(over).toBe(false);
		expect(await daemon.ending).toBe("idle");
		await daemon.stop();
		expect(cloud.heartbeats.at(-1)).toMatchObject({ active: false });
		expect(told).toEqual(["accepted", "started", "ended"].map((word) => `${word} ${ids[0]}`));
	});

	test("GC-9: a function that allowed_functions does not list is refused by the daemon itself", async () => {
		await start(`allowed_functions: [${newId()}]`);
		const { bytes, ids } = batchOf("export const f = () => 1;", [[]]);
		await cloud.events?.taskBatch(bytes);
		await ended(ids);
		expect(answerOf(ids[0] as TaskId)).toMatchObject({ code: "FUNCTION_NOT_PERMITTED" });
	});

	test("NEW-7: a batch that the broker delivers twice runs once", async () => {
		await start();
		const { bytes, ids } = batchOf("export const f = () => 1;", [[], []]);
		await Promise.all([cloud.events?.taskBatch(bytes), cloud.events?.taskBatch(bytes)]);
		await ended(ids);
		await cloud.events?.taskBatch(bytes);
		const { bytes: more, ids: moreIds } = batchOf("export const f = () => 1;", [[]]);
		await cloud.events?.taskBatch(more);
		await ended(moreIds);
		expect(cloud.recordedTwice).toBe(0);
	});

	test("GC-7, NEW-5: running, waiting and unseen tasks are cancelled", async () => {
		await start();
		const { bytes, ids } = batchOf("export const f = () => new Promise((r) => setTimeout(r, 1e6));", [[], [], []]);
		const later = batchOf("export const f = () => 1;", [[]]);
		await cloud.events?.taskBatch(bytes);
		await running();
		await cloud.events?.command({
			command: "cmd_cancel_tasks",
			kwargs: { task_ids: [...ids, ...later.ids], grace_ms: 200 },
		});
		await cloud.events?.taskBatch(later.bytes);
		await ended([...ids, ...later.ids]);
		for (const id of [...ids, ...later.ids]) expect(cloud.results.get(id)?.cancelled).toBe(true);
	});

	test("NEW-7, HQ-13: managers outlive the daemon; after a restart what ran is not run again and its results come", async () => {
		const marks = join(home, "marks");
		const source =
			"import { appendFileSync } from 'node:fs'; export const f = async (ms, file, i) => { appendFileSync(file, i + '\\n'); await new Promise((r) => setTimeout(r, ms)); return i; };";
		const first = await start();
		const { bytes, ids } = batchOf(
			source,
			[0, 1, 2, 3].map((i) => [800, marks, i]),
		);
		await cloud.events?.taskBatch(bytes);
		await vi.waitFor(() => expect(readFileSync(marks, "utf8").split("\n").length).toBeGreaterThan(2), {
			timeout: 15_000,
			interval: 20,
		});
		await crash(first);
		await start();
		await ended(ids);
		expect(ids.map(answerOf)).toEqual([0, 1, 2, 3]);
		expect(execFileSync("sort", [marks]).toString()).toBe("0\n1\n2\n3\n");
		expect(cloud.recordedTwice).toBe(0);
	});

	test("NEW-7: results that the broker did not confirm go out after the next start", async () => {
		const first = await start();
		cloud.confirms = false;
		const { bytes, ids } = batchOf("export const f = (x) => x;", [[1], [2]]);
		await cloud.events?.taskBatch(bytes);
		await running();
		await vi.waitFor(() => expect(cloud.heartbeats.at(-1)?.managers).toBe(1));
		await first.stop();
		expect(cloud.results.size).toBe(0);
		cloud.confirms = true;
		await start();
		await ended(ids);
		expect(ids.map(answerOf)).toEqual([1, 2]);
	});

	test("HQ-8: a manager that is killed takes no task with it: what it ran is run again", async () => {
		await start();
		const { bytes, ids } = batchOf(
			"export const f = () => new Promise((r) => setTimeout(() => r(process.pid), 1500));",
			[[], []],
		);
		await cloud.events?.taskBatch(bytes);
		await running();
		const pid = execFileSync("pgrep", ["-f", `${managerProgram}$`])
			.toString()
			.split("\n")
			.map(Number)
			.find(
				(one) =>
					one > 0 &&
					execFileSync("cat", [`/proc/${one}/environ`])
						.toString()
						.includes(`ERRAND_ENDPOINT_DIRECTORY=${directory}\0`),
			);
		process.kill(pid as number, "SIGKILL");
		await ended(ids);
		for (const id of ids) expect(cloud.results.get(id)?.outcome.case).toBe("value");
	});

	test("stopping ends managers and workers, says so, and leaves the lease", async () => {
		const daemon = await start();
		const { bytes, ids } = batchOf("export const f = () => 1;", [[]]);
		await cloud.events?.taskBatch(bytes);
		await ended(ids);
		await daemon.stop();
		expect(cloud.heartbeats.at(-1)).toMatchObject({ active: false, heartbeat_period: 0 });
		expect(cloud.leaseHolder).toBeUndefined();
		expect(await openLocalScheduler({ directory, log: silentLogger }).listOurs()).toEqual(new Map());
	});

	test("NEW-24: a daemon that loses its lease stops at once and leaves managers alone", async () => {
		const daemon = await start();
		await running();
		cloud.leaseHolder = newId();
		const error = await daemon.ending;
		expect(error).toMatchObject({ message: "held by node7 (process 42)" });
		await daemon.stop();
		const scheduler = openLocalScheduler({ directory, log: silentLogger });
		const jobs = await scheduler.listOurs();
		expect(jobs.size).toBe(1);
		await scheduler.cancel([...jobs.values()], 1000);
	});

	const ownBlocks = async () => (await openLocalScheduler({ directory, log: silentLogger }).listOurs()).size;

	test.each(["", "keep_managers: true"])(
		"a daemon whose endpoint was deleted ends its blocks, whatever a stop would leave (%s)",
		async (config) => {
			const daemon = await start(config);
			await running();
			cloud.events?.refused(new Fault("ENDPOINT_NOT_FOUND", "deleted"));
			expect(await daemon.ending).toMatchObject({ code: "ENDPOINT_NOT_FOUND" });
			await daemon.stop();
			expect(await ownBlocks()).toBe(0);
		},
	);

	test("a daemon whose endpoint was locked ends as if it were stopped", async () => {
		const daemon = await start();
		await running();
		cloud.events?.refused(new Fault("RESOURCE_LOCKED", "locked until later"));
		expect(await daemon.ending).toBeUndefined();
		await daemon.stop();
		expect(await ownBlocks()).toBe(0);
		expect(cloud.leaseHolder).toBeUndefined();
	});

	test("a daemon whose key is not accepted any more leaves managers to one with a new key", async () => {
		const daemon = await start();
		await running();
		cloud.events?.refused(new Fault("USER_UNAUTHENTICATED", "not this key"));
		await daemon.stop();
		expect(await ownBlocks()).toBe(1);
		await (await start()).stop();
		expect(await ownBlocks()).toBe(0);
	});

	test("a daemon that hears of its endpoint's end at the lease ends its blocks too", async () => {
		const daemon = await start();
		await running();
		cloud.deleted = true;
		expect(await daemon.ending).toMatchObject({ code: "ENDPOINT_NOT_FOUND" });
		await daemon.stop();
		expect(await ownBlocks()).toBe(0);
	});
});
