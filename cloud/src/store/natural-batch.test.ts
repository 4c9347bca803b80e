import fc from "fast-check";
import { expect, test } from "vitest";
import { naturalBatches } from "./natural-batch.ts";

/** Work that ends when the test says so. */
function gate() {
	const batches: { items: readonly number[]; end: (failure?: Error) => void }[] = [];
	const work = (items: readonly number[]) =>
		new Promise<number>((resolve, reject) => {
			batches.push({ items, end: (failure) => (failure ? reject(failure) : resolve(items.length)) });
		});
	return { batches, work };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("one item leaves at once; what comes while it is under way leaves together after it", async () => {
	const { batches, work } = gate();
	const batcher = naturalBatches({ limit: 10, weigh: () => 1, concurrency: 1 }, work);
	const first = batcher.add(1);
	await turn();
	const later = [batcher.add(2), batcher.add(3)];
	await turn();
	expect(batches.map((batch) => batch.items)).toEqual([[1]]);
	batches[0]?.end();
	expect(await first).toBe(1);
	await turn();
	expect(batches[1]?.items).toEqual([2, 3]);
	batches[1]?.end();
	expect(await Promise.all(later)).toEqual([2, 2]);
	await batcher.idle();
});

test("a failed batch fails its own items and holds up nobody", async () => {
	const { batches, work } = gate();
	const batcher = naturalBatches({ limit: 1, weigh: () => 1, concurrency: 1 }, work);
	const first = batcher.add(1);
	const second = batcher.add(2);
	await turn();
	batches[0]?.end(new Error("no"));
	await expect(first).rejects.toThrow("no");
	await turn();
	batches[1]?.end();
	expect(await second).toBe(1);
});

test("whatever is added, every item leaves once, in order, in batches within the limit unless one item alone is above it", async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.nat(12), { maxLength: 60 }),
			fc.integer({ min: 1, max: 10 }),
			async (weights, limit) => {
				const seen: number[] = [];
				const batcher = naturalBatches<number, void>(
					{ limit, weigh: (n) => weights[n] as number, concurrency: 1 },
					async (items) => {
						const weight = items.reduce((sum, n) => sum + (weights[n] as number), 0);
						if (items.length > 1) expect(weight).toBeLessThanOrEqual(limit);
						seen.push(...items);
						await turn();
					},
				);
				await Promise.all(weights.map((_, n) => batcher.add(n)));
				expect(seen).toEqual(weights.map((_, n) => n));
				await batcher.idle();
			},
		),
		{ numRuns: 50 },
	);
});
