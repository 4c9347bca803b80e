/** A task that this endpoint has accepted and not finished, and where it is. */
import type { FunctionId, TaskId } from "@errand/proto";
import type { Task } from "@errand/proto/wire";
import { type Demand, demandOf, type NodeDemand } from "./demand.ts";
import type { ManagerRecord } from "./manager-record.ts";
import type { Grant } from "./room.ts";

/** Where a task is. Exactly one of these at any time; only the interchange moves it. */
export type TaskPlace =
	/** Just accepted; or found in the journal at start: a manager that has not come back yet may be running it. */
	{ readonly at: "unsettled" } | { readonly at: "queued" } | HeldPlace | { readonly at: "finished" };

/** Handed to a manager; `running` once the manager has said so. */
export interface HeldPlace {
	readonly at: "held";
	readonly manager: ManagerRecord;
	/** The other nodes of a task over several: reserved until it ends. */
	readonly others: readonly ManagerRecord[];
	readonly variant: NodeDemand;
	/** How long it is expected to be in its manager's backlog. */
	readonly estimateMs: number;
	readonly sinceMs: number;
	grant: Grant;
	running: boolean;
	/** One of its other nodes died: it is stopped, and lost when its manager says that it has ended. */
	lostBecause?: NodeLoss;
}

export interface NodeLoss {
	readonly reason: string;
	/** The scheduler took the node back: the task is not to blame. */
	readonly announced: boolean;
}

export interface HeldTask {
	readonly id: TaskId;
	readonly functionId: FunctionId;
	readonly task: Task;
	readonly demand: Demand;
	readonly priority: number;
	/** Order of arrival. */
	readonly sequence: number;
	queuedAtMs: number;
	state: TaskPlace;
	/** How often the machine under it died; and how often while it was known to run. */
	losses: number;
	lossesWhileRunning: number;
	/** How often the machine died while the task waited at it. */
	lossesWhileWaiting: number;
	/** Set when somebody asked to stop it: the grace between SIGTERM and SIGKILL. */
	cancelGraceMs: number | undefined;
}

/** What the interchange is given: the task and its two ids in the form that maps are keyed by. */
export interface AcceptedTask {
	readonly id: TaskId;
	readonly functionId: FunctionId;
	readonly task: Task;
	/** What an earlier daemon counted; absent when the machine under it never died. */
	readonly losses?: { readonly all: number; readonly whileRunning: number };
}

/** What a manager is handed. */
export type DispatchedTask = Pick<HeldTask, "id" | "functionId" | "task">;

export const unsettled: TaskPlace = { at: "unsettled" };
export const queued: TaskPlace = { at: "queued" };
export const finished: TaskPlace = { at: "finished" };

export function holdTask(accepted: AcceptedTask, sequence: number, nowMs: number): HeldTask {
	return {
		id: accepted.id,
		functionId: accepted.functionId,
		task: accepted.task,
		demand: demandOf(accepted.task.resources),
		priority: accepted.task.resources?.priority ?? 0,
		sequence,
		queuedAtMs: nowMs,
		state: unsettled,
		losses: accepted.losses?.all ?? accepted.task.losses,
		lossesWhileRunning: accepted.losses?.whileRunning ?? 0,
		lossesWhileWaiting: 0,
		cancelGraceMs: undefined,
	};
}

/** Whether one goes before the other: higher priority, then order of arrival. */
export const goesBefore = (
	a: Pick<HeldTask, "priority" | "sequence">,
	b: Pick<HeldTask, "priority" | "sequence">,
): boolean => a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence);

/** As its manager is told: the way of running it that was chosen, and over which nodes. Itself when there is no choice. */
export function dispatchedForm(held: HeldTask, place: HeldPlace): DispatchedTask {
	const { task } = held;
	const asked = task.resources;
	const chosen = place.variant.resources;
	if (asked === undefined || chosen === undefined || (place.others.length === 0 && asked.variants.length === 0))
		return held;
	const { walltimeMs, expectedMs, priority } = asked;
	const containerImage = chosen.containerImage || asked.containerImage;
	return {
		id: held.id,
		functionId: held.functionId,
		task: {
			...task,
			resources: { ...chosen, walltimeMs, expectedMs, priority, containerImage, variants: [] },
			hosts: place.others.length === 0 ? [] : [place.manager.host, ...place.others.map(({ host }) => host)],
		},
	};
}
