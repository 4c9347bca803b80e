import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { newId } from "@errand/proto";
import { Executor } from "@errand/sdk";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../../endpoint/src/config/config.ts";
import type { QueueConfig } from "../../endpoint/src/config/queue.ts";
import { openGridEngineScheduler } from "../../endpoint/src/scheduler/gridengine/gridengine.ts";
import { schedulerContract } from "../../endpoint/src/scheduler/scheduler.contract.ts";
import {
	type BlockSpec,
	type JobId,
	type Scheduler,
	SchedulerSilent,
	SubmitRejected,
} from "../../endpoint/src/scheduler/scheduler.ts";
import { silentLogger } from "../../endpoint/src/service/logger.ts";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { startGridEngine, type TestGridEngine } from "../harness/gridengine.ts";

let cell: TestGridEngine;
beforeAll(async () => {
	cell = await startGridEngine();
	for (const [name, value] of Object.entries(cell.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
	vi.unstubAllEnvs();
	await cell.stop();
});

function openIn(directory: string): Scheduler {
	chmodSync(directory, 0o755);
	cell.give(directory);
	return openGridEngineScheduler({ directory, commandTimeoutMs: 3_000, log: silentLogger, user: cell.user.name });
}

const inTime = { timeout: 20_000, interval: 250 };

describe("Grid Engine", () => {
	schedulerContract(openIn, {
		config: "walltime: 5m",
		limitMs: 20_000,
		strangeJob: "98765",
		asksToEnd: false,
		refused: { config: "queue: nosuch.q", words: /unknown queue "nosuch\.q"/ },
		silence: { begin: () => cell.freezeMaster(), end: () => cell.thawMaster() },
	});
});

describe("jobs of Grid Engine", () => {
	let directory: string;
	let scheduler: Scheduler;
	let jobs: JobId[] = [];
	beforeEach(() => {
		directory = mkdtempSync(join(tmpdir(), "errand-grid-"));
		scheduler = openIn(directory);
	});
	afterEach(async () => {
		await scheduler.cancel(jobs, 0);
		jobs = [];
		scheduler.close();
		rmSync(directory, { recursive: true, force: true });
	});

	function specOf(config: string, more: Partial<BlockSpec> = {}): BlockSpec {
		const blockId = newId();
		const queue = parseConfig(`scheduler: gridengine\n${config}`, "config.yaml", directory).queues[0] as QueueConfig;
		return {
			blockId,
			jobName: "errand-grid",
			queue,
			command: ["/bin/sleep", "1000"],
			environment: {},
			workerInit: "",
			nodes: queue.nodesPerBlock,
			logPath: join(directory, "logs", `${blockId}.log`),
			...more,
		};
	}
	async function submit(spec: BlockSpec): Promise<JobId> {
		const id = await scheduler.submit(spec);
		jobs.push(id);
		return id;
	}
	const statusOf = async (id: JobId) => (await scheduler.poll([id])).get(id);
	const logOf = (spec: BlockSpec) => (existsSync(spec.logPath) ? readFileSync(spec.logPath, "utf8") : "");

	test("a job that reaches its walltime is killed, and says that it was for that", async () => {
		const id = await submit(specOf("walltime: 2s"));
		await vi.waitFor(async () => expect((await statusOf(id))?.state).toBe("ended"), inTime);
		jobs = [];
		expect(await statusOf(id)).toMatchObject({ end: "timeout", reason: expect.stringContaining("h_rt") });
	});

	test("a job in error is held, for the reason that Grid Engine gives", async () => {
		const id = await submit(specOf("", { command: ["/bin/sh", "-c", "exit 100"] }));
		const held = { state: "held", reason: expect.stringContaining("exit_status of job start = 100") };
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject(held), inTime);
	});

	test("a job that cannot start waits, for the reason that Grid Engine gives", async () => {
		const id = await submit(specOf("nodes_per_block: 40\nparallel_environment: mpi"));
		const waits = { state: "pending", reason: expect.stringContaining('cannot run in PE "mpi"') };
		await vi.waitFor(async () => expect(await statusOf(id)).toMatchObject(waits), inTime);
	});

	test("DEP-4: a block follows a job that was submitted outside", async () => {
		const first = await submit(specOf(""));
		const second = await submit(specOf(`depends_on_job: "afterany:${first}"`));
		const queued = await scheduler.poll([first, second]);
		expect(queued.get(second)).toMatchObject({ state: "held" });
		await scheduler.cancel([first], 0);
		await vi.waitFor(async () => expect((await statusOf(second))?.state).toBe("running"), inTime);
		await expect(submit(specOf(`depends_on_job: "afterok:${first}"`))).rejects.toThrow(/afterany:1234/);
	});

	test("on several nodes the command runs once on each host, with the block's environment and shell text", async () => {
		const config = "nodes_per_block: 2\nparallel_environment: mpi\naccount: chemistry\nwalltime: 1m";
		const spec = specOf(config, {
			command: ["/bin/sh", "-c", 'echo "here $GREETING $INIT $0 $1 $ERRAND_BLOCK_ENDS_AT_MS"', "a b", "it's"],
			environment: { GREETING: 'a "greeting" $HOME' },
			workerInit: "export INIT='of the node'",
		});
		const id = await submit(spec);
		await vi.waitFor(async () => expect((await statusOf(id))?.state).toBe("ended"), inTime);
		expect(await statusOf(id)).toMatchObject({ end: "completed", exitCode: 0 });
		expect(logOf(spec).match(/here a "greeting" \$HOME of the node a b it's \d{13}/g)).toHaveLength(1); // one host here
	});

	test("several nodes without a parallel environment are refused with what to set", async () => {
		const error = await scheduler.submit(specOf("nodes_per_block: 2")).catch((caught: unknown) => caught);
		expect(error).toBeInstanceOf(SubmitRejected);
		expect((error as Error).message).toContain("set parallel_environment");
	});

	test("a limit of jobs is refused in Grid Engine's words, and holds nothing back afterwards", async () => {
		await cell.setGlobal({ max_u_jobs: "1" });
		try {
			const first = await submit(specOf(""));
			const spec = specOf("");
			await expect(scheduler.submit(spec)).rejects.toThrow(/only 1 jobs are allowed per user/);
			await scheduler.cancel([first], 0);
			await vi.waitFor(() => submit(spec), inTime); // the count goes down a little later
		} finally {
			await cell.setGlobal({ max_u_jobs: "0" });
		}
	});

	test("nobody else can read the block's environment, and it goes with the block", async () => {
		const spec = specOf("", { environment: { ERRAND_BLOCK_TOKEN: "very-secret-token" } });
		const id = await submit(spec);
		expect(scheduler.script(spec)).not.toContain("very-secret-token");
		const path = join(directory, "blocks", `${spec.blockId}.environment`);
		expect(statSync(path).mode & 0o777).toBe(0o600);
		expect(statSync(path).uid).toBe(cell.user.uid);
		await scheduler.cancel([id], 0);
		expect(existsSync(path)).toBe(false);
	});

	test("an endpoint runs what it is given in a block, and deletes the block's job when it is stopped", async () => {
		const cloud = await TestCloud.start();
		try {
			const { client } = await cloud.login("ada");
			const config =
				"scheduler: gridengine\nwalltime: 10m\nworkers_per_node: 1\nlink_addresses: [127.0.0.1]\npoll_interval: 1s\n";
			const environment = { ...cell.environment, HOME: directory };
			const endpoint = await TestEndpoint.configure(cloud, client, { name: "cell", config, environment });
			endpoint.account = cell.user;
			chmodSync(cloud.home, 0o755);
			chmodSync(dirname(endpoint.directory), 0o755);
			execFileSync("chown", ["-R", `${cell.user.uid}:${cell.user.gid}`, endpoint.directory]);
			await endpoint.start();
			const executor = new Executor({ endpoint: "cell", client });
			expect(await executor.submit(() => process.getuid?.())).toBe(cell.user.uid);
			await executor.close();
			expect(await cell.administer("qstat", "-u", cell.user.name)).toContain("errand-cel");
			await endpoint.stop();
			await vi.waitFor(async () => expect(await cell.administer("qstat", "-u", cell.user.name)).toBe(""), inTime);
			expect(endpoint.managerPids()).toEqual([]);
		} finally {
			await cloud.stop();
		}
	});

	test("a qmaster that is down ends no job: nothing is known", async () => {
		const id = await submit(specOf(""));
		jobs = [];
		await cell.killMaster(); // for good: the last test
		await expect(scheduler.poll([id])).rejects.toThrow(SchedulerSilent);
		await expect(scheduler.listOurs()).rejects.toThrow(SchedulerSilent);
		await expect(scheduler.submit(specOf(""))).rejects.toThrow(SchedulerSilent);
	});
});
