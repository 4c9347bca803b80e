/** The caller's end of one task. */
import type { TaskId, TaskState } from "@errand/proto";
import type { Explanation, TaskDocument } from "@errand/proto/rest";
import { CancelledError } from "./errors.ts";
import { explainSubmitting, explainUnsent, explanationOf, type FutureExplanation } from "./explanation.ts";

/** Output stream names. */
export type OutputStream = "stdout" | "stderr";

/** What a running function said with `errand.progress(fraction, message)`. */
export interface Progress {
	/** 0 to 1. */
	fraction: number;
	message: string;
}

/**
 * A task's state: the cloud's word for it, or `submitting` while it has not been accepted.
 */
export type FutureState = TaskState | "submitting";

/** What a future asks of whoever follows its task group. */
export interface FutureHost {
	document(taskId: TaskId): Promise<TaskDocument>;
	explanation(taskId: TaskId): Promise<Explanation>;
	/** Futures among the arguments of a task that has not been sent, as far as they are open. */
	waitsFor(future: TaskFuture<unknown>): readonly TaskFuture<unknown>[];
	output(future: TaskFuture<unknown>, stream: OutputStream): AsyncGenerator<string, void>;
	progress(future: TaskFuture<unknown>): AsyncGenerator<Progress, void>;
	cancel(future: TaskFuture<unknown>): Promise<boolean>;
}

/** How whoever made a future settles it. Everything after the first settlement is ignored. */
export interface FutureControl<T> {
	readonly future: TaskFuture<T>;
	accept(taskId: TaskId): void;
	resolve(value: T): void;
	reject(error: unknown): void;
}

type State<T> =
	| { kind: "submitting" }
	| { kind: "accepted"; taskId: TaskId }
	| { kind: "fulfilled"; taskId: TaskId | undefined; value: T }
	| { kind: "rejected"; taskId: TaskId | undefined; error: unknown };

/**
 * A promise for the task's value, and a handle on the task. Rejects with a TaskError (`RemoteError`, `LostError`,
 * `CancelledError`, `TimeoutError`), or a CloudError when the task was not accepted.
 *
 * Unlike a bare promise, a failure that nobody awaits does not end the process: of ten thousand tasks some may fail,
 * and who asks learns it. What is derived from it by `then`, `catch` or `await` behaves as any promise.
 */
export class TaskFuture<T> implements Promise<T> {
	readonly [Symbol.toStringTag] = "TaskFuture";
	/** The function's name; undefined after a reload. */
	readonly functionName: string | undefined;
	/** The task's id, as soon as the cloud has accepted it. Rejects when it does not. */
	readonly accepted: Promise<TaskId>;
	readonly #promise: Promise<T>;
	readonly #host: FutureHost;
	#state: State<T> = { kind: "submitting" };

	private constructor(
		host: FutureHost,
		functionName: string | undefined,
		control: (control: Omit<FutureControl<T>, "future">) => void,
	) {
		this.#host = host;
		this.functionName = functionName;
		const settled = Promise.withResolvers<T>();
		const accepted = Promise.withResolvers<TaskId>();
		this.#promise = settled.promise;
		this.accepted = accepted.promise;
		// Who never asks is not told; see above.
		this.#promise.catch(() => {});
		this.accepted.catch(() => {});
		control({
			accept: (taskId) => {
				if (this.#state.kind !== "submitting") return;
				this.#state = { kind: "accepted", taskId };
				accepted.resolve(taskId);
			},
			resolve: (value) => {
				if (this.settled) return;
				this.#state = { kind: "fulfilled", taskId: this.taskId, value };
				settled.resolve(value);
			},
			reject: (error) => {
				if (this.settled) return;
				this.#state = { kind: "rejected", taskId: this.taskId, error };
				accepted.reject(error);
				settled.reject(error);
			},
		});
	}

	/** For executors: a future, and the means to settle it. */
	static open<T>(host: FutureHost, functionName: string | undefined): FutureControl<T> {
		let control: Omit<FutureControl<T>, "future"> | undefined;
		const future = new TaskFuture<T>(host, functionName, (made) => {
			control = made;
		});
		return { future, ...(control as Omit<FutureControl<T>, "future">) };
	}

	/** Undefined until the cloud has accepted the task; `accepted` waits for it. */
	get taskId(): TaskId | undefined {
		return this.#state.kind === "submitting" ? undefined : this.#state.taskId;
	}

	/** Whether the value or the error is there. */
	get settled(): boolean {
		return this.#state.kind === "fulfilled" || this.#state.kind === "rejected";
	}

	/**
	 * The cloud's word for where the task is, asked now; `submitting` before it is accepted. Of a task that never reached
	 * the cloud: `cancelled` or `failed`.
	 */
	async status(): Promise<FutureState> {
		if (this.#state.kind === "submitting") return "submitting";
		if (this.#state.kind === "fulfilled") return "success";
		if (this.#state.kind === "rejected" && this.#state.taskId === undefined)
			return this.#state.error instanceof CancelledError ? "cancelled" : "failed";
		return (await this.document()).state;
	}

	/** Everything the cloud knows about the task: its transitions, where it ran, why it failed. */
	async document(): Promise<TaskDocument> {
		return this.#host.document(await this.accepted);
	}

	/** The futures among its arguments whose values it waits for; empty once it is sent. */
	get waitsFor(): readonly TaskFuture<unknown>[] {
		return this.#state.kind === "submitting" ? this.#host.waitsFor(this) : [];
	}

	/**
	 * Why it is not running yet, in one word and one sentence, asked now: "the endpoint has been offline since …",
	 * "12 blocks are queued at the scheduler, which says …".
	 */
	async explain(): Promise<FutureExplanation> {
		const state = this.#state;
		if (state.kind === "submitting") return explainSubmitting(this.waitsFor);
		if (state.taskId !== undefined) return explanationOf(await this.#host.explanation(state.taskId));
		return explainUnsent(await this.status(), state.kind === "rejected" ? state.error : undefined);
	}

	/** Lines of standard output while the task runs, from its first; ends with the task. */
	stdout(): AsyncGenerator<string, void> {
		return this.#host.output(this, "stdout");
	}

	/** Lines of standard error while the task runs, from its first; ends with the task. */
	stderr(): AsyncGenerator<string, void> {
		return this.#host.output(this, "stderr");
	}

	/** What the function reports from now on, the latest when the reader is slow; ends with the task. */
	progress(): AsyncGenerator<Progress, void> {
		return this.#host.progress(this);
	}

	/**
	 * Asks that the task stops, wherever it is: not yet sent, queued or running. Resolves to whether that was asked in
	 * time (false: it had ended); the future then rejects with a CancelledError when it has stopped.
	 */
	cancel(): Promise<boolean> {
		const asked = this.settled ? Promise.resolve(false) : this.#host.cancel(this);
		asked.catch(() => {});
		return asked;
	}

	// biome-ignore lint/suspicious/noThenProperty: a future is a promise
	then<A = T, B = never>(
		onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
		onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
	): Promise<A | B> {
		return this.#promise.then(onFulfilled, onRejected);
	}

	catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
		return this.#promise.catch(onRejected);
	}

	finally(onFinally?: (() => void) | null): Promise<T> {
		return this.#promise.finally(onFinally);
	}
}
