/**
 * Two clocks. The wall's is what people, schedulers and other machines mean, and it may jump. Intervals and limits are
 * measured on the steady one, which does not: a clock that is set must not make managers silent or blocks late.
 */
export interface Clock {
	/** Unix milliseconds. */
	readonly wallMs: () => number;
	/** Milliseconds that only pass. Begins at the wall's time, so that times of an earlier daemon can be compared with it. */
	readonly steadyMs: () => number;
}

export function systemClock(): Clock {
	const startMs = Date.now() - performance.now();
	return { wallMs: Date.now, steadyMs: () => startMs + performance.now() };
}
