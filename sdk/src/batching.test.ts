import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Batcher } from "./batching.ts";

interface Item {
	bytes: number;
	index: number;
}

describe("natural batching", () => {
	test("what is pushed in one turn leaves together, and what comes meanwhile right after", async () => {
		const flushes: number[][] = [];
		const { promise, resolve } = Promise.withResolvers<void>();
		const batcher = new Batcher<Item>({ items: 100, bytes: 1_000 }, async (items) => {
			flushes.push(items.map((item) => item.index));
			await promise;
		});
		for (const index of [0, 1]) batcher.push({ bytes: 1, index });
		await turn();
		for (const index of [2, 3]) batcher.push({ bytes: 1, index });
		await turn();
		expect(flushes).toEqual([[0, 1]]);
		resolve();
		await batcher.idle();
		expect(flushes).toEqual([
			[0, 1],
			[2, 3],
		]);
	});

	test("every item leaves exactly once, in order, within the limits, one flush at a time", async () => {
		const step = fc.oneof(
			fc.record({ push: fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 20 }) }),
			fc.record({ remove: fc.nat({ max: 30 }) }),
			fc.constant("turn" as const),
		);
		await fc.assert(
			fc.asyncProperty(
				fc.array(step, { maxLength: 30 }),
				fc.integer({ min: 1, max: 7 }),
				fc.integer({ min: 1, max: 90 }),
				async (steps, items, bytes) => {
					const sent: Item[] = [];
					const taken = new Set<Item>();
					const all: Item[] = [];
					let flying = 0;
					const batcher = new Batcher<Item>({ items, bytes }, async (batch) => {
						expect(++flying).toBe(1);
						expect(batch.length).toBeLessThanOrEqual(items);
						const size = batch.reduce((sum, item) => sum + item.bytes, 0);
						expect(batch.length === 1 || size <= bytes).toBe(true);
						sent.push(...batch);
						await turn();
						flying--;
					});
					for (const each of steps) {
						if (each === "turn") await turn();
						else if ("push" in each) {
							for (const size of each.push) {
								const item = { bytes: size, index: all.length };
								all.push(item);
								batcher.push(item);
							}
						} else {
							const item = all[each.remove];
							if (item !== undefined && !taken.has(item) && batcher.remove(item)) taken.add(item);
						}
					}
					await batcher.idle();
					expect(sent).toEqual(all.filter((item) => !taken.has(item)));
				},
			),
			{ numRuns: 100 },
		);
	});
});
