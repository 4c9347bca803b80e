import { execFileSync } from "node:child_process";
import {
	closeSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@errand/proto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseConfig } from "../config/config.ts";
import type { BlockSpec, JobStatus } from "../scheduler/scheduler.ts";
import { silentLogger } from "../service/logger.ts";
import { managerAttachLimitMs } from "./lone-blocks.ts";
import { removePause, writePause } from "./pause-file.ts";
import { ScriptedScheduler, silent } from "./scripted-scheduler.test-harness.ts";
import { BlockSupervisor } from "./supervisor.ts";

const stepMs = 500;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

let directory: string;
let scheduler: ScriptedScheduler;
let supervisor: BlockSupervisor;
let steadyMs: number;
let wallMs: number;
let told: string[];
let managers: Map<string, number>;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-blocks-"));
	steadyMs = Date.parse("2026-03-02T09:00:00Z");
	wallMs = steadyMs;
	told = [];
	managers = new Map();
	scheduler = new ScriptedScheduler(() => steadyMs);
});
afterEach(async () => {
	await supervisor?.close();
	rmSync(directory, { recursive: true, force: true });
});

/** As the daemon opens it; may be called again, as after a crash. */
async function open(config = "max_blocks: 10", more: { polite?: boolean } = {}): Promise<void> {
	const { queues, pollIntervalMs, budgetNodeHours } = parseConfig(
		`scheduler: slurm\nwalltime: 1h\n${config}`,
		"config.yaml",
		directory,
	);
	supervisor = await BlockSupervisor.open({
		scheduler,
		directory,
		path: join(directory, "blocks.json"),
		queues,
		pollIntervalMs,
		polite: more.polite ?? true,
		budgetNodeHours,
		specOf: (blockId, queue): BlockSpec => ({
			blockId,
			queue,
			jobName: "errand-test",
			command: ["/bin/node", "manager.mjs"],
			environment: { ERRAND_BLOCK_TOKEN: `secret-${blockId}` },
			workerInit: "",
			nodes: queue.nodesPerBlock,
			logPath: join(directory, "logs", `block-${blockId}.log`),
		}),
		managersOf: (id) => managers.get(id) ?? 0,
		events: {
			ended: (_, reason, announced) => told.push(`ended: ${reason}${announced ? " (announced)" : ""}`),
			fenced: (_, before, reason) => told.push(`fenced before ${before ?? "now"}: ${reason}`),
			ending: (_, reason) => told.push(`ending: ${reason}`),
			changed: () => undefined,
		},
		clock: { wallMs: () => wallMs, steadyMs: () => steadyMs },
		random: () => 0.5,
		log: silentLogger,
	});
	await pass(0);
}

/** Time passes, tick by tick. */
async function pass(ms: number): Promise<void> {
	const untilMs = steadyMs + ms;
	for (;;) {
		supervisor.tick();
		await supervisor.settled();
		if (steadyMs >= untilMs) return;
		steadyMs += stepMs;
		wallMs += stepMs;
	}
}

/** A kill -9: nothing is closed. */
const crash = (config?: string): Promise<void> => open(config);
const states = (): string[] => supervisor.blocks.map(({ state }) => state.at);
const ids = (): string[] => supervisor.blocks.map(({ id }) => id);

/** One block whose manager has come. */
async function working(config?: string): Promise<string> {
	await open(config);
	supervisor.start("default", 1);
	await pass(0);
	scheduler.tell({ state: "running", reason: "" });
	await pass(2_500);
	const [id = ""] = ids();
	managers.set(id, 1);
	expect(supervisor.attached(id, 0, 0)).toBe(true);
	return id;
}

const ends = (status: Omit<JobStatus, "state" | "reason">, reason = ""): void =>
	scheduler.tell({ state: "ended", reason, ...status });

describe("asking for blocks", () => {
	test("a block goes from the wish to its end as the scheduler tells of it", async () => {
		await open();
		supervisor.start("default", 1);
		expect(states()).toEqual(["requested"]);
		await pass(0);
		expect(states()).toEqual(["submitted"]);
		await pass(2_000);
		expect(supervisor.blocks[0]?.told.reason).toBe("Priority");
		scheduler.tell({ state: "starting", reason: "" });
		await pass(31_000);
		expect(states()).toEqual(["starting"]);
		scheduler.tell({ state: "running", reason: "" });
		await pass(31_000);
		expect(supervisor.attached(ids()[0] as string, 0, 0)).toBe(true);
		managers.set(ids()[0] as string, 1);
		expect(states()).toEqual(["active"]);
		expect(supervisor.blocks[0]?.endsAtMs).toBe((supervisor.blocks[0]?.runningSinceMs ?? 0) + hourMs);
		ends({ end: "completed" });
		await pass(31_000);
		expect(states()).toEqual([]);
		expect(supervisor.view.trouble).toBe("");
	});

	test("DEP-1: no more blocks wait at the scheduler than the limit says, requested, held and unknown ones counted", async () => {
		await open("max_blocks: 50\nmax_queued_blocks: 3");
		expect(supervisor.start("default", 50)).toBe(3);
		await pass(minuteMs);
		expect(scheduler.living.length).toBe(3);
		const [held = "", unknown = ""] = scheduler.living;
		scheduler.tell({ state: "held", reason: "JobHeldAdmin" }, [held]);
		scheduler.tell({ state: "unknown", reason: "" }, [unknown]);
		await pass(minuteMs);
		expect(states().sort()).toEqual(["held", "submitted", "submitted"]);
		expect(supervisor.start("default", 50)).toBe(0);
		scheduler.tell({ state: "running", reason: "" }, [held]);
		await pass(minuteMs);
		expect(supervisor.start("default", 50)).toBe(1);
	});

	test("five blocks are submitted at once, then one in two seconds; nothing is asked twice at a time", async () => {
		await open("max_blocks: 20");
		supervisor.start("default", 9);
		await pass(0);
		expect(scheduler.count("submit")).toBe(5);
		await pass(2_000);
		expect(scheduler.count("submit")).toBe(6);
		await pass(6_000);
		expect(scheduler.count("submit")).toBe(9);
		expect(scheduler.overlapped).toBe(false);
	});

	test("the scheduler is asked once in an interval, and not at all without blocks", async () => {
		await open("poll_interval: 30s");
		await pass(10 * minuteMs);
		expect(scheduler.count("poll")).toBe(0);
		supervisor.start("default", 3);
		await pass(minuteMs);
		const before = scheduler.count("poll");
		await pass(10 * minuteMs);
		expect(scheduler.count("poll") - before).toBe(20);
		for (let manager = 0; manager < 20; manager++) {
			supervisor.detached();
			await pass(100);
		}
		await pass(5_000);
		expect(scheduler.count("poll") - before).toBeLessThanOrEqual(24);
	});

	test("queues have limits of their own", async () => {
		await open("queues:\n  - { name: debug, max_blocks: 1 }\n  - { name: regular, max_blocks: 4, nodes_per_block: 2 }");
		expect([supervisor.start("debug", 3), supervisor.start("regular", 3), supervisor.start("other", 1)]).toEqual([
			1, 3, 0,
		]);
		await pass(minuteMs);
		expect(supervisor.blocks.map(({ queue, nodes }) => `${queue} ${nodes}`).sort()).toEqual([
			"debug 1",
			"regular 2",
			"regular 2",
			"regular 2",
		]);
	});

	test("the script of each block is kept for its owner without the token, the last twenty of those that ended", async () => {
		await open("max_blocks: 30\nmax_queued_blocks: 30");
		supervisor.start("default", 25);
		await pass(minuteMs);
		const scripts = () => readdirSync(join(directory, "blocks"));
		expect(scripts().length).toBe(25);
		const path = join(directory, "blocks", scripts()[0] as string);
		expect(statSync(path).mode & 0o777).toBe(0o600);
		expect(readFileSync(path, "utf8")).toMatch(/manager\.mjs/);
		expect(readFileSync(path, "utf8")).not.toMatch(/secret-/);
		supervisor.cancelPending(ids(), "nothing waits");
		await pass(0);
		await vi.waitFor(() => expect(scripts().length).toBe(20));
	});
});

describe("a scheduler that does not answer", () => {
	test("for ten minutes: it is asked less and less, no block is lost, and people are told since when", async () => {
		await working("poll_interval: 30s\nmax_blocks: 10");
		scheduler.silence = silent();
		const before = scheduler.calls.length;
		await pass(10 * minuteMs);
		expect(scheduler.calls.length - before).toBeLessThanOrEqual(6);
		expect(states()).toEqual(["active"]);
		expect(supervisor.view.silent?.reason).toMatch(/did not answer/);
		expect(supervisor.view.trouble).toMatch(/has not answered since 2026-03-02T09:0\d.*squeue did not answer/);
		scheduler.silence = undefined;
		await pass(5 * minuteMs);
		expect(supervisor.view).toMatchObject({ silent: undefined, trouble: "" });
		expect(told).toEqual([]);
	});

	test("or slowly: nothing else is asked meanwhile, nobody waits for it, and its answer counts when it comes", async () => {
		await working("max_blocks: 10");
		const answer = Promise.withResolvers<void>();
		scheduler.slowness = answer.promise;
		steadyMs += 2 * minuteMs;
		supervisor.tick();
		const before = scheduler.calls.length;
		supervisor.start("default", 2);
		for (let tick = 0; tick < 100; tick++) {
			steadyMs += stepMs;
			supervisor.tick();
		}
		expect(scheduler.calls.length).toBe(before);
		expect(states()).toEqual(["active", "requested", "requested"]);
		ends({ end: "node-failure" });
		scheduler.slowness = undefined;
		answer.resolve();
		await pass(0);
		expect(told).toEqual(["ended: its node failed"]);
		expect(states()).toEqual(["submitted", "submitted"]);
		expect(scheduler.overlapped).toBe(false);
	});

	test("what nobody can read is silence, too", async () => {
		await working();
		scheduler.silence = new TypeError("squeue said <html>");
		await pass(minuteMs);
		expect(states()).toEqual(["active"]);
		expect(supervisor.view.silent?.reason).toMatch(/<html>/);
	});

	test("a submit that seemed to fail is repeated for the same block, and there is one job", async () => {
		await open();
		scheduler.silence = silent();
		scheduler.submitsSilently = true;
		supervisor.start("default", 1);
		// It is silent from the first question on: the submit waits until it is known what is there.
		await pass(0);
		scheduler.silence = undefined;
		await pass(minuteMs);
		expect(states()).toEqual(["submitted"]);
		scheduler.silence = silent();
		supervisor.start("default", 1);
		await pass(0);
		expect(states()).toEqual(["submitted", "requested"]);
		expect(scheduler.living.length).toBe(2);
		supervisor.cancelPending(ids(), "nothing waits"); // it may be there: it is not forgotten
		scheduler.silence = undefined;
		await pass(5 * minuteMs);
		expect(scheduler.living.length).toBe(1);
		expect(states()).toEqual(["submitted"]);
		supervisor.cancelPending(ids(), "nothing waits");
		await pass(0);
		expect(scheduler.living).toEqual([]);
	});

	test("at the start the daemon does not wait for it, and asks for nothing before it knows what is there", async () => {
		scheduler.silence = silent();
		await open();
		supervisor.start("default", 1);
		await pass(10_000);
		expect(scheduler.count("submit")).toBe(0);
		scheduler.silence = undefined;
		await pass(minuteMs);
		expect(states()).toEqual(["submitted"]);
	});

	test("when the endpoint is stopped meanwhile, the next start ends what it left", async () => {
		await working();
		scheduler.silence = silent();
		await supervisor.endAll(0);
		expect(scheduler.living.length).toBe(1);
		scheduler.silence = undefined;
		managers.clear();
		await crash();
		await pass(minuteMs);
		expect(scheduler.living).toEqual([]);
		expect(states()).toEqual([]);
	});
});

describe("NEW-9, HQ-4: the runaway guard", () => {
	/** The block that lives prints this and ends without a manager. */
	async function fail(print: string): Promise<void> {
		const [job = ""] = scheduler.living;
		scheduler.print(job, print);
		scheduler.tell({ state: "ended", end: "failed", exitCode: 127, reason: "NonZeroExitCode" });
		await pass(40_000);
		await vi.waitFor(async () => {
			await supervisor.settled();
			expect(supervisor.view.trouble).toMatch(/node: command not found/);
		});
	}

	test("after three blocks without a manager it pauses with the end of the job's log, over restarts, until it is resumed", async () => {
		await open();
		for (let block = 0; block < 3; block++) {
			expect(supervisor.view.paused).toBeUndefined();
			supervisor.start("default", 1);
			await pass(0);
			await fail("module load x\nbash: node: command not found\n");
		}
		expect(supervisor.view.paused).toMatch(
			/^3 blocks of queue default ended in a row before a manager came: its job failed \(NonZeroExitCode, status 127\)\. Its log ends: .*node: command not found/,
		);
		expect(supervisor.start("default", 5)).toBe(0);
		await crash();
		expect(supervisor.view.paused).toMatch(/node: command not found/);
		expect(supervisor.start("default", 5)).toBe(0);
		await removePause(directory);
		await vi.waitFor(async () => {
			await pass(1_500);
			expect(supervisor.view).toMatchObject({ paused: undefined, trouble: "" });
		});
		expect(supervisor.start("default", 5)).toBe(5);
	});

	test("before that it tries one at a time, later and later, and a manager that comes ends it", async () => {
		await open();
		supervisor.start("default", 1);
		await pass(0);
		await fail("node: command not found");
		expect(supervisor.view.paused).toBeUndefined();
		await pass(5_000);
		expect(supervisor.start("default", 5)).toBe(1);
		await pass(0);
		expect(supervisor.start("default", 5)).toBe(0);
		supervisor.attached(ids()[0] as string, 0, 0);
		expect(supervisor.view.trouble).toBe("");
		expect(supervisor.start("default", 5)).toBe(5);
	});

	test("a token that a job prints does not get into what people see", async () => {
		await open();
		supervisor.start("default", 1);
		await pass(0);
		await fail(`TOKEN=secret-${ids()[0]}\nnode: command not found`);
		expect(supervisor.view.trouble).not.toMatch(/secret-/);
	});

	test("what the scheduler says when it refuses reaches people, and after ten refusals it pauses", async () => {
		await open();
		scheduler.refusal = "sbatch: error: invalid partition specified: nosuch";
		supervisor.start("default", 1);
		await pass(0);
		expect(supervisor.view.trouble).toBe(
			"the scheduler refused 1 block of queue default in a row: sbatch: error: invalid partition specified: nosuch",
		);
		expect(told[0]).toMatch(/invalid partition specified: nosuch/);
		for (let more = 0; more < 30; more++) {
			await pass(5 * minuteMs);
			supervisor.start("default", 3);
		}
		await pass(0);
		expect(scheduler.count("submit")).toBe(10);
		expect(supervisor.view.paused).toMatch(/refused 10 blocks .*invalid partition/);
	});

	test("a person pauses it; what runs goes on", async () => {
		await working();
		await writePause(directory, { reason: "maintenance", since: new Date(wallMs).toISOString(), by: "person" });
		await vi.waitFor(async () => {
			await pass(1_500);
			expect(supervisor.view.paused).toBe("maintenance");
		});
		expect(supervisor.start("default", 1)).toBe(0);
		expect(states()).toEqual(["active"]);
	});

	test("a job that runs and whose manager does not come is ended, with the addresses that it tried", async () => {
		await open();
		supervisor.start("default", 1);
		scheduler.first = { state: "running", reason: "" };
		await pass(0);
		const log = { msg: "the daemon is not at this address", address: "10.9.0.1:7000", failure: "ECONNREFUSED" };
		scheduler.print(scheduler.living[0] as string, `starting\n${`${JSON.stringify(log)}\n`.repeat(50)}`);
		await pass(managerAttachLimitMs - minuteMs);
		expect(scheduler.living.length).toBe(1);
		await pass(2 * minuteMs);
		expect(scheduler.living).toEqual([]);
		await vi.waitFor(() =>
			expect(supervisor.view.trouble).toMatch(
				/run for 10 minutes and no manager .* ends: starting; the daemon .* \(10\.9\.0\.1:7000, ECONNREFUSED\)$/,
			),
		);
	});
});

describe("how blocks end", () => {
	test.each([
		[{ end: "timeout" as const }, "TIMEOUT", "ended: its walltime is over (TIMEOUT) (announced)"],
		[{ end: "preempted" as const }, "", "ended: its job was preempted (announced)"],
		[{ end: "cancelled" as const }, "by 0", "ended: its job was cancelled at the scheduler (by 0) (announced)"],
		[{ end: "node-failure" as const }, "NODE_FAIL", "ended: its node failed (NODE_FAIL)"],
		[{ end: "failed" as const, exitCode: 1 }, "", "ended: its job failed (status 1)"],
		[{ end: "vanished" as const }, "", "ended: the scheduler does not know its job any more"],
	])(
		"PAR-5: one that worked and ends by %o is no failure, and it is told whether the end was announced",
		async (end, reason, says) => {
			await working();
			ends(end, reason);
			await pass(40_000);
			expect(told).toEqual([says]);
			expect(supervisor.view.trouble).toBe("");
		},
	);

	test("one that completed without a manager has not worked", async () => {
		await open();
		supervisor.start("default", 1);
		await pass(0);
		ends({ end: "completed" });
		await pass(3_000);
		await vi.waitFor(() => expect(supervisor.view.trouble).toMatch(/before a manager came: its job completed/));
	});

	test("the scheduler says that it is about to end it: nothing new is given to it", async () => {
		await working();
		scheduler.tell({ state: "ending", reason: "COMPLETING" });
		await pass(40_000);
		expect(told).toEqual(["ending: the scheduler is ending it (COMPLETING)"]);
		expect(states()).toEqual(["draining"]);
	});

	test("draining: it gets time to end by itself, and then its job is ended", async () => {
		const id = await working();
		supervisor.drain(id, "idle");
		await pass(5 * minuteMs);
		expect(scheduler.living.length).toBe(1); // its manager still works
		managers.delete(id);
		await pass(minuteMs);
		expect(scheduler.living).toEqual([]);
		expect(told).toEqual(["ended: idle (announced)"]);
	});

	test("blocks that nothing needs any more are cancelled while they wait, not those that work", async () => {
		const worker = await working();
		supervisor.start("default", 3);
		await pass(0);
		for (const id of ids()) supervisor.cancelPending([id], "nothing waits for it any more");
		await supervisor.settled();
		expect(ids()).toEqual([worker]);
		expect(scheduler.living.length).toBe(1);
		expect(supervisor.view.trouble).toBe("");
	});
});

describe("jobs that are started anew", () => {
	test("queued again: its managers are shut out, and it waits like any other", async () => {
		const id = await working();
		scheduler.tell({ state: "pending", reason: "BeginTime" });
		await pass(40_000);
		expect(told).toEqual(["fenced before now: the scheduler has queued its job again (BeginTime)"]);
		expect(states()).toEqual(["submitted"]);
		scheduler.tell({ state: "running", reason: "", restarts: 1 });
		await pass(40_000);
		expect(supervisor.attached(id, 0, 0)).toBe(false);
		expect(supervisor.attached(id, 1, 0)).toBe(true);
		expect(states()).toEqual(["active"]);
	});

	test("a manager that comes faster than the scheduler's answer is not shut out by it", async () => {
		await open();
		supervisor.start("default", 1);
		await pass(0);
		const [id = ""] = ids();
		managers.set(id, 1);
		supervisor.attached(id, 0, 0);
		await pass(2_500); // it still says that the job waits
		scheduler.tell({ state: "running", reason: "" });
		await pass(40_000);
		expect(told).toEqual([]);
		expect(states()).toEqual(["active"]);
	});

	test("a manager of the new attempt comes before the scheduler tells of it", async () => {
		const id = await working();
		expect(supervisor.attached(id, 1, 0)).toBe(true);
		expect(told).toEqual(["fenced before 1: the scheduler has started its job anew"]);
		await supervisor.settled();
		await crash();
		expect(supervisor.attached(id, 0, 0)).toBe(false);
	});

	test("a manager of a block that has ended is not let in", async () => {
		await open();
		expect(supervisor.attached(newId(), 0, 0)).toBe(false);
	});
});

describe("the list on disk", () => {
	test("killed between the submit and the list: the job is found by its block, and there is no second", async () => {
		await open();
		supervisor.start("default", 1);
		await pass(0);
		const file = JSON.parse(readFileSync(join(directory, "blocks.json"), "utf8"));
		file.blocks[0].state = { at: "requested", sinceMs: 1 };
		writeFileSync(join(directory, "blocks.json"), JSON.stringify(file));
		await crash();
		expect(states()).toEqual(["submitted"]);
		await pass(minuteMs);
		expect(scheduler.count("submit")).toBe(1);
	});

	test("killed before the submit: the same block is submitted after the start", async () => {
		await open();
		supervisor.start("default", 1);
		await pass(0);
		const [job = ""] = scheduler.living;
		scheduler.jobs.delete(job);
		const file = JSON.parse(readFileSync(join(directory, "blocks.json"), "utf8"));
		file.blocks[0].state = { at: "requested", sinceMs: 1 };
		writeFileSync(join(directory, "blocks.json"), JSON.stringify(file));
		await crash();
		expect(states()).toEqual(["submitted"]);
		expect(scheduler.living.length).toBe(1);
	});

	test("blocks that live go on after a restart, those that ended meanwhile are told, jobs that nobody knows are ended", async () => {
		const id = await working("max_blocks: 10");
		supervisor.start("default", 1);
		await pass(0);
		const [, second = ""] = scheduler.living;
		scheduler.tell({ state: "ended", end: "completed", reason: "" }, [second]);
		scheduler.jobs.set("77", {
			spec: { ...(scheduler.jobs.get(second)?.spec as BlockSpec), blockId: newId() },
			status: { state: "running", reason: "" },
		});
		told = [];
		await crash();
		expect(ids()).toEqual([id]);
		expect(told).toEqual(["ended: its job completed"]);
		expect(scheduler.living).toEqual(["1"]);
		expect(supervisor.view.trouble).toBe("");
	});

	test("a file of the first version is read", async () => {
		const id = newId();
		const state = { at: "active", jobId: "1", sinceMs: 5 };
		writeFileSync(join(directory, "blocks.json"), JSON.stringify({ blocks: [{ id, state }] }));
		scheduler.jobs.set("1", {
			spec: { blockId: id } as Partial<BlockSpec> as BlockSpec,
			status: { state: "running", reason: "" },
		});
		await open();
		expect(supervisor.blocks[0]).toMatchObject({ id, queue: "default", nodes: 1, attempt: 0, state });
	});

	test("a damaged file is set aside, and what the scheduler has of ours is ended", async () => {
		await working();
		writeFileSync(join(directory, "blocks.json"), '{"blocks": [{"id"');
		await crash();
		expect(scheduler.living).toEqual([]);
		expect(existsSync(join(directory, "blocks.json.damaged"))).toBe(true);
	});

	test("a full file system: no block is asked for that could be forgotten, people are told, and it goes on when there is room", async () => {
		const id = await working();
		await supervisor.settled();
		mkdirSync(join(directory, "blocks.json.new"));
		supervisor.start("default", 1);
		await pass(minuteMs);
		expect(scheduler.count("submit")).toBe(1);
		expect(supervisor.view.trouble).toMatch(/the list of blocks cannot be written: EISDIR/);
		expect(states()).toEqual(["active", "requested"]);
		rmdirSync(join(directory, "blocks.json.new"));
		await pass(minuteMs);
		expect(scheduler.count("submit")).toBe(2);
		expect(supervisor.view.trouble).toBe("");
		expect(ids()).toContain(id);
	});

	test("a file system that stalls: no block is asked for meanwhile, and one for each wish when it goes on", async () => {
		await working();
		await supervisor.settled();
		// Whoever opens it for writing waits until somebody reads.
		const stalled = join(directory, "blocks.json.new");
		execFileSync("mkfifo", [stalled]);
		supervisor.start("default", 1);
		for (let second = 0; second < 120; second++) {
			steadyMs += 1000;
			wallMs += 1000;
			supervisor.tick();
			await new Promise((resolve) => setImmediate(resolve));
		}
		expect(scheduler.count("submit")).toBe(1);
		expect(states()).toEqual(["active", "requested"]);
		// A pipe cannot be synced: the write that stalled fails, and is done again.
		const reader = openSync(stalled, "r");
		rmSync(stalled);
		await pass(minuteMs);
		closeSync(reader);
		expect(scheduler.count("submit")).toBe(2);
		expect(supervisor.view.trouble).toBe("");
	});
});

test("the wall's clock jumps back and forth: nothing ends by it, and nothing is asked more often", async () => {
	await working("poll_interval: 30s\nmax_blocks: 10");
	const before = scheduler.count("poll");
	wallMs += 5 * hourMs;
	await pass(2 * minuteMs);
	wallMs -= 10 * hourMs;
	await pass(2 * minuteMs);
	expect(scheduler.count("poll") - before).toBeLessThanOrEqual(8);
	expect(states()).toEqual(["active"]);
	expect(told).toEqual([]);
});

describe("the budget", () => {
	test("D4: no block is submitted that could take more than is left; it is kept over restarts, and said", async () => {
		const config = "budget_node_hours: 5\nmax_blocks: 10\nnodes_per_block: 2";
		await working(config);
		const queue = parseConfig(`scheduler: slurm\nwalltime: 1h\n${config}`, "c", directory).queues[0];
		if (!queue) throw new Error("no queue");
		// Two nodes for an hour are promised; four of the five node-hours with a second block.
		expect(supervisor.start("default", 5)).toBe(1);
		expect(supervisor.overBudget(queue)).toMatch(
			/4 of the 5 node-hours in budget_node_hours .* another block can take 2; raise budget_node_hours/,
		);
		supervisor.cancelPending(ids(), "nothing waits");
		await pass(30 * minuteMs);
		ends({ end: "completed" });
		await pass(minuteMs);
		// One node-hour was taken: four are left.
		await crash(config);
		expect(supervisor.start("default", 5)).toBe(1);
		expect(supervisor.affordable(queue)).toBe(0);
	});
});
