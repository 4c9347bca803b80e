/** One manager's stream: what goes out waits while the manager reads slowly, and goes out in few messages. */
import { type FunctionId, idToBytes, type TaskId } from "@errand/proto";
import {
	create,
	type DaemonMessage,
	DaemonMessageSchema,
	type Function as FunctionMessage,
	type Task,
} from "@errand/proto/wire";

/** One message holds at most so many tasks and bytes: a manager starts the first before the last has arrived. */
const messageTasks = 500;
const messageBytes = 1024 * 1024;

export interface OutgoingTask {
	readonly task: Task;
	readonly functionId: FunctionId;
}

/** The half of a gRPC stream that a session writes to. */
export interface MessageSink {
	/** False: wait for {@link ManagerSession.drained} before writing more. */
	write(message: DaemonMessage): boolean;
	end(): void;
	destroy(): void;
}

export class ManagerSession {
	readonly managerId: string;
	readonly blockId: string;
	lastHeardMs: number;
	lastSaidMs: number;
	readonly #sink: MessageSink;
	readonly #functionOf: (id: FunctionId) => FunctionMessage | undefined;
	readonly #nowMs: () => number;
	/** Functions that this stream has carried. */
	readonly #sent = new Set<FunctionId>();
	#waiting: DaemonMessage["message"][] = [];
	#full = false;
	#acks: TaskId[] = [];
	#ackScheduled = false;
	#over = false;

	constructor(
		ids: { managerId: string; blockId: string },
		sink: MessageSink,
		functionOf: (id: FunctionId) => FunctionMessage | undefined,
		nowMs: () => number,
	) {
		this.managerId = ids.managerId;
		this.blockId = ids.blockId;
		this.#sink = sink;
		this.#functionOf = functionOf;
		this.#nowMs = nowMs;
		this.lastHeardMs = this.lastSaidMs = nowMs();
	}

	send(message: DaemonMessage["message"]): void {
		if (this.#over) return;
		if (this.#full) this.#waiting.push(message);
		else this.#write(message);
	}

	/** After what was acknowledged before: a task that is run again is refused as long as its last result is kept. */
	dispatch(tasks: readonly OutgoingTask[]): void {
		this.#sendAcks();
		let from = 0;
		let bytes = 0;
		for (let at = 0; at < tasks.length; at++) {
			bytes += (tasks[at] as OutgoingTask).task.payload.length;
			if (at + 1 - from < messageTasks && bytes < messageBytes && at + 1 < tasks.length) continue;
			const some = tasks.slice(from, at + 1);
			this.send({
				case: "tasks",
				value: {
					$typeName: "errand.v1.TaskBatch",
					functions: this.#newFunctions(some),
					tasks: some.map((t) => t.task),
				},
			});
			from = at + 1;
			bytes = 0;
		}
	}

	/** The manager may forget these results. Those of one turn go out together. */
	acknowledge(ids: readonly TaskId[]): void {
		this.#acks.push(...ids);
		if (this.#ackScheduled) return;
		this.#ackScheduled = true;
		queueMicrotask(() => {
			if (this.#ackScheduled) this.#sendAcks();
		});
	}

	#sendAcks(): void {
		if (!this.#ackScheduled) return;
		this.#ackScheduled = false;
		const taskIds = this.#acks.map((id) => idToBytes(id));
		this.#acks = [];
		this.send({ case: "resultAck", value: { $typeName: "errand.v1.ResultAck", taskIds } });
	}

	/** The stream takes more. */
	drained(): void {
		this.#full = false;
		const waiting = this.#waiting;
		this.#waiting = [];
		for (const message of waiting) this.send(message);
	}

	/** After this nothing is written. `abrupt` resets the stream instead of ending it. */
	close(abrupt: boolean): void {
		if (this.#over) return;
		this.#over = true;
		this.#waiting = [];
		if (abrupt) this.#sink.destroy();
		else this.#sink.end();
	}

	#write(message: DaemonMessage["message"]): void {
		this.lastSaidMs = this.#nowMs();
		this.#full = !this.#sink.write(create(DaemonMessageSchema, { message }));
	}

	#newFunctions(tasks: readonly OutgoingTask[]): FunctionMessage[] {
		const functions: FunctionMessage[] = [];
		for (const { functionId } of tasks) {
			if (this.#sent.has(functionId)) continue;
			const found = this.#functionOf(functionId);
			if (!found) continue;
			this.#sent.add(functionId);
			functions.push(found);
		}
		return functions;
	}
}
