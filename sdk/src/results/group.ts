/** Follows one task group: matches results to futures, settles each once, and serves what futures ask. */
import type { TaskGroupId, TaskId } from "@errand/proto";
import type { Explanation, StreamResult, TaskDocument } from "@errand/proto/rest";
import { Batcher } from "../batching.ts";
import type { Client } from "../client.ts";
import { ClosedError, localFailure, taskError } from "../errors.ts";
import type { FutureControl, FutureHost, OutputStream, Progress, TaskFuture } from "../future.ts";
import { openGate } from "../gate.ts";
import { fetchReference } from "../serialize/blobs.ts";
import { readResult } from "../serialize/result.ts";
import type { Feed, FeedListener, ReportFrame } from "./feed.ts";
import { Mailbox } from "./mailbox.ts";
import { readLines, type Told } from "./output.ts";
import { openResults, type ResultsOptions } from "./results.ts";

/** A future and how its value is read from what the worker returned. */
export interface Tracked {
	control: FutureControl<unknown>;
	readResult(value: unknown): unknown;
}

export interface GroupOptions {
	client: Client;
	group: TaskGroupId;
	/** For tests: how results are brought. */
	openFeed?: (options: ResultsOptions) => Feed;
	/** Called whenever the last future that was waited for has settled. */
	onIdle?: () => void;
}

/** Blobs fetched at once: each may be large. */
const fetchesAtOnce = 4;
/** Reports that wait for one slow reader; then REST is read instead. */
const mailboxLimit = 1_000;
/** Ids in one cancel request. */
const cancelLimits = { items: 10_000, bytes: 1_000_000 };

interface CancelRequest {
	bytes: number;
	taskId: TaskId;
	told: PromiseWithResolvers<boolean>;
}

export class TaskGroup implements FutureHost, FeedListener {
	readonly id: TaskGroupId;
	readonly #client: Client;
	readonly #feed: Feed;
	readonly #onIdle: () => void;
	readonly #pending = new Map<TaskId, Tracked>();
	/** Results that came before the reply which names their tasks. Kept only while a submit is in flight. */
	readonly #early = new Map<string, StreamResult>();
	readonly #readers = new Map<string, Set<Mailbox<Told>>>();
	readonly #gate = openGate(fetchesAtOnce);
	readonly #cancels = new Batcher<CancelRequest>(cancelLimits, (requests) => this.#sendCancels(requests));
	#submits = 0;
	#settling = 0;
	#closed = false;
	#idle: PromiseWithResolvers<void> | undefined;
	#refused: Error | undefined;

	constructor(options: GroupOptions) {
		const { client, group } = options;
		this.id = group;
		this.#client = client;
		this.#onIdle = options.onIdle ?? (() => {});
		this.#feed = (options.openFeed ?? openResults)({
			cloudUrl: client.cloudUrl,
			accessToken: (how) => client.accessToken(how),
			group,
			listener: this,
			cloud: client,
			log: client.log,
		});
		this.#feed.holdProcess(false);
	}

	/** Futures that wait for a result. */
	get size(): number {
		return this.#pending.size + this.#settling;
	}

	/** Until the matching {@link submitEnded} results of unknown tasks are kept. */
	submitStarted(): void {
		this.#submits++;
		this.#feed.holdProcess(true);
	}

	submitEnded(): void {
		this.#submits--;
		if (this.#submits === 0) this.#early.clear();
		this.#rest();
	}

	/** This task's result settles this future. */
	expect(taskId: TaskId, tracked: Tracked): void {
		tracked.control.accept(taskId);
		if (this.#refused !== undefined) {
			tracked.control.reject(this.#refused);
			return;
		}
		const early = this.#early.get(taskId);
		this.#pending.set(taskId, tracked);
		this.#feed.holdProcess(true);
		if (early !== undefined) this.onResults([early]);
	}

	/** Resolves when no future waits. */
	idle(): Promise<void> {
		if (this.size === 0) return Promise.resolve();
		this.#idle ??= Promise.withResolvers<void>();
		return this.#idle.promise;
	}

	/** Futures that still wait are rejected with a ClosedError; their tasks go on. May be repeated. */
	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#feed.close();
		const error = new ClosedError(
			`closed before the task ended; it goes on: Executor.reload({ taskGroup: "${this.id}" }) finds it again`,
		);
		this.#rejectAll(error);
	}

	// ── what the feed tells ──

	onResults(results: readonly StreamResult[]): void {
		for (const result of results) {
			const taskId = result.task_id as TaskId;
			const tracked = this.#pending.get(taskId);
			if (tracked === undefined) {
				if (this.#submits > 0) this.#early.set(taskId, result);
				continue;
			}
			this.#pending.delete(taskId);
			this.#settle(taskId, tracked, result);
		}
		this.#rest();
	}

	onReport(frame: ReportFrame): void {
		for (const mailbox of this.#readers.get(frame.task_id) ?? []) mailbox.put(frame);
	}

	onReportsMissed(): void {
		for (const mailboxes of this.#readers.values()) for (const mailbox of mailboxes) mailbox.put("missed");
	}

	onRefused(error: Error): void {
		this.#refused = error;
		this.#rejectAll(error);
	}

	unfinished(): Iterable<TaskId> {
		return this.#pending.keys();
	}

	// ── what futures ask ──

	document(taskId: TaskId): Promise<TaskDocument> {
		return this.#client.getTask(taskId);
	}

	explanation(taskId: TaskId): Promise<Explanation> {
		return this.#client.explainTask(taskId);
	}

	/** What a group follows has been sent. */
	waitsFor(): readonly TaskFuture<unknown>[] {
		return [];
	}

	async *output(future: TaskFuture<unknown>, stream: OutputStream): AsyncGenerator<string, void> {
		const taskId = await future.accepted;
		const mailbox = this.#read(future, taskId);
		try {
			yield* readLines(this.#client, taskId, stream, mailbox);
		} finally {
			this.#forget(taskId, mailbox);
		}
	}

	async *progress(future: TaskFuture<unknown>): AsyncGenerator<Progress, void> {
		const taskId = await future.accepted;
		const mailbox = this.#read(future, taskId);
		try {
			for (;;) {
				const all = await mailbox.take();
				const last = all.findLast((told) => typeof told === "object" && told.type === "progress");
				if (typeof last === "object" && last.type === "progress") {
					yield { fraction: last.fraction, message: last.message };
				}
				if (all.includes("ended")) return;
			}
		} finally {
			this.#forget(taskId, mailbox);
		}
	}

	async cancel(future: TaskFuture<unknown>): Promise<boolean> {
		const taskId = await future.accepted;
		const request: CancelRequest = { bytes: 40, taskId, told: Promise.withResolvers() };
		this.#cancels.push(request);
		return request.told.promise;
	}

	async #sendCancels(requests: CancelRequest[]): Promise<void> {
		try {
			const outcome = await this.#client.cancelTasks({ taskIds: requests.map((request) => request.taskId) });
			const late = new Set<string>([...outcome.finished, ...outcome.not_found]);
			for (const request of requests) request.told.resolve(!late.has(request.taskId));
		} catch (error) {
			for (const request of requests) request.told.reject(error);
		}
	}

	#read(future: TaskFuture<unknown>, taskId: TaskId): Mailbox<Told> {
		const mailbox = new Mailbox<Told>(mailboxLimit, "missed");
		const mailboxes = this.#readers.get(taskId) ?? new Set();
		this.#readers.set(taskId, mailboxes.add(mailbox));
		const ended = (): void => mailbox.put("ended");
		future.then(ended, ended);
		this.#feed.tellReports(true);
		return mailbox;
	}

	#forget(taskId: TaskId, mailbox: Mailbox<Told>): void {
		const mailboxes = this.#readers.get(taskId);
		mailboxes?.delete(mailbox);
		if (mailboxes?.size === 0) this.#readers.delete(taskId);
		if (this.#readers.size === 0) this.#feed.tellReports(false);
	}

	#settle(taskId: TaskId, tracked: Tracked, result: StreamResult): void {
		const { control } = tracked;
		if (result.state !== "success") {
			control.reject(
				taskError({
					taskId,
					functionName: control.future.functionName,
					failure: result.failure ?? missingFailure(result),
					execution: result.execution,
				}),
			);
		} else if (result.value_reference !== undefined) {
			void this.#settleByReference(tracked, result.value_reference);
		} else settleValue(tracked, result.value ?? "");
	}

	async #settleByReference(tracked: Tracked, reference: { sha256: string; size_bytes: number }): Promise<void> {
		this.#settling++;
		try {
			settleValue(tracked, await this.#gate(() => fetchReference(this.#client, reference)));
		} catch (error) {
			tracked.control.reject(error);
		}
		this.#settling--;
		this.#rest();
	}

	#rejectAll(error: Error): void {
		for (const { control } of this.#pending.values()) control.reject(error);
		this.#pending.clear();
		this.#rest();
	}

	/** With nothing to wait for, the connection does not keep the process alive. */
	#rest(): void {
		if (this.size > 0 || this.#submits > 0) return;
		this.#feed.holdProcess(false);
		this.#idle?.resolve();
		this.#idle = undefined;
		this.#onIdle();
	}
}

function settleValue({ control, readResult: read }: Tracked, buffer: string): void {
	try {
		control.resolve(read(readResult(buffer)));
	} catch (error) {
		control.reject(error);
	}
}

function missingFailure(result: StreamResult): ReturnType<typeof localFailure> {
	return result.state === "cancelled"
		? localFailure("CANCELLED", "Cancelled", "the task was cancelled")
		: localFailure("INTERNAL_ERROR", "Unknown", "the task failed and the cloud does not say why");
}
