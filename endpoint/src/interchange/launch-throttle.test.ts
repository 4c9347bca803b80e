import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dispatched, helloOf, success, tasksOf } from "./interchange.test-harness.ts";
import { Interchange } from "./interchange.ts";
import { LaunchThrottle } from "./launch-throttle.ts";
import type { QueueSettings } from "./queue-view.ts";

describe("ENS-2: launches of programs over nodes", () => {
	test("in no second are there more than allowed, and never more at once, whatever the times", () => {
		const steps = fc.array(fc.record({ waitMs: fc.nat(700), ends: fc.boolean() }), { minLength: 50, maxLength: 300 });
		fc.assert(
			fc.property(fc.constantFrom(0.5, 1, 2.5, 10), fc.integer({ min: 1, max: 20 }), steps, (rate, most, steps) => {
				const throttle = new LaunchThrottle({ maxLaunchesPerSecond: rate, maxRunningLaunches: most });
				const launches: number[] = [];
				let running = 0;
				let nowMs = 0;
				for (const { waitMs, ends } of steps) {
					nowMs += waitMs;
					if (ends && running > 0) {
						running--;
						throttle.ended();
					}
					while (throttle.allows(nowMs)) {
						throttle.launched(nowMs);
						launches.push(nowMs);
						expect(++running).toBeLessThanOrEqual(most);
					}
					expect(throttle.reason(nowMs)).toBeDefined();
				}
				const windowMs = Math.max(1000, 1000 / rate);
				for (const [at, launch] of launches.entries()) {
					const within = launches.slice(at).filter((other) => other - launch < windowMs).length;
					expect(within).toBeLessThanOrEqual(Math.max(1, rate));
				}
			}),
			{ numRuns: 100 },
		);
	});

	test("a clock that is set back closes nothing for longer than a second", () => {
		const throttle = new LaunchThrottle({ maxLaunchesPerSecond: 1 });
		throttle.launched(1_000_000);
		expect([throttle.allows(5), throttle.allows(1_004), throttle.allows(1_005)]).toEqual([false, false, true]);
	});

	test("of a thousand ready tasks with ranks no more are started than the queue allows; tasks without are not held up", () => {
		const queue: QueueSettings = {
			name: "q",
			nodesPerBlock: 1,
			walltimeMs: undefined,
			node: {},
			maxBlocks: 1,
			maxQueuedBlocks: 1,
			parallelism: 1,
			idleTimeoutMs: 1,
			maxLaunchesPerSecond: 20,
			maxRunningLaunches: 50,
		};
		const core = new Interchange({ queues: [queue] });
		for (let node = 0; node < 20; node++) core.attach(helloOf({ id: `m${node}`, block: "b", cores: 64 }), 0, "q");
		core.accept(tasksOf(1000, { ranksPerNode: 1 }), 0);
		core.accept(tasksOf(100), 0);
		const running: { id: ReturnType<typeof dispatched>[number]["id"]; managerId: string; untilMs: number }[] = [];
		const launches: number[] = [];
		for (let nowMs = 0; !core.empty; nowMs += 100) {
			const done = running.filter(({ untilMs }) => untilMs <= nowMs);
			for (const { id, managerId } of done) core.results(managerId, [success(id)], nowMs);
			running.splice(0, running.length, ...running.filter(({ untilMs }) => untilMs > nowMs));
			core.place(nowMs);
			const sent = dispatched(core.takeReactions());
			if (nowMs === 0) expect(sent).toHaveLength(120);
			const ranks = nowMs === 0 ? 20 : sent.length;
			launches.push(...Array<number>(ranks).fill(nowMs));
			running.push(...sent.map((one) => ({ ...one, untilMs: nowMs + 3_000 })));
			if (nowMs > 5_000) expect(running.length).toBeLessThanOrEqual(50);
		}
		expect(launches).toHaveLength(1000);
		for (const [at, launch] of launches.entries())
			expect((launches[at + 20] ?? Number.POSITIVE_INFINITY) - launch).toBeGreaterThanOrEqual(1000);
	});
});
