import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../../config/config.ts";
import type { QueueConfig } from "../../config/queue.ts";
import { silentLogger } from "../../service/logger.ts";
import { FakeBatchSystem, type FakeJob, type Interference } from "../fake-batch-system.test-harness.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { type BlockSpec, type Scheduler, SchedulerSilent } from "../scheduler.ts";
import { condorDown, fakeCondorPrograms } from "./fake-condor.test-harness.ts";
import { openCondorScheduler } from "./htcondor.ts";

let system: FakeBatchSystem;
beforeAll(async () => {
	system = await FakeBatchSystem.start(fakeCondorPrograms);
});
beforeEach(() => system.reset());
afterAll(() => system.stop());

const open = (directory: string) => openCondorScheduler({ directory, log: silentLogger, commandTimeoutMs: 2_000 });

describe("HTCondor", () => {
	schedulerContract(open, {
		strangeJob: "999999.0",
		refused: { config: "account: group_broke", words: /Invalid accounting group/ },
		silence: {
			begin: () => {
				system.down = condorDown;
			},
			end: () => {
				system.down = undefined;
			},
		},
	});
});

describe("what HTCondor does to those who ask", () => {
	let directory: string;
	let scheduler: Scheduler;
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-scheduler-"));
		scheduler = open(directory);
	});
	afterEach(() => {
		scheduler.close();
		rmSync(directory, { recursive: true, force: true });
	});
	const submit = async (more: Partial<BlockSpec> = {}): Promise<{ id: string; job: FakeJob; script: string }> => {
		const blockId = newId();
		const id = await scheduler.submit({
			blockId,
			jobName: "errand-block",
			queue: parseConfig("scheduler: htcondor", "config.yaml", directory).queues[0] as QueueConfig,
			command: ["/bin/sleep", "1000"],
			environment: { ERRAND_TOKEN: "a-secret" },
			workerInit: "echo $ERRAND_CONDOR_JOB_ID $ERRAND_BLOCK_ATTEMPT",
			nodes: 1,
			logPath: join(directory, "block.log"),
			...more,
		});
		return { id, job: system.jobs.at(-1) as FakeJob, script: join(directory, "blocks", `${blockId}.condor.sh`) };
	};
	const statusOf = async (id: string, by = scheduler) => (await by.poll([id])).get(id);

	test("the script with the secret is for its owner only, and goes when the job has ended", async () => {
		const { id, job, script } = await submit();
		expect(statSync(script).mode & 0o777).toBe(0o700);
		system.cancel(job);
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject({ state: "ended" }));
		expect(existsSync(script)).toBe(false);
	});

	test("an ended job that has left the queue is looked for in the history", async () => {
		const { id, job } = await submit();
		system.kill(job);
		await vi.waitFor(() => expect(job.state).toBe("ended"));
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "failed", reason: "it was ended by signal 9" });
		expect(system.callsOf("condor_history")).toHaveLength(1);
	});

	test.each<[string, Interference]>([
		["too slow", () => "silence"],
		["not readable", () => ({ code: 1, stderr: "Error: (3) history file not found\n" })],
	])("a history that is %s does not make an ended job live on", async (_, interference) => {
		const { id, job } = await submit();
		system.kill(job);
		await vi.waitFor(() => expect(job.state).toBe("ended"));
		scheduler.close();
		scheduler = openCondorScheduler({ directory, log: silentLogger, commandTimeoutMs: 1_500 });
		system.interfere("condor_history", interference);
		expect(await statusOf(id)).toMatchObject({ state: "ended", end: "vanished" });
	});

	test("a schedd that fails with words only is silent", async () => {
		const { id } = await submit();
		system.interfere("condor_q", () => ({ stderr: "-- Failed to fetch ads from: <127.0.0.1:9618>\n" }));
		await expect(statusOf(id)).rejects.toBeInstanceOf(SchedulerSilent);
	});

	test("a machine that shares no file system with us gets the manager's files with the job", async () => {
		const lib = join(directory, "lib");
		mkdirSync(lib);
		const manager = '#!/bin/bash\ncat "$(dirname "$0")/worker.mjs"; echo "$1" "$ERRAND_MANAGER_DIRECTORY"\n';
		writeFileSync(join(lib, "manager.sh"), manager);
		writeFileSync(join(lib, "worker.mjs"), "a worker\n");
		system.starts = false;
		const { job } = await submit({ command: ["/bin/bash", join(lib, "manager.sh"), "a  b"], workerInit: "" });
		rmSync(lib, { recursive: true });
		system.run(job);
		await vi.waitFor(() =>
			expect(readFileSync(join(directory, "block.log"), "utf8")).toMatch(/^a worker\na {2}b \/.*\/errand\n$/),
		);
	});

	test("an evicted job that runs again says so, and so does what runs in it", async () => {
		const { id, job } = await submit();
		const log = () => readFileSync(join(directory, "block.log"), "utf8");
		await vi.waitFor(() => expect(log()).toBe(`${id} 0\n`));
		expect(await statusOf(id)).toEqual({ state: "running", reason: "" });
		system.requeue(job);
		expect(await statusOf(id)).toMatchObject({ state: "pending" });
		await vi.waitFor(() => expect(system.runs(job)).toBe(false));
		system.run(job);
		expect(await statusOf(id)).toMatchObject({ state: "running", restarts: 1 });
		await vi.waitFor(() => expect(log()).toBe(`${id} 0\n${id} 1\n`));
	});
});
