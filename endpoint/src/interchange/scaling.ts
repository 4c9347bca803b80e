/** How many blocks are wanted, and which idle ones may go: a function of what is open and of the limits. */
import type { Demand, NodeShape } from "./demand.ts";

export interface BlockLimits {
	/** Blocks at start, before any task. */
	readonly initial: number;
	readonly minimum: number;
	readonly maximum: number;
	readonly nodesPerBlock: number;
	/** A block without a task for this long is given back, down to the minimum. */
	readonly idleTimeoutMs: number;
}

/** A block that has been asked for and has not ended. */
export interface BlockView {
	readonly id: string;
	readonly draining: boolean;
	/** Since when it has had nothing to do; undefined while it works or starts. */
	readonly idleSinceMs: number | undefined;
}

export interface ScalingPlan {
	/** Ask for so many more. */
	readonly start: number;
	/** Give these back. */
	readonly drain: readonly string[];
}

/** The share of a node that one task takes: the scarcest of what it asks for. */
function nodeShare(demand: Demand, shape: NodeShape): number {
	return Math.min(
		1,
		Math.max(
			1 / shape.workers,
			demand.cores / shape.cores,
			shape.gpus > 0 ? demand.gpus / shape.gpus : 0,
			shape.memoryBytes > 0 ? demand.memoryBytes / shape.memoryBytes : 0,
		),
	);
}

/** Blocks that would run every open task at once, within the limits. */
export function wantedBlocks(
	open: Iterable<{ demand: Demand; tasks: number }>,
	shape: NodeShape,
	limits: BlockLimits,
): number {
	let nodes = 0;
	for (const { demand, tasks } of open) nodes += tasks * nodeShare(demand, shape);
	const blocks = Math.ceil(nodes / limits.nodesPerBlock - 1e-9);
	return Math.min(limits.maximum, Math.max(limits.minimum, blocks));
}

/** What to do now. The longest idle goes first; a block that works is never given back. */
export function planBlocks(
	blocks: readonly BlockView[],
	wanted: number,
	limits: BlockLimits,
	nowMs: number,
): ScalingPlan {
	const live = blocks.filter((block) => !block.draining);
	if (live.length < wanted) return { start: Math.min(wanted - live.length, limits.maximum - blocks.length), drain: [] };
	const spare = live.length - Math.max(wanted, limits.minimum);
	const idle = live
		.filter((block) => block.idleSinceMs !== undefined && nowMs - block.idleSinceMs >= limits.idleTimeoutMs)
		.sort((a, b) => (a.idleSinceMs as number) - (b.idleSinceMs as number));
	return { start: 0, drain: idle.slice(0, Math.max(0, spare)).map((block) => block.id) };
}
