import { readFileSync } from "node:fs";
import type { Executor, TaskFuture } from "@errand/sdk";

/** What one task of the workload does: says that it began, takes its time, says that it ended. */
async function step(record: string, index: number, durationMs: number): Promise<number> {
	const { appendFileSync } = process.getBuiltinModule("node:fs");
	appendFileSync(record, `begin ${index}\n`);
	if (durationMs > 0) await new Promise((resolve) => setTimeout(resolve, durationMs));
	appendFileSync(record, `end ${index}\n`);
	return index;
}

/** Mostly short tasks, some longer, a few long: what a real campaign looks like. */
function durationOf(index: number): number {
	if (index % 200 === 7) return 800;
	if (index % 20 === 3) return 40;
	return index % 3;
}

/** Tasks of mixed length that leave a record of each begin and end. */
export function submitWorkload(executor: Executor, record: string, count: number): TaskFuture<number>[] {
	return Array.from({ length: count }, (_, index) => executor.submit(step, record, index, durationOf(index)));
}

/** How often each task began and ended. */
export function readRecord(record: string): { begun: Map<number, number>; ended: Map<number, number> } {
	const begun = new Map<number, number>();
	const ended = new Map<number, number>();
	for (const line of readFileSync(record, "utf8").split("\n")) {
		const [word, index] = line.split(" ");
		if (index === undefined) continue;
		const counts = word === "begin" ? begun : ended;
		counts.set(Number(index), (counts.get(Number(index)) ?? 0) + 1);
	}
	return { begun, ended };
}

/** Resolves when this many of the futures have settled. */
export async function settled(futures: readonly PromiseLike<unknown>[], count: number): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	let done = 0;
	const one = () => ++done === count && resolve();
	for (const future of futures) void future.then(one, one);
	await promise;
}
