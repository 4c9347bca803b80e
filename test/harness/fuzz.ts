/**
 * How long a fuzz test runs. In CI the same cases each time, few enough for some seconds; with `ERRAND_FUZZ_SECONDS` new
 * ones for that long. What fails prints its seed and path: give them as `ERRAND_FUZZ_SEED` and `ERRAND_FUZZ_PATH`.
 */
import type { Parameters } from "fast-check";

const seconds = Number(process.env.ERRAND_FUZZ_SECONDS ?? 0);
const ciSeed = 20_261_121;

/** `runs`: how many cases CI looks at. */
export function fuzzing<T>(runs: number): Parameters<T> {
	const { ERRAND_FUZZ_SEED: seed, ERRAND_FUZZ_PATH: path } = process.env;
	const again = { ...(seed !== undefined && { seed: Number(seed) }), ...(path !== undefined && { path }) };
	if (seconds > 0)
		return { numRuns: 1_000_000_000, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false, ...again };
	return { numRuns: runs, seed: ciSeed, ...again };
}

/** For the test around it. */
export const fuzzTimeoutMs = (usualMs: number): number => usualMs + seconds * 1000;
