/**
 * Keeps blocks: asks the scheduler for them, hears what became of them, ends them. It does one thing at the scheduler at a
 * time, politely, and takes silence for silence: nothing is known then, and nothing is done twice.
 */
import { newId } from "@errand/proto";
import type { QueueConfig } from "../config/queue.ts";
import { type BlockSpec, type JobId, type JobStatus, type Scheduler, SubmitRejected } from "../scheduler/scheduler.ts";
import type { Clock } from "../service/clock.ts";
import type { Logger } from "../service/logger.ts";
import { type Block, isQueued, jobOf, move, neverActive, toldNothing } from "./block.ts";
import { BlockList } from "./block-list.ts";
import { tailOfLog } from "./block-log.ts";
import { affordable, budgetSentence } from "./budget.ts";
import { isFailing, noFailures, pauseReason, startFailed, submitFailed, submitWorked, troubleOf } from "./guard.ts";
import { type BlockEnd, endedByUs, meaningOf } from "./job-end.ts";
import { hear, newAttempt, running } from "./job-news.ts";
import { Pace } from "./pace.ts";
import { PauseSwitch } from "./pause-switch.ts";
import { keepScript, secretsOf, thinScripts } from "./script-file.ts";

/** A job that has nodes, and of which no manager has come after this long, is ended: programs start in seconds, file systems stall for minutes. */
export const managerAttachLimitMs = 600_000;
/** A block that gives its nodes back and has no manager left gets this long for its job to end by itself. */
const drainedLimitMs = 30_000;
/** How long a block may have nodes and no manager, by where it is, and what is said when it is ended for that. */
const aloneLimits: {
	readonly [At in Block["state"]["at"]]?: { readonly ms: number; readonly says: string } & Omit<BlockEnd, "reason">;
} = {
	starting: {
		ms: managerAttachLimitMs,
		says: `its job has run for ${managerAttachLimitMs / 60_000} minutes and no manager of it has come`,
		announced: false,
		harmless: false,
	},
	active: {
		ms: managerAttachLimitMs,
		says: `nothing has been heard of its managers for ${managerAttachLimitMs / 60_000} minutes`,
		announced: false,
		harmless: true,
	},
	draining: { ms: drainedLimitMs, says: "", announced: true, harmless: true },
};
/** After a submit or a lost manager the scheduler is asked within this. */
const soonMs = 2_000;
/** What still runs in a block that is ended gets this long. */
const endGraceMs = 5_000;

export interface SupervisorOptions {
	readonly scheduler: Scheduler;
	/** The endpoint's: the list, the scripts and the pause are kept in it. */
	readonly directory: string;
	/** The list's file. */
	readonly path: string;
	readonly queues: readonly QueueConfig[];
	readonly pollIntervalMs: number;
	/** False for this machine: it takes blocks at once. */
	readonly polite: boolean;
	readonly budgetNodeHours: number | undefined;
	readonly specOf: (blockId: string, queue: QueueConfig) => BlockSpec;
	/** How many managers of the block are attached. */
	readonly managersOf: (blockId: string) => number;
	readonly events: SupervisorEvents;
	readonly clock: Clock;
	/** 0 to 1. */
	readonly random?: () => number;
	readonly log: Logger;
}

export interface SupervisorEvents {
	/** All managers of the block are dead. `announced`: what they lost by it is not the tasks' fault. */
	ended(blockId: string, reason: string, announced: boolean): void;
	/** Its managers of attempts before this one are to be shut out; undefined: all that have come so far. */
	fenced(blockId: string, before: number | undefined, reason: string): void;
	/** The scheduler is about to end it: nothing new is to be given to it. */
	ending(blockId: string, reason: string): void;
	/** Something that is worth telling people has changed. */
	changed(): void;
}

/** What keeps blocks from coming, besides their turn. */
export interface SupervisorView {
	/** Why nothing is asked for until somebody resumes the endpoint. */
	readonly paused: string | undefined;
	/** Since when the scheduler has been silent, Unix milliseconds, and how. */
	readonly silent: { readonly sinceMs: number; readonly reason: string } | undefined;
	/** For people; empty when all is well. */
	readonly trouble: string;
}

export class BlockSupervisor {
	readonly #options: SupervisorOptions;
	readonly #list: BlockList;
	readonly #switch: PauseSwitch;
	readonly #pace: Pace;
	readonly #queues: ReadonlyMap<string, QueueConfig>;
	/** Jobs that ended before their submit had returned. */
	readonly #early = new Map<JobId, string>();
	/** Blocks whose jobs are to be ended, and how much time what runs in them has. */
	readonly #unwanted = new Map<string, { readonly end: BlockEnd; readonly graceMs: number }>();
	/** Requested blocks of which the scheduler may have heard: it was silent when it was asked. */
	readonly #asked = new Set<string>();
	/** Since when a block has had nodes and no manager, on the steady clock. */
	readonly #aloneSince = new Map<string, number>();
	#reconciled = false;
	#closed = false;
	#silent: SupervisorView["silent"];
	#working: Promise<void> | undefined;

	private constructor(options: SupervisorOptions, list: BlockList, pauseSwitch: PauseSwitch) {
		this.#options = options;
		this.#list = list;
		this.#switch = pauseSwitch;
		const { scheduler, queues, pollIntervalMs, polite, clock, random = Math.random } = options;
		this.#queues = new Map(queues.map((queue) => [queue.name, queue]));
		this.#pace = new Pace({ pollIntervalMs, polite, random }, clock.steadyMs());
		scheduler.onEnded((job, reason) => this.#endedEarly(job, reason));
	}

	/** Reads what an earlier daemon left. The scheduler is asked by {@link tick}: a silent one does not keep the daemon from starting. */
	static async open(options: SupervisorOptions): Promise<BlockSupervisor> {
		const { path, directory, log, clock } = options;
		const list = await BlockList.open(path, log, clock.steadyMs);
		const pauseSwitch = await PauseSwitch.open({ directory, log, switched: () => supervisor.#switched() });
		const supervisor: BlockSupervisor = new BlockSupervisor(options, list, pauseSwitch);
		// The guard's pause was ended while no daemon was there to see it.
		const failing = [...list.guards].some(([queue, guard]) => pauseReason(queue, guard) !== undefined);
		if (failing && !pauseSwitch.pause) list.clearGuards();
		return supervisor;
	}

	/** Blocks that have not ended. */
	get blocks(): readonly Block[] {
		return this.#list.all;
	}

	get view(): SupervisorView {
		return { paused: this.#switch.pause?.reason, silent: this.#silent, trouble: this.#trouble() };
	}

	/** How many more blocks of the queue may be asked for now: by its limits, the budget, the pause and the guard. */
	room(queueName: string): number {
		const queue = this.#queues.get(queueName);
		if (!queue || this.#switch.pause || this.#closed) return 0;
		const guard = this.#list.guard(queueName);
		if (this.#options.clock.steadyMs() < guard.notBeforeMs) return 0;
		const own = this.#list.ofQueue(queueName);
		const queued = own.filter(isQueued).length;
		const limits = [queue.maxBlocks - own.length, queue.maxQueuedBlocks - queued, this.affordable(queue)];
		// After a failure one is tried: it must show that it can be done.
		if (isFailing(guard)) limits.push(1 - own.filter(neverActive).length);
		return Math.max(0, Math.min(...limits));
	}

	/** How many more blocks of this queue the budget allows; Infinity without one. */
	affordable(queue: QueueConfig): number {
		return affordable(this.#options.budgetNodeHours, this.#committed(), shapeOf(queue));
	}

	/** Why the budget allows no block of this queue, for people; undefined when it does. */
	overBudget(queue: QueueConfig): string | undefined {
		const { budgetNodeHours } = this.#options;
		if (budgetNodeHours === undefined || this.affordable(queue) > 0) return undefined;
		return budgetSentence(budgetNodeHours, this.#committed(), shapeOf(queue));
	}

	/** Asks for so many more blocks of the queue, as far as there is room; they are submitted by {@link tick}. Returns how many. */
	start(queueName: string, count: number): number {
		const queue = this.#queues.get(queueName);
		const number = Math.min(count, this.room(queueName));
		if (!queue || number <= 0) return 0;
		for (let i = 0; i < number; i++) this.#list.put(wish(queue, this.#options.clock.wallMs()));
		this.#saveSoon();
		this.#work();
		return number;
	}

	/** A manager of the block has come. False: it is of an earlier attempt, and is to be shut out. */
	attached(blockId: string, attempt: number, endsAtMs: number): boolean {
		const before = this.#list.get(blockId);
		if (!before) return true;
		if (attempt < before.attempt) return false;
		const nowMs = this.#options.clock.wallMs();
		let block = before;
		if (attempt > block.attempt) {
			block = newAttempt(block, attempt, nowMs);
			this.#fence(block, { before: attempt, reason: "the scheduler has started its job anew" });
		}
		if (block.runningSinceMs === undefined) block = running(block, nowMs);
		const jobId = jobOf(block);
		if (jobId !== undefined && neverActive(block)) block = move(block, { at: "active", jobId, sinceMs: nowMs });
		this.#list.put(endsAtMs > 0 ? { ...block, endsAtMs } : block);
		this.#list.setGuard(block.queue, noFailures);
		this.#aloneSince.delete(blockId);
		this.#saveSoon();
		return true;
	}

	/** A manager of some block is gone: the scheduler may know why. */
	detached(): void {
		this.#pace.pollWithin(soonMs, this.#options.clock.steadyMs());
	}

	/** The block takes nothing new; it ends when its managers have finished. */
	drain(blockId: string, reason: string): void {
		const block = this.#list.get(blockId);
		const jobId = block && jobOf(block);
		if (!block || jobId === undefined || block.state.at === "draining") return;
		this.#list.put(move(block, { at: "draining", jobId, sinceMs: this.#options.clock.wallMs(), reason }));
		this.#saveSoon();
	}

	/** Nobody needs these any more, and no manager of them has come: they are cancelled at once. */
	cancelPending(blockIds: readonly string[], reason: string): void {
		for (const id of blockIds) {
			const block = this.#list.get(id);
			if (!block || !neverActive(block)) continue;
			if (jobOf(block) !== undefined) {
				this.drain(id, reason);
				this.#unwanted.set(id, { end: endedByUs(reason), graceMs: 0 });
			} else if (!this.#asked.has(id)) this.#end(block, endedByUs(reason));
		}
		this.#work();
	}

	/** Looks at what is due, and sees to it. Call it a few times a second: without blocks it costs nothing. */
	tick(): void {
		if (this.#closed) return;
		const nowMs = this.#options.clock.steadyMs();
		this.#switch.tick(nowMs);
		this.#watchAlone(nowMs);
		this.#work();
	}

	/** Resolves when nothing is under way at the scheduler, and everything is on disk. */
	async settled(): Promise<void> {
		while (this.#working !== undefined) await this.#working;
		await this.#list.written();
	}

	/**
	 * Ends all blocks and what runs in them. Resolves when they are gone. Those of which a silent scheduler does not let go
	 * stay on the list: the next daemon ends them.
	 */
	async endAll(graceMs: number): Promise<void> {
		const { scheduler, log } = this.#options;
		this.#closed = true;
		while (this.#working !== undefined) await this.#working;
		const end = endedByUs("the endpoint was stopped");
		for (const block of this.blocks) {
			if (jobOf(block) !== undefined) this.drain(block.id, end.reason);
			else if (!this.#asked.has(block.id)) this.#end(block, end);
		}
		try {
			// A submit that seemed to fail may have put a job there.
			const unsure = this.#asked.size > 0 || !this.#reconciled;
			const living = unsure ? await scheduler.listOurs() : new Map<string, JobId>();
			const jobs = [...new Set([...this.#list.jobs, ...living.values()])];
			if (jobs.length > 0) await scheduler.cancel(jobs, graceMs);
			for (const block of this.blocks) this.#end(block, end);
		} catch (error) {
			log.error(
				{ err: error, jobs: this.#list.jobs },
				"blocks: the scheduler did not end them; the next start of this endpoint does",
			);
		}
		await this.#list.save();
	}

	/** Blocks go on. */
	async close(): Promise<void> {
		this.#closed = true;
		await this.settled();
		this.#options.scheduler.close();
	}

	// --- What is done at the scheduler, one thing at a time

	#work(): void {
		if (this.#working || this.#closed) return;
		const work = this.#due();
		if (!work) return;
		this.#working = work()
			.then(
				() => this.#answered(),
				(error: unknown) => this.#notAnswered(error as Error),
			)
			.finally(() => {
				this.#working = undefined;
				this.#work();
			});
	}

	#due(): (() => Promise<void>) | undefined {
		const nowMs = this.#options.clock.steadyMs();
		if (this.#pace.isQuiet(nowMs)) return undefined;
		if (!this.#reconciled) return () => this.#reconcile();
		if (this.#unwanted.size > 0) return () => this.#cancelUnwanted();
		const requested = this.blocks.find(
			({ state, id }) => state.at === "requested" && (!this.#switch.pause || this.#asked.has(id)),
		);
		if (requested && !this.#list.isResting && this.#pace.takeSubmit(nowMs)) return () => this.#submit(requested);
		if (this.#pace.isPollDue(nowMs) && this.#list.jobs.length > 0) return () => this.#poll();
		return undefined;
	}

	/** After a start: what the scheduler has of ours, and what the list says, are made one. */
	async #reconcile(): Promise<void> {
		const { scheduler, log, clock } = this.#options;
		const living = await scheduler.listOurs();
		const { jobs } = this.#list;
		const known = jobs.length === 0 ? new Map<JobId, JobStatus>() : await scheduler.poll(jobs);
		for (const block of this.blocks) {
			const job = jobOf(block) ?? living.get(block.id);
			living.delete(block.id);
			if (job === undefined) continue; // It was never submitted, and will be.
			const status = known.get(job);
			if (status?.state === "ended") {
				// Nobody was there whom a manager of it could have found: it is no failure.
				this.#end(block, { ...meaningOf(status), harmless: true });
				continue;
			}
			if (block.state.at === "requested")
				this.#list.put(move(block, { at: "submitted", jobId: job, sinceMs: clock.wallMs() }));
			if (block.state.at === "draining" && this.#options.managersOf(block.id) === 0)
				this.#unwanted.set(block.id, { end: endedByUs(block.state.reason), graceMs: endGraceMs });
			log.info({ block: block.id, job }, "blocks: a block of an earlier daemon goes on");
			if (status) this.#hear(job, status);
		}
		if (living.size > 0) {
			log.warn({ jobs: [...living.values()] }, "blocks: jobs of this endpoint that nobody knows are ended");
			await scheduler.cancel([...living.values()], endGraceMs);
		}
		this.#reconciled = true;
		this.#pace.polled(clock.steadyMs());
		this.#saveSoon();
	}

	async #submit(block: Block): Promise<void> {
		const { scheduler, specOf, log, clock, directory } = this.#options;
		const queue = this.#queues.get(block.queue);
		if (!queue) {
			this.#end(block, endedByUs(`there is no queue ${block.queue} any more`));
			return;
		}
		const spec = specOf(block.id, queue);
		// Written first: a daemon that dies in the submit must know of the block after its next start.
		if (!(await this.#list.save())) return;
		await keepScript(directory, scheduler, spec).catch((error: unknown) =>
			log.warn({ block: block.id, err: error }, "blocks: the script could not be kept"),
		);
		// If the scheduler does not answer, the same block is asked for again, and the job of the first time is found.
		this.#asked.add(block.id);
		let jobId: JobId;
		try {
			jobId = await scheduler.submit(spec);
		} catch (error) {
			if (!(error instanceof SubmitRejected)) throw error;
			this.#refused(block, error.message);
			return;
		}
		this.#asked.delete(block.id);
		log.info({ block: block.id, queue: block.queue, job: jobId }, "blocks: a block was submitted");
		this.#list.setGuard(block.queue, submitWorked(this.#list.guard(block.queue)));
		const current = this.#list.get(block.id);
		if (current?.state.at === "requested") {
			const submitted = move(current, { at: "submitted", jobId, sinceMs: clock.wallMs() });
			// Its manager may have been faster than the scheduler's answer.
			const isUp = submitted.runningSinceMs !== undefined;
			this.#list.put(isUp ? move(submitted, { at: "active", jobId, sinceMs: clock.wallMs() }) : submitted);
		}
		this.#saveSoon();
		const early = this.#early.get(jobId);
		if (this.#early.delete(jobId)) this.#endedEarly(jobId, early ?? "");
		this.#pace.pollWithin(soonMs, clock.steadyMs());
		this.#options.events.changed();
	}

	async #poll(): Promise<void> {
		const { scheduler, clock } = this.#options;
		const states = await scheduler.poll(this.#list.jobs);
		this.#pace.polled(clock.steadyMs());
		for (const [job, status] of states) this.#hear(job, status);
	}

	async #cancelUnwanted(): Promise<void> {
		const unwanted = [...this.#unwanted].flatMap(([id, how]) => {
			const block = this.#list.get(id);
			const job = block && jobOf(block);
			return job === undefined ? [] : [{ id, job, ...how }];
		});
		const jobs = unwanted.map(({ job }) => job);
		if (jobs.length > 0) await this.#options.scheduler.cancel(jobs, Math.max(...unwanted.map((one) => one.graceMs)));
		this.#unwanted.clear();
		for (const { id, end } of unwanted) {
			const block = this.#list.get(id);
			if (block) this.#end(block, end);
		}
	}

	#answered(): void {
		this.#pace.answered();
		if (!this.#silent) return;
		this.#options.log.info({ sinceMs: this.#silent.sinceMs }, "blocks: the scheduler answers again");
		this.#silent = undefined;
		this.#options.events.changed();
	}

	#notAnswered(error: Error): void {
		const { clock, log, events } = this.#options;
		const waitMs = Math.round(this.#pace.silent(clock.steadyMs()));
		log.warn({ err: error, waitMs }, "blocks: the scheduler does not answer; nothing is known, so nothing changes");
		const first = !this.#silent;
		this.#silent = { sinceMs: this.#silent?.sinceMs ?? clock.wallMs(), reason: error.message };
		if (first) events.changed();
	}

	// --- What is heard

	#endedEarly(job: JobId, reason: string): void {
		const block = this.#list.ofJob(job);
		if (block) {
			const drained = block.state.at === "draining";
			this.#end(block, this.#unwanted.get(block.id)?.end ?? { reason, announced: drained, harmless: drained });
		} else if (this.blocks.some(({ state }) => state.at === "requested")) this.#early.set(job, reason);
	}

	#hear(job: JobId, status: JobStatus): void {
		const before = this.#list.ofJob(job);
		if (!before) return;
		const { block, end, fence, ending } = hear(before, status, this.#options.clock.wallMs());
		if (end) {
			this.#end(block, this.#unwanted.get(block.id)?.end ?? end);
			return;
		}
		this.#list.put(block);
		if (fence) this.#fence(block, fence);
		if (ending !== undefined) {
			this.drain(block.id, ending);
			this.#options.events.ending(block.id, ending);
		}
		const moved = block.state.at !== before.state.at;
		if (moved || block.attempt !== before.attempt || block.runningSinceMs !== before.runningSinceMs) this.#saveSoon();
		if (moved || block.told.reason !== before.told.reason) this.#options.events.changed();
	}

	#fence(block: Block, { before, reason }: { before: number | undefined; reason: string }): void {
		this.#options.log.warn({ block: block.id, attempt: block.attempt, reason }, "blocks: managers are shut out");
		this.#options.events.fenced(block.id, before, reason);
	}

	/** Jobs that have nodes and do nothing with them. */
	#watchAlone(nowMs: number): void {
		for (const block of this.blocks) {
			const { id, state } = block;
			const limit = aloneLimits[state.at];
			const rests = state.at !== "draining" && block.told.state !== "running";
			if (!limit || rests || this.#unwanted.has(id) || this.#options.managersOf(id) > 0) {
				this.#aloneSince.delete(id);
				continue;
			}
			const since = this.#aloneSince.get(id) ?? nowMs;
			this.#aloneSince.set(id, since);
			if (nowMs - since < limit.ms) continue;
			const reason = state.at === "draining" ? state.reason : limit.says;
			const { announced, harmless } = limit;
			this.#unwanted.set(id, { end: { reason, announced, harmless }, graceMs: endGraceMs });
		}
	}

	#end(block: Block, { reason, announced, harmless }: BlockEnd): void {
		const { clock, log, events, directory } = this.#options;
		const unused = neverActive(block);
		move(block, { at: "ended", sinceMs: clock.wallMs(), reason, neverActive: unused });
		this.#list.remove(block, clock.wallMs());
		for (const kept of [this.#unwanted, this.#asked, this.#aloneSince]) kept.delete(block.id);
		if (unused && !harmless) void this.#failed(block, reason);
		else log.info({ block: block.id, queue: block.queue, reason }, "blocks: a block has ended");
		this.#saveSoon();
		thinScripts(directory, new Set(this.blocks.map(({ id }) => id))).catch(() => undefined);
		events.ended(block.id, reason, announced);
	}

	// --- What goes wrong, and who is told

	#refused(block: Block, words: string): void {
		const { clock, log } = this.#options;
		const guard = submitFailed(this.#list.guard(block.queue), words, clock.steadyMs());
		this.#list.setGuard(block.queue, guard);
		log.error({ block: block.id, queue: block.queue, reason: words }, "blocks: the scheduler refused a block");
		this.#end(block, endedByUs(`the scheduler refused it: ${words}`));
		this.#pauseIfFailing(block.queue);
	}

	async #failed(block: Block, reason: string): Promise<void> {
		const { clock, log, specOf, events } = this.#options;
		this.#list.setGuard(block.queue, startFailed(this.#list.guard(block.queue), reason, clock.steadyMs()));
		log.error({ block: block.id, queue: block.queue, reason }, "blocks: a block ended before its manager came");
		const queue = this.#queues.get(block.queue);
		const spec = queue && specOf(block.id, queue);
		const tail = spec ? await tailOfLog(spec.logPath, secretsOf(spec)) : "";
		const guard = this.#list.guard(block.queue);
		if (tail !== "" && guard.failedStarts > 0)
			this.#list.setGuard(block.queue, { ...guard, reason: `${reason}. Its log ends: ${tail}` });
		this.#pauseIfFailing(block.queue);
		this.#saveSoon();
		events.changed();
	}

	#pauseIfFailing(queue: string): void {
		const { clock, log, events } = this.#options;
		const reason = pauseReason(queue, this.#list.guard(queue));
		if (reason === undefined || this.#switch.pause) return;
		log.error({ queue, reason }, "blocks: the endpoint is paused until somebody resumes it");
		void this.#switch.set({ reason, since: new Date(clock.wallMs()).toISOString(), by: "guard" });
		this.#dropWishes();
		events.changed();
	}

	#switched(): void {
		const { log, events } = this.#options;
		const { pause } = this.#switch;
		if (pause) {
			log.warn({ reason: pause.reason }, "blocks: the endpoint was paused");
			this.#dropWishes();
		} else {
			log.info({}, "blocks: the endpoint was resumed");
			this.#list.clearGuards();
			this.#saveSoon();
		}
		events.changed();
	}

	/** Blocks of which the scheduler has not heard. */
	#dropWishes(): void {
		for (const block of this.blocks)
			if (block.state.at === "requested" && !this.#asked.has(block.id))
				this.#end(block, endedByUs("the endpoint is paused"));
	}

	#trouble(): string {
		const sentences = [...this.#list.guards].map(([queue, guard]) => troubleOf(queue, guard));
		if (this.#silent)
			sentences.push(
				`the scheduler has not answered since ${new Date(this.#silent.sinceMs).toISOString()}: ${this.#silent.reason}`,
			);
		if (this.#list.failure !== undefined) sentences.push(`the list of blocks cannot be written: ${this.#list.failure}`);
		return sentences.filter((sentence) => sentence !== "").join("; ");
	}

	#committed(): number {
		return this.#list.committedNodeMs(this.#options.clock.wallMs());
	}

	#saveSoon(): void {
		void this.#list.save();
	}
}

const shapeOf = ({ nodesPerBlock, walltimeMs }: QueueConfig) => ({ nodes: nodesPerBlock, walltimeMs });

const wish = (queue: QueueConfig, nowMs: number): Block => ({
	id: newId(),
	queue: queue.name,
	...shapeOf(queue),
	attempt: 0,
	requestedMs: nowMs,
	runningSinceMs: undefined,
	endsAtMs: undefined,
	spentNodeMs: 0,
	told: toldNothing,
	state: { at: "requested", sinceMs: nowMs },
});
