/** How often the scheduler is asked: politely, later and later while it is silent. On a steady clock that is given. */

/** However much happens, two questions are not nearer to each other than this. */
const pollSpacingMs = 5_000;
/** Two blocks in a row may not be submitted faster than this … */
const submitEveryMs = 2_000;
/** … but so many may at once. */
const submitBurst = 5;
const longestSilenceMs = 300_000;
const jitter = 0.2;

export interface PaceOptions {
	readonly pollIntervalMs: number;
	/** False for this machine: nobody else is slowed down by it. */
	readonly polite: boolean;
	/** 0 to 1. */
	readonly random: () => number;
}

export class Pace {
	readonly #options: PaceOptions;
	#pollAtMs: number;
	#polledMs = Number.NEGATIVE_INFINITY;
	#quietUntilMs = 0;
	#silences = 0;
	#submits = submitBurst;
	#submitsAtMs: number;

	constructor(options: PaceOptions, nowMs: number) {
		this.#options = options;
		this.#pollAtMs = nowMs;
		this.#submitsAtMs = nowMs;
	}

	/** Nothing is asked at all: it was silent the last time. */
	isQuiet(nowMs: number): boolean {
		return nowMs < this.#quietUntilMs;
	}

	isPollDue(nowMs: number): boolean {
		return nowMs >= this.#pollAtMs;
	}

	/** Something has happened of which the scheduler knows more: asks within this time, if that is sooner. */
	pollWithin(ms: number, nowMs: number): void {
		const spaced = this.#options.polite ? Math.max(nowMs + ms, this.#polledMs + pollSpacingMs) : nowMs + ms;
		this.#pollAtMs = Math.min(this.#pollAtMs, spaced);
	}

	/** All is known for now: it was asked, or there was nothing to ask for. */
	polled(nowMs: number, asked = true): void {
		if (asked) this.#polledMs = nowMs;
		this.#pollAtMs = nowMs + this.#jittered(this.#options.pollIntervalMs);
	}

	/** True when a block may be submitted now; it counts as submitted. */
	takeSubmit(nowMs: number): boolean {
		if (!this.#options.polite) return true;
		this.#submits = Math.min(submitBurst, this.#submits + (nowMs - this.#submitsAtMs) / submitEveryMs);
		this.#submitsAtMs = nowMs;
		if (this.#submits < 1) return false;
		this.#submits--;
		return true;
	}

	answered(): void {
		this.#silences = 0;
		this.#quietUntilMs = 0;
	}

	/** Returns how long it is left alone. */
	silent(nowMs: number): number {
		const ms = this.#jittered(
			Math.min(longestSilenceMs / (1 + jitter), this.#options.pollIntervalMs * 2 ** Math.min(this.#silences++, 30)),
		);
		this.#quietUntilMs = nowMs + ms;
		return ms;
	}

	#jittered(ms: number): number {
		return ms * (1 - jitter + 2 * jitter * this.#options.random());
	}
}
