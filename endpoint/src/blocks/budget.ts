/** Node-hours: what blocks have taken, and what those that live can still take. Given times, no clock. */
import { type Block, neverActive } from "./block.ts";

const hourMs = 3_600_000;

/** Of blocks that have a walltime the whole of it counts until they have ended; of others what has passed. */
export function committedNodeMs(blocks: readonly Block[], spentNodeMs: number, nowMs: number): number {
	let total = spentNodeMs;
	for (const block of blocks)
		total += block.spentNodeMs + block.nodes * Math.max(block.walltimeMs ?? 0, elapsedMs(block, nowMs));
	return total;
}

/** What a block that has now ended took, all attempts together. */
export function takenNodeMs(block: Block, nowMs: number): number {
	return block.spentNodeMs + block.nodes * elapsedMs(block, nowMs);
}

function elapsedMs(block: Block, nowMs: number): number {
	// A clock that was set back gives nobody node-hours as a present.
	return block.runningSinceMs === undefined ? 0 : Math.max(0, nowMs - block.runningSinceMs);
}

/**
 * Of a job that nobody saw running and that ended nonetheless: it may have run since the last time it was seen to wait.
 * An upper bound, so that short jobs are not free.
 */
export function assumeRun(block: Block): Block {
	if (block.runningSinceMs !== undefined || !neverActive(block) || block.told.atMs === 0) return block;
	return { ...block, runningSinceMs: block.told.atMs };
}

/** How many more blocks of this shape there may be; Infinity without a budget. */
export function affordable(
	budgetNodeHours: number | undefined,
	committed: number,
	shape: { readonly nodes: number; readonly walltimeMs: number | undefined },
): number {
	if (budgetNodeHours === undefined) return Number.POSITIVE_INFINITY;
	const left = budgetNodeHours * hourMs - committed;
	if (left <= 0) return 0;
	const cost = shape.nodes * (shape.walltimeMs ?? 0);
	return cost === 0 ? Number.POSITIVE_INFINITY : Math.floor(left / cost);
}

/** For people. */
export function budgetSentence(
	budgetNodeHours: number,
	committed: number,
	shape: { readonly nodes: number; readonly walltimeMs: number | undefined },
): string {
	const hours = (ms: number): string => String(Math.round((ms / hourMs) * 100) / 100);
	return (
		`${hours(committed)} of the ${budgetNodeHours} node-hours in budget_node_hours are used or promised to blocks that live, ` +
		`and another block can take ${hours(shape.nodes * (shape.walltimeMs ?? 0))}; raise budget_node_hours and restart the endpoint`
	);
}
