/** One thing at the scheduler at a time, and after each whatever is due next. Silence is a wait, never an answer. */
import type { Clock } from "../service/clock.ts";
import type { Logger } from "../service/logger.ts";
import type { Pace } from "./pace.ts";
import type { Silence } from "./supervision.ts";

export interface SchedulerTurnsOptions {
	readonly pace: Pace;
	readonly clock: Clock;
	/** What is due at this time, if anything. When it rejects, the scheduler was silent. */
	readonly due: (nowMs: number) => (() => Promise<void>) | undefined;
	/** It has fallen silent, or answers again. */
	readonly changed: () => void;
	readonly log: Logger;
}

export class SchedulerTurns {
	readonly #options: SchedulerTurnsOptions;
	#silent: Silence | undefined;
	#working: Promise<void> | undefined;
	#closed = false;

	constructor(options: SchedulerTurnsOptions) {
		this.#options = options;
	}

	get silent(): Silence | undefined {
		return this.#silent;
	}

	/** Begins with what is due, unless something is under way. */
	go(): void {
		if (this.#working || this.#closed) return;
		const { pace, clock, due } = this.#options;
		const nowMs = clock.steadyMs();
		const work = pace.isQuiet(nowMs) ? undefined : due(nowMs);
		if (!work) return;
		this.#working = work()
			.then(
				() => this.#answered(),
				(error: unknown) => this.#notAnswered(error as Error),
			)
			.finally(() => {
				this.#working = undefined;
				this.go();
			});
	}

	/** Resolves when nothing is under way. */
	async settled(): Promise<void> {
		while (this.#working !== undefined) await this.#working;
	}

	/** Resolves when what is under way has ended; nothing more is begun. */
	close(): Promise<void> {
		this.#closed = true;
		return this.settled();
	}

	#answered(): void {
		this.#options.pace.answered();
		if (!this.#silent) return;
		this.#options.log.info({ sinceMs: this.#silent.sinceMs }, "blocks: the scheduler answers again");
		this.#silent = undefined;
		this.#options.changed();
	}

	#notAnswered(error: Error): void {
		const { pace, clock, log, changed } = this.#options;
		const waitMs = Math.round(pace.silent(clock.steadyMs()));
		log.warn({ err: error, waitMs }, "blocks: the scheduler does not answer; nothing is known, so nothing changes");
		const first = !this.#silent;
		this.#silent = { sinceMs: this.#silent?.sinceMs ?? clock.wallMs(), reason: error.message };
		if (first) changed();
	}
}
