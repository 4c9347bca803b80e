/** The blocks that have not ended and what is remembered of the others, in memory and on disk. */
import type { Logger } from "../service/logger.ts";
import { type Block, jobOf } from "./block.ts";
import { readBlocks, writeBlocks } from "./block-file.ts";
import { committedNodeMs, takenNodeMs } from "./budget.ts";
import { type Guard, noFailures } from "./guard.ts";

/** After a list that could not be written, before it is tried again. */
const saveAgainMs = 5_000;

export class BlockList {
	readonly #path: string;
	readonly #log: Logger;
	readonly #steadyMs: () => number;
	readonly #blocks = new Map<string, Block>();
	readonly #guards = new Map<string, Guard>();
	#spentNodeMs = 0;
	#saving: Promise<void> = Promise.resolve();
	#waiting: Promise<boolean> | undefined;
	#failure: { readonly untilMs: number; readonly reason: string } | undefined;

	private constructor(path: string, log: Logger, steadyMs: () => number) {
		this.#path = path;
		this.#log = log;
		this.#steadyMs = steadyMs;
	}

	static async open(path: string, log: Logger, steadyMs: () => number): Promise<BlockList> {
		const list = new BlockList(path, log, steadyMs);
		const { blocks, guards, spentNodeMs } = await readBlocks(path, log);
		for (const block of blocks) list.#blocks.set(block.id, block);
		for (const [queue, guard] of guards) list.#guards.set(queue, guard);
		list.#spentNodeMs = spentNodeMs;
		return list;
	}

	get all(): readonly Block[] {
		return [...this.#blocks.values()];
	}

	get size(): number {
		return this.#blocks.size;
	}

	/** Jobs of blocks that have one. */
	get jobs(): string[] {
		return this.all.map(jobOf).filter((job) => job !== undefined);
	}

	get(id: string): Block | undefined {
		return this.#blocks.get(id);
	}

	ofJob(job: string): Block | undefined {
		return this.all.find((block) => jobOf(block) === job);
	}

	ofQueue(queue: string): Block[] {
		return this.all.filter((block) => block.queue === queue);
	}

	put(block: Block): void {
		this.#blocks.set(block.id, block);
	}

	/** It has ended: what it took is remembered. */
	remove(block: Block, nowMs: number): void {
		if (this.#blocks.delete(block.id)) this.#spentNodeMs += takenNodeMs(block, nowMs);
	}

	committedNodeMs(nowMs: number): number {
		return committedNodeMs(this.all, this.#spentNodeMs, nowMs);
	}

	guard(queue: string): Guard {
		return this.#guards.get(queue) ?? noFailures;
	}

	get guards(): ReadonlyMap<string, Guard> {
		return this.#guards;
	}

	setGuard(queue: string, guard: Guard): void {
		if (guard === noFailures) this.#guards.delete(queue);
		else this.#guards.set(queue, guard);
	}

	clearGuards(): void {
		this.#guards.clear();
	}

	/** Why the list is not on disk as it is here; undefined when it is, or soon will be. */
	get failure(): string | undefined {
		return this.#failure?.reason;
	}

	/** Whether a failed write is too recent for another try. */
	get isResting(): boolean {
		return this.#failure !== undefined && this.#steadyMs() < this.#failure.untilMs;
	}

	/**
	 * True when everything that is here now is on disk. False when it could not be written: that is logged, and the file is
	 * as it was. Calls during a write share the next one.
	 */
	save(): Promise<boolean> {
		this.#waiting ??= this.#saving.then(() => {
			this.#waiting = undefined;
			const written = this.#write();
			this.#saving = written.then(() => undefined);
			return written;
		});
		return this.#waiting;
	}

	/** Resolves when no write is under way. */
	async written(): Promise<void> {
		while (this.#waiting !== undefined) await this.#waiting;
		await this.#saving;
	}

	async #write(): Promise<boolean> {
		try {
			await writeBlocks(this.#path, { blocks: this.all, guards: this.#guards, spentNodeMs: this.#spentNodeMs });
			this.#failure = undefined;
			return true;
		} catch (error) {
			const reason = (error as Error).message;
			this.#failure = { untilMs: this.#steadyMs() + saveAgainMs, reason };
			this.#log.error({ err: error }, "blocks: the list cannot be written; no block is asked for until it can");
			return false;
		}
	}
}
