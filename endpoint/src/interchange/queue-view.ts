/** What the interchange is told of queues and blocks, to say how many are wanted and why something waits. */
/** What a node of a queue is expected to have. What is undefined is not known before one of its nodes has come. */
export interface ExpectedNode {
	readonly workers?: number | undefined;
	readonly cores?: number | undefined;
	readonly memoryBytes?: number | undefined;
	readonly gpus?: number | undefined;
	readonly named?: Readonly<Record<string, number>> | undefined;
}

/** What does not change while the daemon runs; told once. The order of queues is the order in which they are tried. */
export interface QueueSettings {
	readonly name: string;
	readonly nodesPerBlock: number;
	/** Undefined: its blocks do not end by themselves. */
	readonly walltimeMs: number | undefined;
	readonly node: ExpectedNode;
	/** Blocks that have not ended, at most … */
	readonly maxBlocks: number;
	/** … and those of them that no node has come of. */
	readonly maxQueuedBlocks: number;
	/** 1: a block for whatever waits; 0: one block, whatever waits. */
	readonly parallelism: number;
	/** A block that nothing needs for this long is given back. */
	readonly idleTimeoutMs: number;
	/** Of tasks with ranks or several nodes (ENS-2); undefined: no limit. */
	readonly maxLaunchesPerSecond?: number | undefined;
	readonly maxRunningLaunches?: number | undefined;
}

/** Why a queue gets no further block now. */
export interface ClosedQueue {
	readonly word: "paused" | "budget-used-up" | "scheduler-silent" | "outside-window";
	/** For people; a whole sentence. */
	readonly sentence: string;
}

/** What changes. A queue that is not told of gets no block. */
export interface QueueView {
	readonly name: string;
	/** Blocks that there are to be whatever waits: min_blocks, and more in a warm window. */
	readonly keepBlocks: number;
	/** Blocks to ask for now without keeping them: init_blocks, at the daemon's start. */
	readonly firstBlocks?: number;
	/** So many further blocks can be paid for; undefined: any number. */
	readonly affordableBlocks?: number | undefined;
	readonly closed?: ClosedQueue | undefined;
}

/** A block that has been asked for and has not ended. */
export interface BlockView {
	readonly id: string;
	readonly queue: string;
	readonly nodes: number;
	/** Only `active` and `draining` blocks have had a manager. */
	readonly state: "requested" | "submitted" | "held" | "starting" | "active" | "draining";
	/** The scheduler's own words; empty when it says nothing. */
	readonly reason: string;
	/** When the scheduler expects it to start; when it ends by itself. Unix milliseconds. */
	readonly expectedStartMs?: number | null | undefined;
	readonly endsAtMs?: number | null | undefined;
}

export interface ScalingView {
	readonly queues: readonly QueueView[];
	readonly blocks: readonly BlockView[];
}

export interface ScalingPlan {
	/** Ask for so many more; never more than the limits of the queue allow. */
	readonly start: readonly { readonly queue: string; readonly count: number }[];
	/** Idle blocks to give back. */
	readonly drain: readonly string[];
	/** Blocks that wait at the scheduler and that nothing needs any more. */
	readonly cancelPending: readonly string[];
}
