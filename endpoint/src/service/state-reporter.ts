/**
 * Tells the cloud where tasks wait, but only of those that wait for a while: a short task that is reported at every
 * step costs more than it does.
 */
import { batchLimitTasks, idToBytes, type TaskId, type TaskState, taskStateToWire } from "@errand/proto";
import { create, type Report, ReportBatchSchema, ReportSchema, toBinary } from "@errand/proto/wire";

/** A task that stays in a state for less than this is not reported in it. */
const dwellMs = 2_000;
/** Reports of one tick: a hundred thousand tasks that wait are told of over a while, not at once. */
const reportsPerTick = 1_000;

interface Noted {
	readonly id: TaskId;
	readonly state: TaskState;
	readonly reason: string;
	readonly atMs: number;
}

export class StateReporter {
	readonly #stateOf: (id: TaskId) => TaskState | undefined;
	readonly #publish: (batch: Uint8Array) => void;
	readonly #host: string;
	#noted: Noted[] = [];
	#head = 0;

	constructor(host: string, stateOf: (id: TaskId) => TaskState | undefined, publish: (batch: Uint8Array) => void) {
		this.#host = host;
		this.#stateOf = stateOf;
		this.#publish = publish;
	}

	note(id: TaskId, state: TaskState, reason: string, nowMs: number): void {
		const noted = { id, state, reason, atMs: nowMs };
		// A step back is news: the machine under the task was lost.
		if (reason !== "") this.#send([noted]);
		else this.#noted.push(noted);
	}

	/** Call it a few times a second. */
	tick(nowMs: number): void {
		const due: Noted[] = [];
		while (this.#head < this.#noted.length && due.length < reportsPerTick) {
			const next = this.#noted[this.#head] as Noted;
			if (nowMs - next.atMs < dwellMs) break;
			this.#head++;
			if (this.#stateOf(next.id) === next.state) due.push(next);
		}
		if (this.#head > 4096 && this.#head * 2 > this.#noted.length) {
			this.#noted = this.#noted.slice(this.#head);
			this.#head = 0;
		}
		for (let at = 0; at < due.length; at += batchLimitTasks) this.#send(due.slice(at, at + batchLimitTasks));
	}

	#send(noted: readonly Noted[]): void {
		const reports = noted.map(
			({ id, state, reason, atMs }): Report =>
				create(ReportSchema, {
					taskId: idToBytes(id),
					atUs: atMs * 1000,
					event: { case: "state", value: { state: taskStateToWire[state], reason, host: this.#host } },
				}),
		);
		this.#publish(toBinary(ReportBatchSchema, create(ReportBatchSchema, { reports })));
	}
}
