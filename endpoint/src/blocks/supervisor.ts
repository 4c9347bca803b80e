/**
 * Keeps as many blocks as are wanted: asks the scheduler, watches, ends them. Blocks that end before a manager has come
 * are started again later and later: a broken node or a broken `worker_init` must not burn an allocation.
 */
import { newId } from "@errand/proto";
import type { BlockSpec, JobId, Scheduler } from "../scheduler/scheduler.ts";
import type { Logger } from "../service/logger.ts";
import { type Block, jobOf, move } from "./block.ts";
import { readBlocks, writeBlocks } from "./block-file.ts";

/** The wait after the first block that ended before its manager came; doubled for each more in a row. */
const firstWaitMs = 1_000;
const longestWaitMs = 300_000;

export interface SupervisorOptions {
	readonly scheduler: Scheduler;
	/** Where the blocks are kept over restarts. */
	readonly path: string;
	readonly specOf: (blockId: string) => BlockSpec;
	/** All managers of the block are dead. */
	readonly onEnded: (blockId: string, reason: string) => void;
	readonly nowMs: () => number;
	readonly log: Logger;
}

export class BlockSupervisor {
	readonly #options: SupervisorOptions;
	readonly #blocks = new Map<string, Block>();
	/** Jobs that ended before their submit had returned. */
	readonly #early = new Set<JobId>();
	#failures = 0;
	#notBeforeMs = 0;
	#saving: Promise<void> = Promise.resolve();
	#lastReason = "";

	private constructor(options: SupervisorOptions) {
		this.#options = options;
		options.scheduler.onEnded((job, reason) => this.#jobEnded(job, reason));
	}

	/** Takes over what an earlier daemon left: blocks that live go on, others are told as ended, strangers are cancelled. */
	static async open(options: SupervisorOptions): Promise<BlockSupervisor> {
		const supervisor = new BlockSupervisor(options);
		const kept = await readBlocks(options.path);
		const living = await options.scheduler.listOurs();
		const known = await options.scheduler.poll(kept.map(jobOf).filter((job) => job !== undefined));
		for (const block of kept) {
			// A block whose submit was cut short is found by its id; any other has a job to ask for.
			const job = jobOf(block) ?? living.get(block.id);
			living.delete(block.id);
			if (job === undefined || known.get(job)?.state === "ended") continue;
			const { state } = block;
			const adopted: Block =
				state.at === "requested"
					? { id: block.id, state: { at: "submitted", jobId: job, sinceMs: state.sinceMs } }
					: block;
			supervisor.#blocks.set(block.id, adopted);
			options.log.info({ block: block.id, job }, "blocks: a block of an earlier daemon goes on");
		}
		if (living.size > 0) {
			options.log.warn({ jobs: [...living.values()] }, "blocks: jobs of this endpoint that nobody knows are ended");
			await options.scheduler.cancel([...living.values()], 5_000);
		}
		await supervisor.#save();
		return supervisor;
	}

	/** Blocks that have not ended. */
	get blocks(): readonly Block[] {
		return [...this.#blocks.values()];
	}

	/** Why no block can be had at present, for people; empty when all is well. */
	get trouble(): string {
		return this.#failures > 0
			? `${this.#failures} blocks in a row ended before a manager came: ${this.#lastReason}`
			: "";
	}

	/** Asks for so many more blocks, unless blocks fail and it is too early to try again. */
	async start(count: number): Promise<void> {
		const { nowMs, log, scheduler, specOf } = this.#options;
		if (count <= 0 || nowMs() < this.#notBeforeMs) return;
		const wanted = this.#failures > 0 ? 1 : count;
		const fresh = Array.from(
			{ length: wanted },
			(): Block => ({ id: newId(), state: { at: "requested", sinceMs: nowMs() } }),
		);
		for (const block of fresh) this.#blocks.set(block.id, block);
		await this.#save();
		for (const block of fresh) {
			try {
				const jobId = await scheduler.submit(specOf(block.id));
				log.info({ block: block.id, job: jobId }, "blocks: a block was submitted");
				const current = this.#blocks.get(block.id);
				if (current?.state.at === "requested")
					this.#blocks.set(block.id, move(current, { at: "submitted", jobId, sinceMs: nowMs() }));
				if (this.#early.delete(jobId)) this.#jobEnded(jobId, "it ended at once");
			} catch (error) {
				this.#end(block, `the scheduler did not take it: ${(error as Error).message}`);
			}
		}
		await this.#save();
	}

	/** A manager of the block has come. */
	attached(blockId: string): void {
		const block = this.#blocks.get(blockId);
		this.#failures = 0;
		this.#notBeforeMs = 0;
		const jobId = block && jobOf(block);
		if (block?.state.at !== "submitted" || jobId === undefined) return;
		this.#blocks.set(blockId, move(block, { at: "active", jobId, sinceMs: this.#options.nowMs() }));
		this.#saveSoon();
	}

	/** The block takes nothing new; it ends when its managers have finished. */
	drain(blockId: string, reason: string): void {
		const block = this.#blocks.get(blockId);
		const jobId = block && jobOf(block);
		if (!block || jobId === undefined || block.state.at === "draining") return;
		this.#blocks.set(blockId, move(block, { at: "draining", jobId, sinceMs: this.#options.nowMs(), reason }));
		this.#saveSoon();
	}

	/** Asks the scheduler what has become of the blocks. */
	async poll(): Promise<void> {
		const jobs = this.blocks.map(jobOf).filter((job) => job !== undefined);
		if (jobs.length === 0) return;
		const states = await this.#options.scheduler.poll(jobs);
		for (const [job, { state, reason }] of states) if (state === "ended") this.#jobEnded(job, reason);
	}

	/** Ends all blocks and what runs in them. Resolves when they are gone. */
	async endAll(graceMs: number): Promise<void> {
		const blocks = this.blocks;
		await this.#options.scheduler.cancel(
			blocks.map(jobOf).filter((job) => job !== undefined),
			graceMs,
		);
		for (const block of blocks) if (this.#blocks.has(block.id)) this.#end(block, "the endpoint was stopped");
		await this.#save();
	}

	async close(): Promise<void> {
		this.#options.scheduler.close();
		await this.#saving;
	}

	#jobEnded(job: JobId, reason: string): void {
		const block = this.blocks.find((one) => jobOf(one) === job);
		if (block) this.#end(block, reason);
		else if (this.blocks.some((one) => one.state.at === "requested")) this.#early.add(job);
	}

	#end(block: Block, reason: string): void {
		const { nowMs, log, onEnded } = this.#options;
		const neverActive = block.state.at === "requested" || block.state.at === "submitted";
		move(block, { at: "ended", sinceMs: nowMs(), reason, neverActive });
		this.#blocks.delete(block.id);
		if (neverActive) {
			this.#lastReason = reason;
			const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** this.#failures++);
			this.#notBeforeMs = nowMs() + waitMs;
			log.error(
				{ block: block.id, reason, failures: this.#failures, waitMs },
				"blocks: a block ended before its manager came",
			);
		} else log.info({ block: block.id, reason }, "blocks: a block has ended");
		this.#saveSoon();
		onEnded(block.id, reason);
	}

	#saveSoon(): void {
		this.#save().catch((error: unknown) =>
			this.#options.log.error({ err: error }, "blocks: the list cannot be written"),
		);
	}

	#save(): Promise<void> {
		const saved = this.#saving.catch(() => undefined).then(() => writeBlocks(this.#options.path, this.blocks));
		this.#saving = saved.catch(() => undefined);
		return saved;
	}
}
