/** A task that this endpoint has accepted and not finished, and where it is. */
import type { FunctionId, TaskId } from "@errand/proto";
import type { Task } from "@errand/proto/wire";
import { type Demand, demandOf } from "./demand.ts";
import type { ManagerRecord } from "./manager-record.ts";

/** Where a task is. Exactly one of these at any time; only the interchange moves it. */
export type TaskPlace =
	/** Just accepted; or found in the journal at start: a manager that has not come back yet may be running it. */
	| { readonly at: "unsettled" }
	| { readonly at: "queued" }
	/** Handed to a manager; `running` once the manager has said so. */
	| { readonly at: "held"; readonly manager: ManagerRecord; readonly estimateMs: number; running: boolean }
	| { readonly at: "finished" };

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
