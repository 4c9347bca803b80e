/** What went wrong with the blocks of each queue, who is told, and the pause that comes of it. */
import type { BlockSpec } from "../scheduler/scheduler.ts";
import type { Clock } from "../service/clock.ts";
import type { Logger } from "../service/logger.ts";
import type { Block } from "./block.ts";
import type { BlockList } from "./block-list.ts";
import { tailOfLog } from "./block-log.ts";
import { isFailing, noFailures, pauseReason, startFailed, submitFailed, submitWorked, troubleOf } from "./guard.ts";
import { PauseSwitch } from "./pause-switch.ts";
import { secretsOf } from "./script-file.ts";

export interface RunawayGuardOptions {
	/** The endpoint's. */
	readonly directory: string;
	readonly list: BlockList;
	/** Undefined when its queue is not in the configuration any more. */
	readonly specOf: (block: Block) => BlockSpec | undefined;
	/** Blocks may not be asked for any more, or may again. */
	readonly switched: (isPaused: boolean) => void;
	/** There is something to be told. */
	readonly changed: () => void;
	readonly clock: Clock;
	readonly log: Logger;
}

export class RunawayGuard {
	readonly #options: RunawayGuardOptions;
	readonly #switch: PauseSwitch;
	/** Logs that are being read. */
	#reading: Promise<void> = Promise.resolve();

	private constructor(options: RunawayGuardOptions, pauseSwitch: PauseSwitch) {
		this.#options = options;
		this.#switch = pauseSwitch;
	}

	static async open(options: RunawayGuardOptions): Promise<RunawayGuard> {
		const { directory, list, log } = options;
		const pauseSwitch = await PauseSwitch.open({ directory, log, switched: () => guard.#switched() });
		const guard: RunawayGuard = new RunawayGuard(options, pauseSwitch);
		// Its pause was ended while no daemon was there to see it.
		const failing = [...list.guards].some(([queue, one]) => pauseReason(queue, one) !== undefined);
		if (failing && !pauseSwitch.pause) list.clearGuards();
		return guard;
	}

	/** Why nothing is asked for until somebody resumes the endpoint. */
	get paused(): string | undefined {
		return this.#switch.pause?.reason;
	}

	/** For people; empty when all is well. */
	get trouble(): string {
		return [...this.#options.list.guards].map(([queue, guard]) => troubleOf(queue, guard)).join("; ");
	}

	/** So many blocks of the queue that have had no manager may there be at most now. */
	limit(queue: string): number {
		const guard = this.#options.list.guard(queue);
		if (this.#switch.pause || this.#options.clock.steadyMs() < guard.notBeforeMs) return 0;
		// After a failure one is tried: it must show that it can be done.
		return isFailing(guard) ? 1 : Number.POSITIVE_INFINITY;
	}

	/** Looks whether somebody has paused or resumed the endpoint. Call it now and then. */
	tick(): void {
		this.#switch.tick(this.#options.clock.steadyMs());
	}

	attached(queue: string): void {
		this.#options.list.setGuard(queue, noFailures);
	}

	submitted(queue: string): void {
		const { list } = this.#options;
		list.setGuard(queue, submitWorked(list.guard(queue)));
	}

	refused({ id, queue }: Block, words: string): void {
		const { list, clock, log } = this.#options;
		log.error({ block: id, queue, reason: words }, "blocks: the scheduler refused a block");
		list.setGuard(queue, submitFailed(list.guard(queue), words, clock.steadyMs()));
		this.#pauseIfFailing(queue);
	}

	/** It ended, and no manager of it had come. */
	failed(block: Block, reason: string): void {
		const { list, clock, log } = this.#options;
		log.error({ block: block.id, queue: block.queue, reason }, "blocks: a block ended before its manager came");
		list.setGuard(block.queue, startFailed(list.guard(block.queue), reason, clock.steadyMs()));
		this.#reading = this.#reading.then(() => this.#tellWithLog(block, reason));
	}

	/** Resolves when all that was noted can be seen. */
	settled(): Promise<void> {
		return this.#reading;
	}

	async #tellWithLog(block: Block, reason: string): Promise<void> {
		const { list, specOf, changed } = this.#options;
		const spec = specOf(block);
		const tail = spec ? await tailOfLog(spec.logPath, secretsOf(spec)) : "";
		const guard = list.guard(block.queue);
		if (tail !== "" && guard.failedStarts > 0)
			list.setGuard(block.queue, { ...guard, reason: `${reason}. Its log ends: ${tail}` });
		this.#pauseIfFailing(block.queue);
		void list.save();
		changed();
	}

	#pauseIfFailing(queue: string): void {
		const { list, clock, log, switched, changed } = this.#options;
		const reason = pauseReason(queue, list.guard(queue));
		if (reason === undefined || this.#switch.pause) return;
		log.error({ queue, reason }, "blocks: the endpoint is paused until somebody resumes it");
		void this.#switch.set({ reason, since: new Date(clock.wallMs()).toISOString(), by: "guard" });
		switched(true);
		changed();
	}

	#switched(): void {
		const { list, log, switched, changed } = this.#options;
		const { pause } = this.#switch;
		if (pause) log.warn({ reason: pause.reason }, "blocks: the endpoint was paused");
		else {
			log.info({}, "blocks: the endpoint was resumed");
			list.clearGuards();
			void list.save();
		}
		switched(pause !== undefined);
		changed();
	}
}
