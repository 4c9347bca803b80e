/** BAL-5: programs of different sizes packed into one block, against what a packer that knows everything could do. */
import type { TaskId } from "@errand/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dispatched, helloOf, success, taskOf, tasksOf } from "./interchange.test-harness.ts";
import { Interchange } from "./interchange.ts";

const secondMs = 1_000;
const nodes = 3;
const cores = 4;

interface Job {
	readonly nodes: number;
	readonly durationMs: number;
}

/** When the last one ends; time is simulated. */
function simulate(jobs: readonly Job[], { declared, small = 0 }: { declared: boolean; small?: number }): number {
	const core = new Interchange();
	for (let node = 0; node < nodes; node++)
		core.attach(helloOf({ id: `m${node}`, host: `n${node}`, block: "b", cores }), 0);
	const durations = new Map<TaskId, number>();
	const tasks = jobs.map((job) => {
		const task = taskOf({
			nodes: job.nodes,
			ranksPerNode: cores,
			...(declared && { expectedMs: job.durationMs }),
		});
		durations.set(task.id, job.durationMs);
		return task;
	});
	const rest = tasksOf(small, declared ? { expectedMs: secondMs } : {});
	for (const { id } of rest) durations.set(id, secondMs);
	core.accept([...tasks, ...rest], 0);
	const running: { id: TaskId; managerId: string; endMs: number }[] = [];
	let nowMs = 0;
	while (!core.empty) {
		core.place(nowMs);
		for (const one of dispatched(core.takeReactions()))
			running.push({ ...one, endMs: nowMs + (durations.get(one.id) as number) });
		running.sort((a, b) => a.endMs - b.endMs);
		expect(running.length).toBeGreaterThan(0);
		nowMs = (running[0] as { endMs: number }).endMs;
		while (running[0]?.endMs === nowMs) {
			const { managerId, id } = running.shift() as (typeof running)[number];
			core.results(managerId, [success(id, durations.get(id))], nowMs);
		}
	}
	return nowMs;
}

/** The shortest of the schedules that some order gives when each job starts as soon as there are nodes for it. */
function packOffline(jobs: readonly Job[]): number {
	let bestMs = Number.POSITIVE_INFINITY;
	const freeAt = Array<number>(nodes).fill(0);
	const visit = (left: readonly Job[], free: readonly number[], endMs: number): void => {
		if (endMs >= bestMs) return;
		if (left.length === 0) bestMs = endMs;
		for (const [at, job] of left.entries()) {
			const sorted = free.toSorted((a, b) => a - b);
			const end = (sorted[job.nodes - 1] as number) + job.durationMs;
			visit(
				left.toSpliced(at, 1),
				[...Array<number>(job.nodes).fill(end), ...sorted.slice(job.nodes)],
				Math.max(endMs, end),
			);
		}
	};
	visit(jobs, freeAt, 0);
	return bestMs;
}

const job = fc.record({
	nodes: fc.constantFrom(1, 1, 2, 3),
	durationMs: fc.integer({ min: 20, max: 600 }).map((seconds) => seconds * secondMs),
});
const sevenJobs = fc.array(job, { minLength: 7, maxLength: 7 });
const nodeTimeMs = (jobs: readonly Job[]): number => jobs.reduce((sum, one) => sum + one.nodes * one.durationMs, 0);

describe("BAL-5: seven programs of different sizes on three nodes", () => {
	test.each([true, false])(
		"in order of arrival they leave hardly more idle than the best packing (times declared: %s)",
		(declared) => {
			const minutes = (over: number, count: number): Job => ({ nodes: over, durationMs: count * 60 * secondMs });
			const jobs = [
				minutes(3, 4),
				minutes(2, 6),
				minutes(1, 6),
				minutes(2, 3),
				minutes(1, 2),
				minutes(1, 1),
				minutes(1, 5),
			];
			const idleMs = nodes * simulate(jobs, { declared }) - nodeTimeMs(jobs);
			expect(idleMs).toBeLessThanOrEqual(1.25 * nodes * packOffline(jobs) - nodeTimeMs(jobs));
		},
	);

	test("whatever they are, they end within a quarter more than the best packing on the whole, and twice in each case", () => {
		let ours = 0;
		let best = 0;
		fc.assert(
			fc.property(sevenJobs, fc.boolean(), (jobs, declared) => {
				const [oursMs, bestMs] = [simulate(jobs, { declared }), packOffline(jobs)];
				expect(oursMs).toBeLessThanOrEqual(2 * bestMs);
				ours += oursMs;
				best += bestMs;
			}),
			{ numRuns: 60, seed: 5 },
		);
		expect(ours / best).toBeLessThan(1.25);
	});

	test("single-core tasks fill what the programs leave, and cost them no more than the time that they need themselves", () => {
		const small = 400;
		fc.assert(
			fc.property(sevenJobs, (jobs) => {
				const alone = simulate(jobs, { declared: true });
				const needed = (small * secondMs) / (nodes * cores);
				expect(simulate(jobs, { declared: true, small })).toBeLessThanOrEqual(alone + needed + secondMs);
			}),
			{ numRuns: 20, seed: 7 },
		);
	});
});
