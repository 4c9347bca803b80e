import { TaskState as Wire } from "./gen/errand/v1/task_pb.js";

/**
 * The states of a task and which may follow which: the one published table.
 * Words are those of the public interface where it has one; `cancelled` is ours.
 */
export const taskStates = [
	"received",
	"waiting-for-nodes",
	"waiting-for-launch",
	"running",
	"success",
	"failed",
	"cancelled",
] as const;

export type TaskState = (typeof taskStates)[number];

/**
 * A report may be lost or come late, so a task may skip forward; it moves back only when the machine under it is lost
 * and the endpoint queues it again. A final state has no successor.
 */
export const taskTransitions: { readonly [From in TaskState]: readonly TaskState[] } = {
	received: ["waiting-for-nodes", "waiting-for-launch", "running", "success", "failed", "cancelled"],
	"waiting-for-nodes": ["waiting-for-launch", "running", "success", "failed", "cancelled"],
	"waiting-for-launch": ["waiting-for-nodes", "running", "success", "failed", "cancelled"],
	running: ["waiting-for-nodes", "success", "failed", "cancelled"],
	success: [],
	failed: [],
	cancelled: [],
};

export function isFinal(state: TaskState): boolean {
	return taskTransitions[state].length === 0;
}

export function mayFollow(from: TaskState, to: TaskState): boolean {
	return taskTransitions[from].includes(to);
}

/** The wire's number for each word: a state added to task.proto and not here (or the reverse) does not compile. */
export const taskStateToWire: { readonly [State in TaskState]: Wire } = {
	received: Wire.RECEIVED,
	"waiting-for-nodes": Wire.WAITING_FOR_NODES,
	"waiting-for-launch": Wire.WAITING_FOR_LAUNCH,
	running: Wire.RUNNING,
	success: Wire.SUCCESS,
	failed: Wire.FAILED,
	cancelled: Wire.CANCELLED,
};

const words: { readonly [Name in Exclude<keyof typeof Wire, "UNSPECIFIED">]: TaskState } = {
	RECEIVED: "received",
	WAITING_FOR_NODES: "waiting-for-nodes",
	WAITING_FOR_LAUNCH: "waiting-for-launch",
	RUNNING: "running",
	SUCCESS: "success",
	FAILED: "failed",
	CANCELLED: "cancelled",
};

const byNumber = new Map<number, TaskState>(
	Object.entries(words).map(([name, word]) => [Wire[name as keyof typeof Wire] as number, word]),
);

/** The word for the wire's number; undefined for one this version does not know. */
export function taskStateFromWire(state: Wire): TaskState | undefined {
	return byNumber.get(state);
}
