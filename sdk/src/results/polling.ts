/**
 * Results by asking again and again, where no WebSocket gets through: the status of all unfinished tasks in few
 * requests, then the document of each that ended without a plain value.
 */
import type { TaskId } from "@errand/proto";
import type { StreamResult, TaskDocument } from "@errand/proto/rest";
import { type BackOff, waitBeforeMs } from "../back-off.ts";
import type { PublicTaskDocument } from "../client.ts";
import { CloudError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Feed, FeedListener } from "./feed.ts";
import { holdTimer } from "./websocket.ts";

/** The part of `Client` that polling asks. */
export interface PolledCloud {
	batchStatus(taskIds: readonly string[]): Promise<Record<string, PublicTaskDocument>>;
	getTask(taskId: string): Promise<TaskDocument>;
}

export interface PollingOptions {
	cloud: PolledCloud;
	listener: FeedListener;
	/** Between two rounds in which something ended, growing while nothing does. 250 ms to 5 s unless told. */
	pace?: BackOff;
	log: Log;
}

/** Ids in one status request: its reply with inline results stays within some megabytes. */
const chunkTasks = 200;
/** Documents asked for at once. */
const documentsAtOnce = 8;

export function openPolling(options: PollingOptions): Feed {
	return new Polling(options);
}

class Polling implements Feed {
	readonly #options: PollingOptions;
	readonly #pace: BackOff;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#quietRounds = 0;
	#reports = false;
	#hold = true;
	#closed = false;

	constructor(options: PollingOptions) {
		this.#options = options;
		this.#pace = options.pace ?? { firstMs: 250, limitMs: 5_000 };
		void this.#round();
	}

	tellReports(tell: boolean): void {
		this.#reports = tell;
	}

	holdProcess(hold: boolean): void {
		this.#hold = hold;
		if (this.#timer !== undefined) holdTimer(this.#timer, hold);
	}

	close(): void {
		this.#closed = true;
		clearTimeout(this.#timer);
	}

	async #round(): Promise<void> {
		let ended = 0;
		try {
			const ids = [...this.#options.listener.unfinished()];
			for (let i = 0; i < ids.length && !this.#closed; i += chunkTasks) {
				ended += await this.#ask(ids.slice(i, i + chunkTasks));
			}
		} catch (error) {
			if (this.#closed) return;
			if (error instanceof CloudError && (error.httpStatus === 401 || error.httpStatus === 403)) {
				this.close();
				return this.#options.listener.onRefused(error);
			}
			this.#options.log.warn({ reason: (error as Error).message }, "waiting to ask for results again");
		}
		if (this.#closed) return;
		// There are no reports to tell: whoever reads output asks REST at this pace.
		if (this.#reports) this.#options.listener.onReportsMissed();
		this.#quietRounds = ended > 0 ? 1 : this.#quietRounds + 1;
		this.#timer = setTimeout(() => void this.#round(), waitBeforeMs(this.#pace, this.#quietRounds));
		holdTimer(this.#timer, this.#hold);
	}

	/** How many of these have ended. */
	async #ask(ids: readonly TaskId[]): Promise<number> {
		const documents = await this.#options.cloud.batchStatus(ids);
		const plain: StreamResult[] = [];
		const others: string[] = [];
		for (const id of ids) {
			const document = documents[id];
			if (document === undefined || !endedStatuses.has(document.status)) continue;
			if (document.status === "success" && document.result !== undefined) plain.push(plainResult(id, document.result));
			else others.push(id);
		}
		if (plain.length > 0 && !this.#closed) this.#options.listener.onResults(plain);
		for (let i = 0; i < others.length && !this.#closed; i += documentsAtOnce) {
			const tasks = await Promise.all(
				others.slice(i, i + documentsAtOnce).map((id) => this.#options.cloud.getTask(id)),
			);
			const results = tasks.map(resultOf).filter((result) => result !== undefined);
			if (results.length > 0 && !this.#closed) this.#options.listener.onResults(results);
		}
		return plain.length + others.length;
	}
}

const endedStatuses = new Set(["success", "failed", "cancelled"]);

function plainResult(taskId: string, value: string): StreamResult {
	return { task_id: taskId, state: "success", value, stdout_bytes: 0, stderr_bytes: 0 };
}

/** A task's document as the stream would have told its result; undefined while it has not ended. */
function resultOf(task: TaskDocument): StreamResult | undefined {
	if (task.state !== "success" && task.state !== "failed" && task.state !== "cancelled") return undefined;
	return {
		task_id: task.id,
		state: task.state,
		...(task.result === undefined ? {} : { value: task.result }),
		...(task.result_reference === undefined ? {} : { value_reference: task.result_reference }),
		...(task.failure === null ? {} : { failure: task.failure }),
		...(task.execution === null ? {} : { execution: task.execution }),
		stdout_bytes: task.stdout_bytes,
		stderr_bytes: task.stderr_bytes,
	};
}
