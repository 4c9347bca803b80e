import { Fault } from "@errand/proto";

/** How often each key may come: `burst` at once, `perSecond` for long. */
export interface Rate {
	readonly perSecond: number;
	readonly burst: number;
}

/** Keys remembered at once; the one seen longest ago is forgotten first (and so starts full again). */
const keysRemembered = 20_000;

interface Bucket {
	tokens: number;
	filledAtMs: number;
}

/** A token bucket for each key (an account, or an address that has not said who it is). Memory is bounded. */
export class RateLimiter {
	readonly #rate: Rate;
	readonly #nowMs: () => number;
	readonly #buckets = new Map<string, Bucket>();

	constructor(rate: Rate, nowMs: () => number = () => performance.now()) {
		this.#rate = rate;
		this.#nowMs = nowMs;
	}

	/** Counts one request; throws TOO_MANY_REQUESTS, which says when the next one may come. */
	take(key: string): void {
		const { perSecond, burst } = this.#rate;
		const now = this.#nowMs();
		let bucket = this.#buckets.get(key);
		if (bucket === undefined) {
			bucket = { tokens: burst, filledAtMs: now };
			this.#forgetOldest();
		} else {
			bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAtMs) * perSecond) / 1000);
			bucket.filledAtMs = now;
			this.#buckets.delete(key);
		}
		this.#buckets.set(key, bucket);
		if (bucket.tokens < 1) {
			throw new Fault(
				"TOO_MANY_REQUESTS",
				`More than ${perSecond} requests a second: wait, and put more tasks into one request.`,
				{ args: [String(perSecond)], retryAfterS: (1 - bucket.tokens) / perSecond },
			);
		}
		bucket.tokens -= 1;
	}

	get size(): number {
		return this.#buckets.size;
	}

	#forgetOldest(): void {
		if (this.#buckets.size < keysRemembered) return;
		for (const key of this.#buckets.keys()) {
			this.#buckets.delete(key);
			return;
		}
	}
}
