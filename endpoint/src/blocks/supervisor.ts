/**
 * Keeps blocks: asks the scheduler for them, hears what became of them, ends them. It does one thing at the scheduler at a
 * time, politely, and takes silence for silence: nothing is known then, and nothing is done twice.
 */
import { newId } from "@errand/proto";
import type { QueueConfig } from "../config/queue.ts";
import { type JobId, type JobStatus, SubmitRejected } from "../scheduler/scheduler.ts";
import { type Block, isQueued, jobOf, move, neverActive, toldNothing } from "./block.ts";
import { BlockList } from "./block-list.ts";
import { affordable, budgetSentence } from "./budget.ts";
import { type BlockEnd, endedByUs, meaningOf } from "./job-end.ts";
import { hear, newAttempt, running } from "./job-news.ts";
import { LoneBlocks } from "./lone-blocks.ts";
import { Pace } from "./pace.ts";
import { RunawayGuard } from "./runaway-guard.ts";
import { SchedulerTurns } from "./scheduler-turns.ts";
import { keepScript, thinPapers } from "./script-file.ts";
import type { SupervisorOptions, SupervisorView } from "./supervision.ts";

/** After a submit or a lost manager the scheduler is asked within this. */
const soonMs = 2_000;
/** What still runs in a block that is ended gets this long. */
const endGraceMs = 5_000;

export class BlockSupervisor {
	readonly #options: SupervisorOptions;
	readonly #list: BlockList;
	readonly #guard: RunawayGuard;
	readonly #pace: Pace;
	readonly #turns: SchedulerTurns;
	readonly #lone = new LoneBlocks();
	readonly #queues: ReadonlyMap<string, QueueConfig>;
	/** Jobs that ended before their submit had returned. */
	readonly #early = new Map<JobId, string>();
	/** Blocks whose jobs are to be ended, and how much time what runs in them has. */
	readonly #unwanted = new Map<string, { readonly end: BlockEnd; readonly graceMs: number }>();
	/** Requested blocks of which the scheduler may have heard: it was silent when it was asked. */
	readonly #asked = new Set<string>();
	#reconciled = false;
	#closed = false;

	private constructor(options: SupervisorOptions, list: BlockList, guard: RunawayGuard) {
		this.#options = options;
		this.#list = list;
		this.#guard = guard;
		const { scheduler, queues, pollIntervalMs, polite, clock, log, events, random = Math.random } = options;
		this.#queues = new Map(queues.map((queue) => [queue.name, queue]));
		this.#pace = new Pace({ pollIntervalMs, polite, random }, clock.steadyMs());
		const changed = (): void => events.changed();
		this.#turns = new SchedulerTurns({ pace: this.#pace, clock, log, changed, due: (nowMs) => this.#due(nowMs) });
		scheduler.onEnded((job, reason) => this.#endedEarly(job, reason));
	}

	/** Reads what an earlier daemon left. The scheduler is asked by {@link tick}: a silent one does not keep the daemon from starting. */
	static async open(options: SupervisorOptions): Promise<BlockSupervisor> {
		const { path, directory, log, clock, queues, specOf, events } = options;
		const list = await BlockList.open(path, log, clock.steadyMs);
		const guard = await RunawayGuard.open({
			directory,
			list,
			specOf: ({ id, queue: name }) => {
				const queue = queues.find((one) => one.name === name);
				return queue && specOf(id, queue);
			},
			switched: (isPaused) => (isPaused ? supervisor.#dropWishes() : undefined),
			changed: () => events.changed(),
			clock,
			log,
		});
		const supervisor: BlockSupervisor = new BlockSupervisor(options, list, guard);
		return supervisor;
	}

	/** Blocks that have not ended. */
	get blocks(): readonly Block[] {
		return this.#list.all;
	}

	get view(): SupervisorView {
		return { paused: this.#guard.paused, silent: this.#turns.silent, trouble: this.#trouble() };
	}

	/** How many more blocks of the queue may be asked for now: by its limits, the budget, the pause and the guard. */
	room(queueName: string): number {
		const queue = this.#queues.get(queueName);
		if (!queue || this.#closed) return 0;
		const own = this.#list.ofQueue(queueName);
		return Math.max(
			0,
			Math.min(
				queue.maxBlocks - own.length,
				queue.maxQueuedBlocks - own.filter(isQueued).length,
				this.affordable(queue),
				this.#guard.limit(queueName) - own.filter(neverActive).length,
			),
		);
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

	/** A manager of the block has come. False: of an ended block or an earlier attempt; it is to be shut out. */
	attached(blockId: string, attempt: number, endsAtMs: number): boolean {
		const before = this.#list.get(blockId);
		if (!before || attempt < before.attempt) return false;
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
		this.#guard.attached(block.queue);
		this.#lone.forget(blockId);
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
		this.#guard.tick();
		const { managersOf, clock } = this.#options;
		for (const [id, end] of this.#lone.overdue(this.blocks, managersOf, clock.steadyMs()))
			if (!this.#unwanted.has(id)) this.#unwanted.set(id, { end, graceMs: endGraceMs });
		this.#work();
	}

	/** Resolves when nothing is under way at the scheduler, and everything is on disk. */
	async settled(): Promise<void> {
		await this.#turns.settled();
		await this.#guard.settled();
		await this.#list.written();
	}

	/**
	 * Ends all blocks and what runs in them. Resolves when they are gone. Those of which a silent scheduler does not let go
	 * stay on the list: the next daemon ends them.
	 */
	async endAll(graceMs: number): Promise<void> {
		const { scheduler, log } = this.#options;
		this.#closed = true;
		await this.#turns.close();
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
		await this.#turns.close();
		await this.settled();
		this.#options.scheduler.close();
	}

	// --- What is done at the scheduler, one thing at a time

	#work(): void {
		if (!this.#closed) this.#turns.go();
	}

	#due(nowMs: number): (() => Promise<void>) | undefined {
		if (!this.#reconciled) return () => this.#reconcile();
		if (this.#unwanted.size > 0) return () => this.#cancelUnwanted();
		const isPaused = this.#guard.paused !== undefined;
		const wish = this.blocks.find(({ state, id }) => state.at === "requested" && (!isPaused || this.#asked.has(id)));
		if (wish && !this.#list.isResting && this.#pace.takeSubmit(nowMs)) return () => this.#submit(wish);
		if (this.#pace.isPollDue(nowMs) && this.#list.jobs.length > 0) return () => this.#poll();
		return undefined;
	}

	/** After a start: what the scheduler has of ours, and what the list says, are made one. */
	async #reconcile(): Promise<void> {
		const { scheduler, log, clock } = this.#options;
		const askedMs = clock.wallMs();
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
			if (status) this.#hear(job, status, askedMs);
		}
		if (living.size > 0) {
			log.warn({ jobs: [...living.values()] }, "blocks: jobs of this endpoint that nobody knows are ended");
			await scheduler.cancel([...living.values()], endGraceMs);
		}
		this.#reconciled = true;
		this.#pace.polled(clock.steadyMs(), jobs.length > 0);
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
			this.#end(block, endedByUs(`the scheduler refused it: ${error.message}`));
			this.#guard.refused(block, error.message);
			return;
		}
		this.#asked.delete(block.id);
		log.info({ block: block.id, queue: block.queue, job: jobId }, "blocks: a block was submitted");
		this.#guard.submitted(block.queue);
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
		const askedMs = clock.wallMs();
		const states = await scheduler.poll(this.#list.jobs);
		this.#pace.polled(clock.steadyMs());
		for (const [job, status] of states) this.#hear(job, status, askedMs);
	}

	async #cancelUnwanted(): Promise<void> {
		const unwanted = [...this.#unwanted].map(([id, how]) => ({ block: this.#list.get(id), id, ...how }));
		const jobs = unwanted.map(({ block }) => block && jobOf(block)).filter((job) => job !== undefined);
		if (jobs.length > 0) await this.#options.scheduler.cancel(jobs, Math.max(...unwanted.map((one) => one.graceMs)));
		// Others may have become unwanted meanwhile.
		for (const { id, end } of unwanted) {
			this.#unwanted.delete(id);
			const block = this.#list.get(id);
			if (block) this.#end(block, end);
		}
	}

	// --- What is heard

	#endedEarly(job: JobId, reason: string): void {
		const block = this.#list.ofJob(job);
		if (block) {
			const drained = block.state.at === "draining";
			this.#end(block, this.#unwanted.get(block.id)?.end ?? { reason, announced: drained, harmless: drained });
		} else if (this.blocks.some(({ state }) => state.at === "requested")) this.#early.set(job, reason);
	}

	#hear(job: JobId, status: JobStatus, askedMs: number): void {
		const before = this.#list.ofJob(job);
		if (!before) return;
		const { block, end, fence, ending } = hear(before, status, this.#options.clock.wallMs(), askedMs);
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

	#end(block: Block, { reason, announced, harmless }: BlockEnd): void {
		const { clock, log, events, directory } = this.#options;
		const unused = neverActive(block);
		move(block, { at: "ended", sinceMs: clock.wallMs(), reason, neverActive: unused });
		this.#list.remove(block, clock.wallMs());
		this.#unwanted.delete(block.id);
		this.#asked.delete(block.id);
		this.#lone.forget(block.id);
		if (unused && !harmless) this.#guard.failed(block, reason);
		else log.info({ block: block.id, queue: block.queue, reason }, "blocks: a block has ended");
		this.#saveSoon();
		thinPapers(directory, new Set(this.blocks.map(({ id }) => id))).catch(() => undefined);
		events.ended(block.id, reason, announced);
	}

	/** Blocks of which the scheduler has not heard. */
	#dropWishes(): void {
		for (const block of this.blocks)
			if (block.state.at === "requested" && !this.#asked.has(block.id))
				this.#end(block, endedByUs("the endpoint is paused"));
	}

	#trouble(): string {
		const { silent } = this.#turns;
		const since = silent && new Date(silent.sinceMs).toISOString();
		const { failure } = this.#list;
		return [
			this.#guard.trouble,
			silent ? `the scheduler has not answered since ${since}: ${silent.reason}` : "",
			failure === undefined ? "" : `the list of blocks cannot be written: ${failure}`,
		]
			.filter((sentence) => sentence !== "")
			.join("; ");
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
