/** How often somebody may be wrong: counts failures per key in a bounded memory, leaking one after each interval. */
import { Fault } from "@errand/proto";

export interface LoginLimitOptions {
	/** Failures in a row before the key must wait. */
	burst: number;
	/** After this long one failure is forgiven. */
	forgiveMs: number;
	/** Keys remembered; beyond it the longest untouched is forgotten. */
	keys: number;
	now: () => number;
}

interface Failures {
	count: number;
	atMs: number;
}

export class LoginLimit {
	readonly #options: LoginLimitOptions;
	/** In order of last failure, oldest first. */
	readonly #failures = new Map<string, Failures>();

	constructor(options: LoginLimitOptions) {
		this.#options = options;
	}

	/** Throws `TOO_MANY_REQUESTS` with the time to wait while one of the keys has failed too often. */
	check(...keys: readonly string[]): void {
		const waitMs = Math.max(0, ...keys.map((key) => this.#waitMs(key)));
		if (waitMs === 0) return;
		const retryAfterS = Math.ceil(waitMs / 1000);
		throw new Fault(
			"TOO_MANY_REQUESTS",
			`Too many failed attempts. Wait ${retryAfterS} s and try again; the limit is ${this.#options.burst} in a row.`,
			{ retryAfterS },
		);
	}

	failed(...keys: readonly string[]): void {
		for (const key of keys) {
			const count = this.#count(key) + 1;
			this.#failures.delete(key);
			this.#failures.set(key, { count, atMs: this.#options.now() });
		}
		while (this.#failures.size > this.#options.keys) {
			const oldest = this.#failures.keys().next();
			if (oldest.done === true) break;
			this.#failures.delete(oldest.value);
		}
	}

	/** The key has proved itself: its failures are forgotten. */
	succeeded(key: string): void {
		this.#failures.delete(key);
	}

	/** One failure that was counted was none after all. */
	takeBack(key: string): void {
		const count = this.#count(key) - 1;
		if (count <= 0) this.#failures.delete(key);
		else this.#failures.set(key, { count, atMs: this.#options.now() });
	}

	#count(key: string): number {
		const failures = this.#failures.get(key);
		if (failures === undefined) return 0;
		return Math.max(0, failures.count - (this.#options.now() - failures.atMs) / this.#options.forgiveMs);
	}

	/** Until fewer than `burst` failures are left. */
	#waitMs(key: string): number {
		const excess = this.#count(key) - (this.#options.burst - 1);
		return excess > 0 ? excess * this.#options.forgiveMs : 0;
	}
}
