/** What the interchange knows of one manager and of the block it belongs to, and the arithmetic of its room. */
import type { TaskId } from "@errand/proto";
import type { Hello } from "@errand/proto/wire";
import { type Demand, endsInTime, type NodeDemand, type NodeShape, shapeOf } from "./demand.ts";
import type { HeldPlace, HeldTask } from "./held-task.ts";
import type { QueueRecord } from "./queue-record.ts";
import type { Reservation } from "./reservation.ts";
import { Room } from "./room.ts";

/** The managers of one block that are known. */
export interface BlockRecord {
	readonly id: string;
	readonly queue: QueueRecord;
	readonly managers: Set<ManagerRecord>;
	readonly firstAttachMs: number;
}

export interface ManagerRecord {
	readonly id: string;
	readonly block: BlockRecord;
	readonly host: string;
	readonly shape: NodeShape;
	link: { readonly at: "attached" } | { readonly at: "silent"; readonly sinceMs: number };
	draining: boolean;
	/** Why the manager is to be told to drain, once the task over several nodes that keeps its node has ended. */
	drainWhenFree: string | undefined;
	/** Those that it holds, and the one over several nodes that another manager holds and its node belongs to. */
	readonly tasks: Map<TaskId, HeldTask>;
	/** Tasks of the plain demand that it has, those before a worker is free included. */
	plain: number;
	/** What its other tasks leave. */
	readonly room: Room;
	/** The task over several nodes that has all of it. */
	whole: HeldTask | undefined;
	/** How long its plain tasks are expected to run, together. */
	backlogMs: number;
	/** Since when it has had no task; undefined while it has one. */
	idleSinceMs: number | undefined;
	/** For whom it is kept free: the big are not starved by the small. */
	reservation: Reservation | undefined;
}

export const attached = { at: "attached" } as const;

export function recordManager(hello: Hello, block: BlockRecord, nowMs: number): ManagerRecord {
	const shape = shapeOf(hello.node);
	return {
		id: hello.managerId,
		block,
		host: hello.host,
		shape,
		link: attached,
		draining: false,
		drainWhenFree: undefined,
		tasks: new Map(),
		plain: 0,
		room: new Room(shape),
		whole: undefined,
		backlogMs: 0,
		idleSinceMs: nowMs,
		reservation: undefined,
	};
}

/** Whether it takes tasks at all. */
export const isOpen = (manager: ManagerRecord): boolean => manager.link.at === "attached" && !manager.draining;

/** Every manager that the task keeps busy. */
export const managersOf = (place: HeldPlace): readonly ManagerRecord[] =>
	place.others.length === 0 ? [place.manager] : [place.manager, ...place.others];

/** Counts a task in at every manager of its place. Inverse of {@link release}. */
export function occupy(task: HeldTask, place: HeldPlace): void {
	for (const manager of managersOf(place)) {
		manager.tasks.set(task.id, task);
		manager.idleSinceMs = undefined;
		if (place.variant.nodes > 1) manager.whole = task;
		else if (task.demand.plain) {
			manager.plain++;
			manager.backlogMs += place.estimateMs;
		} else place.grant = manager.room.take(place.variant);
	}
}

export function release(task: HeldTask, place: HeldPlace, nowMs: number): void {
	for (const manager of managersOf(place)) {
		if (!manager.tasks.delete(task.id)) continue;
		if (manager.tasks.size === 0) manager.idleSinceMs = nowMs;
		if (place.variant.nodes > 1) {
			if (manager.whole === task) manager.whole = undefined;
		} else if (task.demand.plain) {
			manager.plain--;
			manager.backlogMs = manager.plain === 0 ? 0 : manager.backlogMs - place.estimateMs;
		} else manager.room.give(place.variant, place.grant);
	}
}

/** Whether a task of one node finds a worker and everything else that it asks for here now. */
export function fits(manager: ManagerRecord, demand: Demand, variant: NodeDemand, nowMs: number): boolean {
	const { room, plain, shape } = manager;
	if (manager.whole !== undefined || !endsInTime(shape, demand.expectedMs, nowMs)) return false;
	if (demand.plain) return room.workers - plain >= 1 && room.cores - plain >= 1;
	return room.fits(variant, plain);
}

/** At most this much expected work waits at a manager beyond its free workers … */
export const prefetchMs = 100;
/** … and at most this many tasks for each of its workers, however short they are. */
const prefetchPerWorker = 256;

/**
 * Whether a plain task may wait at the manager so that its workers never do. Only work that is known to be short: a
 * task behind a long one would wait there while other nodes are free.
 */
export function mayPrefetch(manager: ManagerRecord, estimateMs: number, nowMs: number): boolean {
	const { room, shape } = manager;
	const workers = Math.min(room.workers, room.cores);
	return (
		manager.whole === undefined &&
		workers > 0 &&
		manager.plain < workers * (1 + prefetchPerWorker) &&
		manager.backlogMs + estimateMs <= workers * prefetchMs &&
		endsInTime(shape, 0, nowMs)
	);
}
