/**
 * Two hundred tasks, their results as they complete: π by throwing darts.
 *
 *     npx node sdk/examples/fan-out.ts [ENDPOINT]
 */
import { Executor } from "@errand/sdk";

const throwsInTask = 1_000_000;
const tasks = 200;

function hits(seed: number, throws: number): number {
	// A small generator of pseudo-random numbers, so that the same seed gives the same answer everywhere.
	let state = seed;
	const random = (): number => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	let inside = 0;
	for (let i = 0; i < throws; i++) if (random() ** 2 + random() ** 2 < 1) inside++;
	return inside;
}

await using executor = new Executor({ endpoint: process.argv[2] ?? "local" });
const seeds = Array.from({ length: tasks }, (_, seed) => seed);
const throws = seeds.map(() => throwsInTask);
let inside = 0;
let done = 0;
for await (const count of executor.map(hits, seeds, throws, { ordered: false })) {
	inside += count;
	done++;
	if (done % 20 === 0)
		console.log(`${done} of ${tasks} tasks, π is about ${((4 * inside) / (done * throwsInTask)).toFixed(5)}`);
}
