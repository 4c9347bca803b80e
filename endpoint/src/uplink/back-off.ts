/** How long to wait before trying again: doubles from the first to the longest wait, plus or minus a quarter, so that many do not come at once. */
export class BackOff {
	readonly #firstMs: number;
	readonly #longestMs: number;
	#tries = 0;

	constructor(firstMs: number, longestMs: number) {
		this.#firstMs = firstMs;
		this.#longestMs = longestMs;
	}

	nextMs(): number {
		const ms = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#tries++, 30));
		return ms * (0.75 + Math.random() / 2);
	}

	get tries(): number {
		return this.#tries;
	}

	reset(): void {
		this.#tries = 0;
	}
}

/** Resolves after the time, or rejects with the signal's reason. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal.aborted) {
			reject(signal.reason as Error);
			return;
		}
		const stop = (): void => {
			clearTimeout(timer);
			reject(signal.reason as Error);
		};
		const timer = setTimeout(() => {
			signal.removeEventListener("abort", stop);
			resolve();
		}, ms);
		signal.addEventListener("abort", stop, { once: true });
	});
}
