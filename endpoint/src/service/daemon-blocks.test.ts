import {
	appendFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { newId, type TaskId } from "@errand/proto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { removePause } from "../blocks/pause-file.ts";
import { parseConfig } from "../config/config.ts";
import { openLocalScheduler } from "../scheduler/local/local.ts";
import { type JobId, type JobStatus, type Scheduler, SchedulerSilent, SubmitRejected } from "../scheduler/scheduler.ts";
import { batchOf, FakeCloud, returnedBy } from "./daemon.test-harness.ts";
import { type Daemon, openDaemon } from "./daemon.ts";
import { silentLogger } from "./logger.ts";

const managerProgram = fileURLToPath(new URL("../manager/main.ts", import.meta.url));

/** A batch system whose nodes are this machine: jobs are real, and what it says of them is what a test says. */
class ToldScheduler {
	says: ((id: JobId, truth: JobStatus | undefined) => JobStatus) | undefined;
	refusal: string | undefined;
	/** The next submit takes the job and says nothing. */
	losesAnswer = false;
	submits = 0;
	readonly port: Scheduler;

	constructor(directory: string) {
		const local = openLocalScheduler({ directory, log: silentLogger });
		this.port = {
			...local,
			name: "told",
			submit: async (spec) => {
				this.submits++;
				if (this.refusal !== undefined) throw new SubmitRejected(this.refusal);
				const id = await local.submit(spec);
				if (!this.losesAnswer) return id;
				this.losesAnswer = false;
				throw new SchedulerSilent("sbatch: Socket timed out on send/recv operation");
			},
			poll: async (ids) => {
				const truth = await local.poll(ids);
				return new Map(ids.map((id) => [id, this.says?.(id, truth.get(id)) ?? (truth.get(id) as JobStatus)]));
			},
			// It tells only when it is asked.
			onEnded: () => undefined,
		};
	}
}

let home: string;
let directory: string;
let cloud: FakeCloud;
let scheduler: ToldScheduler;
let daemons: Daemon[];

beforeEach(() => {
	home = mkdtempSync(join(tmpdir(), "errand-daemon-blocks-"));
	directory = join(home, "cluster");
	mkdirSync(directory);
	cloud = new FakeCloud();
	scheduler = new ToldScheduler(directory);
	daemons = [];
});
afterEach(async () => {
	for (const daemon of daemons) await daemon.stop({ hurry: true });
	const local = openLocalScheduler({ directory, log: silentLogger });
	await local.cancel([...(await local.listOurs()).values()], 0);
	rmSync(home, { recursive: true, force: true });
});

async function start(config = ""): Promise<Daemon> {
	const daemon = await openDaemon({
		directory,
		endpointId: newId(),
		config: parseConfig(
			`scheduler: slurm\nworkers_per_node: 2\ncores_per_node: 2\npoll_interval: 1s\nlink_host: 127.0.0.1\n${config}`,
			"config.yaml",
			directory,
		),
		version: "0.1.0",
		cloud: cloud.client,
		scheduler: scheduler.port,
		managerProgram,
		log: silentLogger,
		connect: cloud.connect,
	});
	daemons.push(daemon);
	return daemon;
}

const soon = { timeout: 20_000, interval: 20 };
const last = () => cloud.heartbeats.at(-1) as Record<string, unknown>;
const blocksTold = () => (last()?.blocks ?? []) as Record<string, unknown>[];
const ended = (ids: readonly TaskId[]) =>
	vi.waitFor(() => expect(ids.filter((id) => !cloud.results.has(id))).toEqual([]), soon);

describe("the daemon and a batch scheduler", () => {
	test("a heartbeat tells of blocks with the scheduler's own words, and why tasks wait", async () => {
		const expectedStartMs = Date.parse("2030-01-01T10:00Z");
		scheduler.says = () => ({ state: "pending", reason: "Priority", expectedStartMs });
		const gate = join(home, "gate");
		await start(`worker_init: while [ ! -e ${gate} ]; do sleep 0.05; done`);
		const { bytes, ids } = batchOf("export const f = () => 1;", [[], []]);
		await cloud.events?.taskBatch(bytes);
		const block = { queue: "default", nodes: 1, state: "submitted", managers: 0, reason: "Priority" };
		await vi.waitFor(
			() => expect(blocksTold()).toMatchObject([{ ...block, expected_start_ms: expectedStartMs, ends_at_ms: null }]),
			soon,
		);
		expect(last()?.waiting).toMatchObject([
			{ demand: "plain", tasks: 2, word: "block-pending", sentence: expect.stringMatching(/Priority/) },
		]);
		scheduler.says = undefined;
		writeFileSync(gate, "");
		await ended(ids);
		await vi.waitFor(() => expect(blocksTold()[0]).toMatchObject({ state: "active", managers: 1 }), soon);
	});

	test("what the scheduler says when it refuses a block is told with the heartbeat, and to those who wait when it is paused", async () => {
		scheduler.refusal = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination";
		await start();
		await vi.waitFor(() => expect(last()?.trouble).toMatch(/refused 1 block .*Invalid account/), soon);
	});

	test("NEW-9, HQ-4: worker_init fails: after three blocks the endpoint is paused, says why, and goes on when it is resumed", async () => {
		const init = join(home, "init.sh");
		writeFileSync(init, "echo module: command not found >&2; exit 1\n");
		await start(`worker_init: . ${init}`);
		const { bytes, ids } = batchOf("export const f = () => 7;", [[]]);
		await cloud.events?.taskBatch(bytes);
		await vi.waitFor(
			() => expect(last()?.paused).toMatch(/3 blocks .*before a manager came.*module: command not found/),
			soon,
		);
		expect(scheduler.submits).toBe(3);
		expect(last()?.waiting).toMatchObject([
			{ word: "paused", tasks: 1, sentence: expect.stringMatching(/module: command not found/) },
		]);
		writeFileSync(init, "");
		await removePause(directory);
		await ended(ids);
		expect(returnedBy(cloud.results.get(ids[0] as TaskId))).toBe(7);
		await vi.waitFor(() => expect(last()?.paused).toBeUndefined(), soon);
	});

	test("NEW-9: a submit whose answer is lost makes one block, not two", async () => {
		scheduler.losesAnswer = true;
		await start();
		const { bytes, ids } = batchOf("export const f = () => 1;", [[]]);
		await cloud.events?.taskBatch(bytes);
		await ended(ids);
		await vi.waitFor(() => expect(scheduler.submits).toBe(2), soon);
		await vi.waitFor(() => expect(blocksTold().map(({ state }) => state)).toEqual(["active"]), soon);
		expect((await scheduler.port.listOurs()).size).toBe(1);
	});

	test("the job is started anew while its first copy runs: the old manager is shut out, its task runs again once and ends once", async () => {
		const marks = join(home, "marks");
		const gate = join(home, "gate");
		appendFileSync(marks, "");
		await start("max_blocks: 1");
		const source =
			"import { appendFileSync, existsSync } from 'node:fs'; export const f = async (marks, gate) => { appendFileSync(marks, process.pid + '\\n'); " +
			"while (!existsSync(gate)) await new Promise((r) => setTimeout(r, 20)); return process.pid; };";
		const { bytes, ids } = batchOf(source, [[marks, gate]]);
		await cloud.events?.taskBatch(bytes);
		const runs = () => readFileSync(marks, "utf8").split("\n").filter(Boolean);
		await vi.waitFor(() => expect(runs().length).toBe(1), soon);
		const [first] = runs();
		const jobs = [...(await scheduler.port.listOurs()).values()];
		scheduler.says = (id, truth) =>
			jobs.includes(id) && truth?.state !== "ended"
				? { state: "running", reason: "", restarts: 1 }
				: (truth as JobStatus);
		// The first copy kills what it runs, and ends; here its job ends with it, and the next block runs the task.
		await vi.waitFor(() => expect(existsSync(`/proc/${first}`)).toBe(false), soon);
		await vi.waitFor(() => expect(runs().length).toBe(2), soon);
		writeFileSync(gate, "");
		await ended(ids);
		expect(runs().length).toBe(2);
		expect(String(returnedBy(cloud.results.get(ids[0] as TaskId)))).toBe(runs()[1]);
		expect(cloud.recordedTwice).toBe(0);
	});

	test("PAR-5: blocks that end at their walltime do not use up the tasks' budget", async () => {
		await start("max_blocks: 1\nmax_retries_on_loss: 0");
		const marks = join(home, "marks");
		appendFileSync(marks, "");
		const source =
			"import { appendFileSync, readFileSync } from 'node:fs'; export const f = async (marks) => { appendFileSync(marks, '.'); " +
			"const runs = readFileSync(marks, 'utf8').length; if (runs < 3) await new Promise((r) => setTimeout(r, 1e6)); return runs; };";
		const { bytes, ids } = batchOf(source, [[marks]]);
		await cloud.events?.taskBatch(bytes);
		for (const run of [1, 2]) {
			await vi.waitFor(() => expect(readFileSync(marks, "utf8").length).toBe(run), soon);
			const jobs = [...(await scheduler.port.listOurs()).values()];
			scheduler.says = (id, truth) =>
				jobs.includes(id) ? { state: "ended", end: "timeout", reason: "TIMEOUT" } : (truth as JobStatus);
			await scheduler.port.cancel(jobs, 0);
		}
		await ended(ids);
		expect(returnedBy(cloud.results.get(ids[0] as TaskId))).toBe(3);
	});

	test("after stop no job is left, and no script of a block has its token", async () => {
		const daemon = await start();
		await vi.waitFor(() => expect(blocksTold()[0]?.managers).toBe(1), soon);
		await daemon.stop();
		expect(await scheduler.port.listOurs()).toEqual(new Map());
		const scripts = readdirSync(join(directory, "blocks")).filter((name) => name.endsWith(".script"));
		expect(scripts.length).toBe(1);
		expect(JSON.parse(readFileSync(join(directory, "blocks.json"), "utf8")).blocks).toEqual([]);
	});
});
