import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type FutureControl, type FutureHost, TaskFuture } from "./future.ts";
import { argumentsFrom, type MapOptions, TaskMap } from "./task-map.ts";

const refuse = (): never => {
	throw new Error("not asked here");
};
const host: FutureHost = {
	document: refuse,
	explanation: refuse,
	waitsFor: () => [],
	output: refuse,
	progress: refuse,
	cancel: async () => true,
};

function open(source: Parameters<typeof argumentsFrom>[0], options: MapOptions = {}) {
	const controls: FutureControl<number>[] = [];
	const given: unknown[][] = [];
	const map = new TaskMap<number>(
		argumentsFrom(source),
		(args) => {
			const control = TaskFuture.open<number>(host, "f");
			controls.push(control);
			given.push([...args]);
			return control.future;
		},
		options,
	);
	return { map, controls, given, end: (index: number) => controls[index]?.resolve(index * 10) };
}

function* naturals(): Generator<number> {
	for (let i = 0; ; i++) yield i;
}

describe("a map", () => {
	test("gives values in the order of the arguments, whatever ends first", async () => {
		const { map, end } = open([[1, 2, 3]]);
		for (const index of [2, 1, 0]) end(index);
		expect(await map.toArray()).toEqual([0, 10, 20]);
	});

	test("gives values as they complete when order does not matter", async () => {
		const { map, end } = open([[1, 2, 3]], { ordered: false });
		end(2);
		await turn();
		for (const index of [0, 1]) end(index);
		expect(await map.toArray()).toEqual([20, 0, 10]);
	});

	test("submits an endless source only as far ahead of its reader as the window", async () => {
		const { map, controls, end } = open([naturals()], { window: 3 });
		expect(controls).toHaveLength(3);
		const values = map[Symbol.asyncIterator]();
		end(0);
		expect((await values.next()).value).toBe(0);
		expect(controls).toHaveLength(4);
		await values.return();
		for (const index of [1, 2, 3]) end(index);
		await turn();
		expect(controls).toHaveLength(4);
	});

	test("keeps no more tasks under way than told", async () => {
		const { controls, end } = open([naturals()], { window: 100, concurrency: 2 });
		expect(controls).toHaveLength(2);
		end(1);
		await turn();
		expect(controls).toHaveLength(3);
	});

	test("takes several sources side by side, synchronous or not; the shortest ends it", async () => {
		const { given } = open([[1, 2, 3], new Set(["a", "b"])]);
		expect(given).toEqual([
			[1, "a"],
			[2, "b"],
		]);
		async function* later(): AsyncGenerator<string> {
			yield "x";
			yield "y";
		}
		const mixed = open([naturals(), later()]);
		const done = mixed.map.toArray();
		for (let round = 0; round < 10; round++) await turn();
		for (const index of [0, 1]) mixed.end(index);
		expect(await done).toEqual([0, 10]);
		expect(mixed.given).toEqual([
			[0, "x"],
			[1, "y"],
		]);
	});

	test("a failure ends the iteration at its place, and outcomes() goes on", async () => {
		const failing = open([[1, 2, 3]]);
		failing.end(0);
		failing.controls[1]?.reject(new Error("second"));
		failing.end(2);
		await expect(failing.map.toArray()).rejects.toThrow("second");
		const again = open([[1, 2, 3]]);
		again.end(0);
		again.controls[1]?.reject(new Error("second"));
		again.end(2);
		const statuses: string[] = [];
		for await (const outcome of again.map.outcomes()) statuses.push(`${outcome.index} ${outcome.status}`);
		expect(statuses).toEqual(["0 fulfilled", "1 rejected", "2 fulfilled"]);
	});

	test("what the source throws comes after the values before it", async () => {
		function* broken(): Generator<number> {
			yield 1;
			throw new Error("no more");
		}
		const { map, end } = open([broken()]);
		end(0);
		const values: number[] = [];
		const read = (async () => {
			for await (const value of map) values.push(value);
		})();
		await expect(read).rejects.toThrow("no more");
		expect(values).toEqual([0]);
	});

	test("a window of nothing is refused", () => {
		expect(() => open([[1]], { window: 0 })).toThrow(/window is 0/);
	});
});
