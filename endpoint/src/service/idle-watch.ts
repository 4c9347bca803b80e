/** When a daemon has had nothing to do for long enough to end. */
export class IdleWatch {
	readonly #limitMs: number;
	#sinceMs: number;

	/** @param limitMs 0: never */
	constructor(limitMs: number, nowMs: number) {
		this.#limitMs = limitMs;
		this.#sinceMs = nowMs;
	}

	/** Something is done, or has been: also a task that came and went between two looks. */
	busy(nowMs: number): void {
		this.#sinceMs = nowMs;
	}

	/** Call it a few times a second. True when the time is over. */
	look(busy: boolean, nowMs: number): boolean {
		if (busy) this.#sinceMs = nowMs;
		return this.#limitMs > 0 && nowMs - this.#sinceMs >= this.#limitMs;
	}
}
