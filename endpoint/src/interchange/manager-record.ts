/** What the interchange knows of one manager, and the arithmetic of its room. */
import type { TaskId } from "@errand/proto";
import type { Hello } from "@errand/proto/wire";
import { type Demand, type NodeShape, shapeOf } from "./demand.ts";
import type { HeldTask } from "./held-task.ts";

export interface ManagerRecord {
	readonly id: string;
	readonly blockId: string;
	readonly host: string;
	readonly shape: NodeShape;
	link: { readonly at: "attached" } | { readonly at: "silent"; readonly sinceMs: number };
	draining: boolean;
	readonly tasks: Map<TaskId, HeldTask>;
	/** Tasks of the plain demand that it has, those before a worker is free included. */
	plain: number;
	/** What its other tasks take. */
	taken: { workers: number; cores: number; memoryBytes: number; gpus: number };
	/** How long its plain tasks are expected to run, together. */
	backlogMs: number;
	/** Since when it has had no task; undefined while it has one. */
	idleSinceMs: number | undefined;
	/** Kept free for the tasks of this demand until one of them fits: the big are not starved by the small. */
	reservedFor: string | undefined;
}

export const attached = { at: "attached" } as const;

export function recordManager(hello: Hello, nowMs: number): ManagerRecord {
	return {
		id: hello.managerId,
		blockId: hello.blockId,
		host: hello.host,
		shape: shapeOf(hello.node),
		link: attached,
		draining: false,
		tasks: new Map(),
		plain: 0,
		taken: { workers: 0, cores: 0, memoryBytes: 0, gpus: 0 },
		backlogMs: 0,
		idleSinceMs: nowMs,
		reservedFor: undefined,
	};
}

/** Counts a task in. Inverse of {@link release}. */
export function occupy(manager: ManagerRecord, task: HeldTask, estimateMs: number): void {
	manager.tasks.set(task.id, task);
	manager.idleSinceMs = undefined;
	const { demand } = task;
	if (demand.plain) {
		manager.plain++;
		manager.backlogMs += estimateMs;
		return;
	}
	const { taken } = manager;
	taken.workers++;
	taken.cores += demand.cores;
	taken.memoryBytes += demand.memoryBytes;
	taken.gpus += demand.gpus;
}

/** Inverse of {@link occupy}. */
export function release(manager: ManagerRecord, task: HeldTask, estimateMs: number, nowMs: number): void {
	if (!manager.tasks.delete(task.id)) return;
	if (manager.tasks.size === 0) manager.idleSinceMs = nowMs;
	const { demand } = task;
	if (demand.plain) {
		manager.plain--;
		manager.backlogMs = manager.plain === 0 ? 0 : manager.backlogMs - estimateMs;
		return;
	}
	const { taken } = manager;
	taken.workers--;
	taken.cores -= demand.cores;
	taken.memoryBytes -= demand.memoryBytes;
	taken.gpus -= demand.gpus;
}

/** Whether a worker and everything else that the task asks for is free on this node now. */
export function fits(manager: ManagerRecord, demand: Demand, nowMs: number): boolean {
	const { shape, taken, plain } = manager;
	if (taken.workers + plain >= shape.workers) return false;
	if (taken.cores + plain + demand.cores > shape.cores) return false;
	if (demand.plain) return true;
	if (taken.gpus + demand.gpus > shape.gpus) return false;
	if (shape.memoryBytes > 0 && taken.memoryBytes + demand.memoryBytes > shape.memoryBytes) return false;
	return shape.endsAtMs === 0 || nowMs + demand.walltimeMs <= shape.endsAtMs;
}

/** At most this much expected work waits at a manager beyond its free workers … */
export const prefetchMs = 100;
/** … and at most this many tasks for each of its workers, however short they are. */
const prefetchPerWorker = 256;

/**
 * Whether a plain task may wait at the manager so that its workers never do. Only work that is known to be short: a
 * task behind a long one would wait there while other nodes are free.
 */
export function mayPrefetch(manager: ManagerRecord, estimateMs: number): boolean {
	const workers = Math.min(manager.shape.workers - manager.taken.workers, manager.shape.cores - manager.taken.cores);
	return (
		workers > 0 &&
		manager.plain < workers * (1 + prefetchPerWorker) &&
		manager.backlogMs + estimateMs <= workers * prefetchMs
	);
}
