/** What the supervisor of blocks is given, what it tells, and what can be seen of it. */
import type { QueueConfig } from "../config/queue.ts";
import type { BlockSpec, Scheduler } from "../scheduler/scheduler.ts";
import type { Clock } from "../service/clock.ts";
import type { Logger } from "../service/logger.ts";

export interface SupervisorOptions {
	readonly scheduler: Scheduler;
	/** The endpoint's: the list, the scripts and the pause are kept in it. */
	readonly directory: string;
	/** The list's file. */
	readonly path: string;
	readonly queues: readonly QueueConfig[];
	readonly pollIntervalMs: number;
	/** False for this machine: it takes blocks at once. */
	readonly polite: boolean;
	readonly budgetNodeHours: number | undefined;
	readonly specOf: (blockId: string, queue: QueueConfig) => BlockSpec;
	/** How many managers of the block are attached. */
	readonly managersOf: (blockId: string) => number;
	readonly events: SupervisorEvents;
	readonly clock: Clock;
	/** 0 to 1. */
	readonly random?: () => number;
	readonly log: Logger;
}

interface SupervisorEvents {
	/** All managers of the block are dead. `announced`: what they lost by it is not the tasks' fault. */
	ended(blockId: string, reason: string, announced: boolean): void;
	/** Its managers of attempts before this one are to be shut out; undefined: all that have come so far. */
	fenced(blockId: string, before: number | undefined, reason: string): void;
	/** The scheduler is about to end it: nothing new is to be given to it. */
	ending(blockId: string, reason: string): void;
	/** Something that is worth telling people has changed. */
	changed(): void;
}

/** What keeps blocks from coming, besides their turn. */
export interface SupervisorView {
	/** Why nothing is asked for until somebody resumes the endpoint. */
	readonly paused: string | undefined;
	/** Since when the scheduler has been silent, and how. */
	readonly silent: Silence | undefined;
	/** For people; empty when all is well. */
	readonly trouble: string;
}

export interface Silence {
	/** Unix milliseconds. */
	readonly sinceMs: number;
	readonly reason: string;
}
