/** Waiting between attempts: doubling, capped, with jitter so that many clients do not come back at once. */
export interface BackOff {
	firstMs: number;
	limitMs: number;
}

/** Milliseconds before attempt `attempt` (1 is the first repetition): half of the step is certain, half is chance. */
export function waitBeforeMs(backOff: BackOff, attempt: number, random: () => number = Math.random): number {
	const step = Math.min(backOff.limitMs, backOff.firstMs * 2 ** Math.min(attempt - 1, 30));
	return step / 2 + (step / 2) * random();
}

/** Resolves after the time; rejects with the signal's reason when that comes first. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) return reject(signal.reason);
		const onAbort = (): void => {
			clearTimeout(timer);
			reject(signal?.reason);
		};
		const timer = setTimeout(() => {
			signal?.removeEventListener("abort", onAbort);
			resolve();
		}, ms);
		signal?.addEventListener("abort", onAbort, { once: true });
	});
}
