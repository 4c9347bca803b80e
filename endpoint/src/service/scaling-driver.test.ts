import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskId } from "@errand/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removePause, writePause } from "../blocks/pause-file.ts";
import { ScriptedScheduler, silent } from "../blocks/scripted-scheduler.test-harness.ts";
import { BlockSupervisor } from "../blocks/supervisor.ts";
import { parseConfig } from "../config/config.ts";
import { dispatched, ended, helloOf, success, taskOf } from "../interchange/interchange.test-harness.ts";
import { Interchange } from "../interchange/interchange.ts";
import type { BlockSpec, JobId } from "../scheduler/scheduler.ts";
import { silentLogger } from "./logger.ts";
import { queueSettings, ScalingDriver } from "./scaling-driver.ts";

const stepMs = 2_000;
const walltimeMs = 600_000;
const taskMs = 50_000;

/** The same numbers each time. */
function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
		return state / 2 ** 32;
	};
}

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-scaling-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A site with its own limit of queued jobs, an endpoint, its managers and time, all in memory. */
class Site {
	nowMs = Date.parse("2026-03-02T09:00:00Z");
	readonly random = seeded(7);
	readonly scheduler = new ScriptedScheduler(() => this.nowMs);
	readonly interchange: Interchange;
	readonly finished = new Map<TaskId, string>();
	readonly #running = new Map<string, { id: TaskId; managerId: string; untilMs: number }>();
	readonly #jobEnds = new Map<JobId, number>();
	readonly #queues;
	readonly #budgetNodeHours: number | undefined;
	supervisor!: BlockSupervisor;
	driver!: ScalingDriver;
	mostQueued = 0;
	mostBlocks = 0;

	constructor(config: string) {
		const parsed = parseConfig(
			`scheduler: slurm\nwalltime: 10m\nworkers_per_node: 1\ncores_per_node: 1\n${config}`,
			"c",
			directory,
		);
		this.#queues = parsed.queues;
		this.#budgetNodeHours = parsed.budgetNodeHours;
		this.interchange = new Interchange({ queues: parsed.queues.map((queue) => queueSettings(queue, false)) });
	}

	async open(): Promise<void> {
		const clock = { wallMs: () => this.nowMs, steadyMs: () => this.nowMs };
		this.supervisor = await BlockSupervisor.open({
			scheduler: this.scheduler,
			directory,
			path: join(directory, "blocks.json"),
			queues: this.#queues,
			pollIntervalMs: 30_000,
			polite: true,
			budgetNodeHours: this.#budgetNodeHours,
			specOf: (blockId, queue): BlockSpec => ({
				blockId,
				queue,
				jobName: "errand-test",
				command: ["/bin/node"],
				environment: {},
				workerInit: "",
				nodes: 1,
				logPath: join(directory, "block.log"),
			}),
			managersOf: (id) => this.interchange.attachedManagers(id).length,
			events: {
				ended: (id, reason, announced) => this.interchange.loseBlock(id, reason, this.nowMs, announced),
				fenced: () => undefined,
				ending: () => undefined,
				changed: () => undefined,
			},
			clock,
			random: this.random,
			log: silentLogger,
		});
		this.driver = new ScalingDriver({
			supervisor: this.supervisor,
			interchange: this.interchange,
			queues: this.#queues,
			clock,
			log: silentLogger,
		});
	}

	async step(): Promise<TaskId[]> {
		this.nowMs += stepMs;
		const { interchange, supervisor, scheduler, nowMs } = this;
		this.#siteWorks();
		for (const [key, { id, managerId, untilMs }] of this.#running) {
			if (untilMs > nowMs) continue;
			this.#running.delete(key);
			interchange.results(managerId, [success(id, taskMs)], nowMs);
		}
		interchange.place(nowMs);
		const reactions = interchange.takeReactions();
		for (const { id, managerId } of dispatched(reactions))
			this.#running.set(`${managerId} ${id}`, { id, managerId, untilMs: nowMs + taskMs });
		for (const reaction of reactions) if (reaction.kind === "drain") this.#leave(reaction.managerId);
		this.driver.scale();
		supervisor.tick();
		await supervisor.settled();
		const queued = [...scheduler.jobs.values()].filter(({ status }) => status.state === "pending").length;
		this.mostQueued = Math.max(this.mostQueued, queued);
		this.mostBlocks = Math.max(this.mostBlocks, scheduler.living.length);
		const done: TaskId[] = [];
		for (const { id, code } of ended(reactions)) {
			this.finished.set(id, code);
			done.push(id);
		}
		return done;
	}

	/** Jobs start when the site likes, run until their walltime, and their managers come. */
	#siteWorks(): void {
		for (const id of this.scheduler.living) {
			const job = this.scheduler.jobs.get(id);
			if (!job) continue;
			const endMs = this.#jobEnds.get(id);
			if (endMs === undefined && this.random() < 0.02) {
				this.#jobEnds.set(id, this.nowMs + walltimeMs);
				this.scheduler.tell({ state: "running", reason: "" }, [id]);
				const { blockId } = job.spec;
				if (this.supervisor.attached(blockId, 0, this.nowMs + walltimeMs))
					this.interchange.attach(helloOf({ id: `m-${id}`, cores: 1, block: blockId }), this.nowMs, "default");
			} else if (endMs !== undefined && endMs <= this.nowMs) {
				this.scheduler.tell({ state: "ended", end: "timeout", reason: "TIMEOUT" }, [id]);
				this.#leave(`m-${id}`);
			}
		}
	}

	#leave(managerId: string): void {
		for (const [key, running] of this.#running) if (running.managerId === managerId) this.#running.delete(key);
		this.interchange.detach(managerId, this.nowMs);
		this.supervisor.detached();
		this.scheduler.tell({ state: "ended", end: "timeout", reason: "TIMEOUT" }, [managerId.slice(2)]);
	}
}

test("DEP-1: 500 tasks, half of them in chains, complete with never more than 20 blocks queued and none lost", async () => {
	const site = new Site("max_blocks: 60\nmax_queued_blocks: 20");
	await site.open();
	const all = new Set<TaskId>();
	const submit = (): TaskId => {
		const task = taskOf();
		all.add(task.id);
		site.interchange.accept([task], site.nowMs);
		return task.id;
	};
	for (let i = 0; i < 250; i++) submit();
	const chains = new Map(Array.from({ length: 25 }, (): [TaskId, number] => [submit(), 9]));
	for (let step = 0; step < 5_000 && (site.finished.size < 500 || all.size < 500); step++) {
		for (const id of await site.step()) {
			const left = chains.get(id) ?? 0;
			if (left > 0) chains.set(submit(), left - 1);
		}
	}
	expect(all.size).toBe(500);
	expect([...all].filter((id) => !site.finished.has(id))).toEqual([]);
	expect(site.mostQueued).toBeLessThanOrEqual(20);
	expect(site.mostQueued).toBeGreaterThan(15);
	expect(site.mostBlocks).toBeLessThanOrEqual(60);
	expect(site.scheduler.overlapped).toBe(false);
	await site.supervisor.close();
});

test("DII-3: blocks are kept in the window although nothing waits, and given back after it", async () => {
	const start = new Date(2026, 2, 2, 8, 0);
	const site = new Site(
		"init_blocks: 0\nmax_blocks: 5\nidle_timeout: 60\nkeep_warm: [{ days: [mon], from: '08:00', to: '08:30', blocks: 3 }]",
	);
	site.nowMs = start.getTime() - 60_000;
	await site.open();
	await site.step();
	expect(site.scheduler.living.length).toBe(0);
	while (site.nowMs < start.getTime() + 15 * 60_000) await site.step();
	expect(site.scheduler.living.length).toBe(3);
	while (site.nowMs < start.getTime() + 45 * 60_000) await site.step();
	expect(site.scheduler.living.length).toBe(0);
	await site.supervisor.close();
});

test("a paused endpoint, a spent budget and a silent scheduler are told to those who wait", async () => {
	const site = new Site("init_blocks: 0\nmax_blocks: 5");
	await writePause(directory, { reason: "file system maintenance", since: new Date().toISOString(), by: "person" });
	await site.open();
	site.interchange.accept([taskOf()], site.nowMs);
	await site.step();
	const waiting = () =>
		site.interchange.waiting(site.driver.view(), site.nowMs).map(({ word, sentence }) => `${word}: ${sentence}`);
	expect(waiting()[0]).toMatch(/^paused: .*file system maintenance/);
	await removePause(directory);
	await site.supervisor.close();

	const poor = new Site("init_blocks: 0\nmax_blocks: 5\nbudget_node_hours: 0.1");
	await poor.open();
	poor.interchange.accept([taskOf()], poor.nowMs);
	await poor.step();
	expect(poor.interchange.waiting(poor.driver.view(), poor.nowMs)[0]).toMatchObject({
		word: "budget-used-up",
		sentence: expect.stringMatching(/0 of the 0.1 node-hours .* another block can take 0.17; raise budget_node_hours/),
	});
	await poor.supervisor.close();

	const alone = new Site("init_blocks: 0\nmax_blocks: 5");
	await alone.open();
	await alone.step();
	alone.scheduler.silence = silent();
	alone.interchange.accept([taskOf()], alone.nowMs);
	for (let minutes = 0; minutes < 60; minutes++) await alone.step();
	expect(alone.interchange.waiting(alone.driver.view(), alone.nowMs)[0]).toMatchObject({
		word: "scheduler-silent",
		sentence: expect.stringMatching(/has not answered since .*squeue did not answer/),
	});
	await alone.supervisor.close();
});

test("a queue that is taken out of config.yaml: its blocks finish what they run, and those that wait are cancelled", async () => {
	const site = new Site("init_blocks: 4\nmin_blocks: 4\nmax_blocks: 4");
	await site.open();
	for (let step = 0; step < 20 && site.interchange.counts().managers === 0; step++) await site.step();
	const working = site.interchange.counts().managers;
	await site.supervisor.close();
	expect(working).toBeGreaterThan(0);
	const changed = new Site("queues: [{ name: other, init_blocks: 0 }]");
	for (const [id, job] of site.scheduler.jobs) changed.scheduler.jobs.set(id, job);
	changed.nowMs = site.nowMs;
	await changed.open();
	changed.supervisor.tick();
	await changed.supervisor.settled();
	changed.driver.scale();
	await changed.supervisor.settled();
	expect(changed.supervisor.blocks.map(({ state }) => state.at)).toEqual(Array(working).fill("draining"));
	expect(changed.scheduler.living.length).toBe(working);
	await changed.supervisor.close();
});
