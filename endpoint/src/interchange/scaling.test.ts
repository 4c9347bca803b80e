import { expect, test } from "vitest";
import { demandOf, plainDemand } from "./demand.ts";
import { type BlockLimits, planBlocks, wantedBlocks } from "./scaling.ts";

const shape = { workers: 4, cores: 4, memoryBytes: 0, gpus: 2, endsAtMs: 0 };
const limits: BlockLimits = { initial: 1, minimum: 0, maximum: 5, nodesPerBlock: 1, idleTimeoutMs: 1000 };
const gpuTask = demandOf({ cores: 1, memoryBytes: 0, gpus: 1, walltimeMs: 0, priority: 0 } as never);

test("as many blocks are wanted as would run every task at once, within the limits", () => {
	const wanted = (tasks: number, demand = plainDemand) => wantedBlocks([{ demand, tasks }], shape, limits);
	expect(wanted(0)).toBe(0);
	expect(wanted(4)).toBe(1);
	expect(wanted(5)).toBe(2);
	expect(wanted(4, gpuTask)).toBe(2);
	expect(wanted(1000)).toBe(5);
	expect(wantedBlocks([], shape, { ...limits, minimum: 2 })).toBe(2);
});

test("idle blocks are given back, the longest idle first, never below the minimum and never one that works", () => {
	const blocks = [
		{ id: "works", draining: false, idleSinceMs: undefined },
		{ id: "long", draining: false, idleSinceMs: 0 },
		{ id: "longer", draining: false, idleSinceMs: -500 },
		{ id: "fresh", draining: false, idleSinceMs: 1900 },
	];
	expect(planBlocks(blocks, 1, limits, 2000)).toEqual({ start: 0, drain: ["longer", "long"] });
	expect(planBlocks(blocks, 1, { ...limits, minimum: 3 }, 2000).drain).toEqual(["longer"]);
});

test("blocks that start or drain count against the maximum", () => {
	const blocks = [
		{ id: "a", draining: true, idleSinceMs: undefined },
		{ id: "b", draining: false, idleSinceMs: undefined },
	];
	expect(planBlocks(blocks, 2, { ...limits, maximum: 2 }, 0).start).toBe(0);
	expect(planBlocks(blocks, 3, limits, 0).start).toBe(2);
});
