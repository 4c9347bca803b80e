/** Who must be told of each task that a daemon takes, starts and ends. */
import { type FunctionId, idFromBytes, type TaskId } from "@errand/proto";
import type { Result } from "@errand/proto/wire";

type TaskNews =
	| { readonly says: "accepted"; readonly task: TaskId; readonly function: FunctionId }
	/** Short tasks are told of when they have ended; `at_ms` says when they started. */
	| { readonly says: "started"; readonly task: TaskId; readonly function?: FunctionId; readonly at_ms?: number }
	| {
			readonly says: "ended";
			readonly task: TaskId;
			readonly function?: FunctionId;
			readonly state: "success" | "failed" | "cancelled";
	  };

interface KnownTask {
	readonly id: TaskId;
	readonly functionId: FunctionId;
}

export class TaskAudit {
	readonly #tell: (news: TaskNews) => void;
	readonly #open = new Map<TaskId, { readonly functionId: FunctionId; started: boolean }>();

	constructor(tell: (news: TaskNews) => void) {
		this.#tell = tell;
	}

	/** Of an earlier daemon, which has told of them. */
	restore(tasks: Iterable<KnownTask>): void {
		for (const { id, functionId } of tasks) this.#open.set(id, { functionId, started: false });
	}

	accepted(tasks: Iterable<KnownTask>): void {
		for (const { id, functionId } of tasks) {
			this.#open.set(id, { functionId, started: false });
			this.#tell({ says: "accepted", task: id, function: functionId });
		}
	}

	/** A task that is run again starts again. */
	started(id: TaskId): void {
		const task = this.#open.get(id);
		if (task !== undefined) task.started = true;
		this.#tell({ says: "started", task: id, ...this.#functionOf(id) });
	}

	ended(result: Result): void {
		const id = idFromBytes<TaskId>(result.taskId);
		const state = result.cancelled ? "cancelled" : result.outcome.case === "failure" ? "failed" : "success";
		const startedAtUs = result.execution?.startedAtUs ?? 0;
		if (startedAtUs > 0 && this.#open.get(id)?.started === false)
			this.#tell({ says: "started", task: id, ...this.#functionOf(id), at_ms: Math.round(startedAtUs / 1000) });
		this.#tell({ says: "ended", task: id, ...this.#functionOf(id), state });
		this.#open.delete(id);
	}

	#functionOf(id: TaskId): { function?: FunctionId } {
		const found = this.#open.get(id);
		return found === undefined ? {} : { function: found.functionId };
	}
}
