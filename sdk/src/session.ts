/** What all views of an executor have in common: one endpoint, one task group, the batches on their way. */
import type { EndpointId, FunctionId, TaskGroupId } from "@errand/proto";
import { submitLimitBytes, submitLimitTasks } from "@errand/proto";
import type { Explanation, ResourceSpecification, Submission, TaskDocument } from "@errand/proto/rest";
import { Batcher, type BatchLimits } from "./batching.ts";
import type { Client } from "./client.ts";
import { awaitFutures, hasFutures, openFutures } from "./dependencies.ts";
import { ClosedError, CloudError, localFailure, taskError } from "./errors.ts";
import type { RemoteFunction } from "./function/remote-function.ts";
import { type FutureControl, type FutureHost, type OutputStream, type Progress, TaskFuture } from "./future.ts";
import { openGate } from "./gate.ts";
import type { Feed } from "./results/feed.ts";
import { TaskGroup } from "./results/group.ts";
import type { ResultsOptions } from "./results/results.ts";
import { inlineBytes, spill } from "./serialize/blobs.ts";

export interface SessionOptions {
	client: Client;
	/** Id or name. */
	endpoint: string;
	taskGroup?: string | undefined;
	userEndpointConfig?: Readonly<Record<string, unknown>> | undefined;
	batch?: Partial<BatchLimits> | undefined;
	openFeed?: ((options: ResultsOptions) => Feed) | undefined;
}

/** One task on its way to the cloud. */
interface Item {
	remote: RemoteFunction<readonly unknown[], unknown>;
	payload: string;
	bytes: number;
	control: FutureControl<unknown>;
	batcher: Batcher<Item>;
	cancelled: boolean;
}

/**
 * A request this large is worth its round trip, and small enough that the endpoint starts while the next one is
 * recorded.
 */
const defaultLimits: BatchLimits = { items: 2_000, bytes: 4 * 1024 * 1024 };
/** Values above the inline limit that are stored at once. */
const uploadsAtOnce = 4;

export class Session implements FutureHost {
	readonly client: Client;
	readonly endpoint: string;
	readonly #options: SessionOptions;
	readonly #limits: BatchLimits;
	readonly #batchers = new Map<string, Batcher<Item>>();
	readonly #items = new WeakMap<TaskFuture<unknown>, Item>();
	/** Tasks that are sent when the futures among their arguments have their values. */
	readonly #waiting = new Map<TaskFuture<unknown>, { args: readonly unknown[]; sent: Promise<void>; cancel(): void }>();
	readonly #functionIds = new WeakMap<RemoteFunction<readonly unknown[], unknown>, FunctionId>();
	/** What the cloud said about a submit and was told on. */
	readonly #warned = new Set<string>();
	readonly #gate = openGate(uploadsAtOnce);
	readonly #uploads = new Set<Promise<void>>();
	#group: Promise<TaskGroup> | undefined;
	#groupId: TaskGroupId | undefined;
	#closed = false;

	constructor(options: SessionOptions) {
		this.client = options.client;
		this.endpoint = options.endpoint;
		this.#options = options;
		this.#groupId = options.taskGroup as TaskGroupId | undefined;
		this.#limits = {
			items: Math.min(options.batch?.items ?? defaultLimits.items, submitLimitTasks),
			// Half of what a request may hold: JSON writes some characters as two.
			bytes: Math.min(options.batch?.bytes ?? defaultLimits.bytes, submitLimitBytes / 2),
		};
	}

	get groupId(): TaskGroupId | undefined {
		return this.#groupId;
	}

	/** The group, made at the first call; asked again when that failed. */
	group(): Promise<TaskGroup> {
		if (this.#group === undefined) {
			const opened = this.#openGroup();
			this.#group = opened;
			opened.catch(() => {
				this.#group = undefined;
			});
		}
		return this.#group;
	}

	async #openGroup(): Promise<TaskGroup> {
		this.#groupId ??= await this.client.createTaskGroup();
		const { client, ...options } = this.#options;
		return new TaskGroup({
			client,
			group: this.#groupId,
			...(options.openFeed === undefined ? {} : { openFeed: options.openFeed }),
		});
	}

	endpointId(): Promise<EndpointId> {
		return this.client.resolveEndpoint(this.endpoint);
	}

	/**
	 * Throws a SerializationError, or a ClosedError. With futures among the arguments the task is sent when they have
	 * their values; then what would be thrown is what the future rejects with.
	 */
	submit(
		remote: RemoteFunction<readonly unknown[], unknown>,
		args: readonly unknown[],
		resources: ResourceSpecification | undefined,
	): TaskFuture<unknown> {
		if (this.#closed) throw new ClosedError("the executor is closed: make another one");
		if (remote.resources !== undefined) resources = { ...remote.resources, ...resources };
		if (hasFutures(args)) return this.#submitAfter(remote, args, resources);
		const payload = remote.packArguments(args);
		const control = TaskFuture.open<unknown>(this, remote.name);
		this.#enqueue(remote, payload, control, resources);
		return control.future;
	}

	#submitAfter(
		remote: RemoteFunction<readonly unknown[], unknown>,
		args: readonly unknown[],
		resources: ResourceSpecification | undefined,
	): TaskFuture<unknown> {
		const control = TaskFuture.open<unknown>(this, remote.name);
		const { future } = control;
		const stopped = Promise.withResolvers<undefined>();
		const sent = Promise.race([awaitFutures(remote.name, args), stopped.promise])
			.then((values) => {
				if (values !== undefined) this.#enqueue(remote, remote.packArguments(values), control, resources);
			})
			.catch((error: unknown) => control.reject(error))
			.finally(() => this.#waiting.delete(future));
		const cancel = (): void => {
			control.reject(cancelledBeforeSent(remote));
			stopped.resolve(undefined);
		};
		this.#waiting.set(future, { args, sent, cancel });
		return future;
	}

	#enqueue(
		remote: RemoteFunction<readonly unknown[], unknown>,
		payload: string,
		control: FutureControl<unknown>,
		resources: ResourceSpecification | undefined,
	): void {
		const bytes = inlineBytes(payload);
		const item: Item = {
			remote,
			payload,
			bytes: bytes ?? 0,
			control,
			batcher: this.#batcher(resources),
			cancelled: false,
		};
		this.#items.set(control.future, item);
		if (bytes === undefined) this.#upload(item);
		else item.batcher.push(item);
	}

	/** Tasks that wait for the values of others are given up. */
	cancelWaiting(): void {
		for (const { cancel } of this.#waiting.values()) cancel();
	}

	/** Everything submitted has been accepted or refused. */
	async sent(): Promise<void> {
		await Promise.all([...this.#waiting.values()].map(({ sent }) => sent));
		await Promise.all(this.#uploads);
		await Promise.all([...this.#batchers.values()].map((batcher) => batcher.idle()));
	}

	/** Everything submitted has ended. */
	async drain(): Promise<void> {
		await this.sent();
		await (await this.#group)?.idle();
	}

	async close(): Promise<void> {
		this.#closed = true;
		await this.sent();
		(await this.#group?.catch(() => undefined))?.close();
	}

	// ── what futures ask ──

	document(taskId: string): Promise<TaskDocument> {
		return this.client.getTask(taskId);
	}

	explanation(taskId: string): Promise<Explanation> {
		return this.client.explainTask(taskId);
	}

	waitsFor(future: TaskFuture<unknown>): readonly TaskFuture<unknown>[] {
		return openFutures(this.#waiting.get(future)?.args ?? []);
	}

	async *output(future: TaskFuture<unknown>, stream: OutputStream): AsyncGenerator<string, void> {
		await future.accepted;
		yield* (await this.group()).output(future, stream);
	}

	async *progress(future: TaskFuture<unknown>): AsyncGenerator<Progress, void> {
		await future.accepted;
		yield* (await this.group()).progress(future);
	}

	async cancel(future: TaskFuture<unknown>): Promise<boolean> {
		const waiting = this.#waiting.get(future);
		if (waiting !== undefined) {
			waiting.cancel();
			return true;
		}
		const item = this.#items.get(future);
		if (item !== undefined && future.taskId === undefined) {
			item.cancelled = true;
			if (item.batcher.remove(item) || this.#takeUpload(item)) {
				item.control.reject(cancelledBeforeSent(item.remote));
				return true;
			}
			await future.accepted;
		}
		return (await this.group()).cancel(future);
	}

	// ── on the way ──

	readonly #uploading = new Set<Item>();

	#takeUpload(item: Item): boolean {
		return this.#uploading.delete(item);
	}

	/** A value above the inline limit is stored first; smaller tasks do not wait for it. */
	#upload(item: Item): void {
		this.#uploading.add(item);
		const upload = this.#gate(async () => {
			if (item.cancelled) return;
			item.payload = await spill(this.client, item.remote.name, item.payload);
			item.bytes = item.payload.length;
			if (this.#uploading.delete(item)) item.batcher.push(item);
		})
			.catch((error: unknown) => item.control.reject(error))
			.finally(() => {
				this.#uploading.delete(item);
				this.#uploads.delete(upload);
			});
		this.#uploads.add(upload);
	}

	#batcher(resources: ResourceSpecification | undefined): Batcher<Item> {
		const key = resources === undefined ? "" : JSON.stringify(resources);
		let batcher = this.#batchers.get(key);
		if (batcher === undefined) {
			batcher = new Batcher<Item>(this.#limits, (items) => this.#flush(items, resources));
			this.#batchers.set(key, batcher);
		}
		return batcher;
	}

	async #flush(items: Item[], resources: ResourceSpecification | undefined): Promise<void> {
		try {
			const [group, endpoint] = await Promise.all([this.group(), this.endpointId(), this.#register(items)]);
			group.submitStarted();
			try {
				const ready = items.filter((item) => !item.control.future.settled);
				if (ready.length > 0) await this.#send(ready, group, endpoint, resources);
			} finally {
				group.submitEnded();
			}
		} catch (error) {
			for (const item of items) item.control.reject(error);
		}
	}

	/** Every function of the batch is known to the cloud; the tasks of one that cannot be are rejected. */
	async #register(items: readonly Item[]): Promise<void> {
		const unknown = new Set<Item["remote"]>();
		for (const { remote } of items) if (!this.#functionIds.has(remote)) unknown.add(remote);
		await Promise.all(
			[...unknown].map(async (remote) => {
				try {
					this.#functionIds.set(remote, await this.#registerOne(remote));
				} catch (error) {
					for (const item of items) if (item.remote === remote) item.control.reject(error);
				}
			}),
		);
	}

	async #registerOne(remote: Item["remote"]): Promise<FunctionId> {
		return this.client.ensureFunction({
			function_name: remote.name,
			function_code: await remote.code(),
			...(remote.description === undefined ? {} : { description: remote.description }),
		});
	}

	/** One request; in parts when the cloud finds it too large, or refuses some of its functions. */
	async #send(
		items: readonly Item[],
		group: TaskGroup,
		endpoint: EndpointId,
		resources: ResourceSpecification | undefined,
	): Promise<void> {
		const { userEndpointConfig } = this.#options;
		const byFunction = Map.groupBy(items, (item) => this.#functionIds.get(item.remote) as FunctionId);
		const tasks: Submission["tasks"] = {};
		for (const [id, some] of byFunction) tasks[id] = some.map((item) => item.payload);
		try {
			const submitted = await this.client.submit(endpoint, {
				create_queue: false,
				tasks,
				task_group_id: group.id,
				...(resources === undefined ? {} : { resource_specification: resources }),
				...(userEndpointConfig === undefined ? {} : { user_endpoint_config: userEndpointConfig }),
			});
			this.#warn(submitted.warnings ?? []);
			for (const [id, some] of byFunction) this.#accept(some, submitted.tasks[id] ?? [], group);
		} catch (error) {
			const parts = partsAfter(error, items, [...byFunction.values()]);
			if (parts === undefined) for (const item of items) item.control.reject(error);
			else for (const part of parts) await this.#send(part, group, endpoint, resources);
		}
	}

	/** Each batch of a loop is told the same; people want to read it once. */
	#warn(warnings: readonly string[]): void {
		for (const warning of warnings) {
			if (this.#warned.has(warning)) continue;
			this.#warned.add(warning);
			this.client.log.warn({}, warning);
		}
	}

	#accept(items: readonly Item[], ids: readonly string[], group: TaskGroup): void {
		items.forEach((item, i) => {
			const id = ids[i];
			if (id === undefined) {
				item.control.reject(
					new CloudError("CLOUD_UNINTELLIGIBLE", `the cloud returned ${ids.length} ids for ${items.length} tasks`, {
						httpStatus: 200,
					}),
				);
			} else
				group.expect(id as Parameters<TaskGroup["expect"]>[0], {
					control: item.control,
					readResult: item.remote.readResult,
				});
		});
	}
}

/** How a refused batch is tried again, so that one task does not hurt the others; undefined: not at all. */
function partsAfter(error: unknown, items: readonly Item[], byFunction: Item[][]): (readonly Item[])[] | undefined {
	if (!(error instanceof CloudError)) return undefined;
	if ((error.code === "BATCH_RUN_TOO_LARGE" || error.code === "TASK_PAYLOAD_TOO_LARGE") && items.length > 1) {
		const middle = items.length >> 1;
		return [items.slice(0, middle), items.slice(middle)];
	}
	return error.code.startsWith("FUNCTION_") && byFunction.length > 1 ? byFunction : undefined;
}

function cancelledBeforeSent(remote: Item["remote"]): Error {
	return taskError({
		taskId: "",
		functionName: remote.name,
		failure: localFailure("CANCELLED", "Cancelled", "cancelled before it was sent"),
		execution: undefined,
	});
}
