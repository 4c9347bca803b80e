/**
 * Tasks to endpoints' queues: in order per endpoint, batched across requests, each message confirmed by the broker.
 */

import type { FunctionId, TaskGroupId, TaskId } from "@errand/proto";
import {
	batchLimitBytes,
	batchLimitTasks,
	contentTypes,
	type EndpointId,
	exchanges,
	Fault,
	idToBytes,
	taskQueue,
} from "@errand/proto";
import {
	type BlobReference,
	BlobReferenceSchema,
	create,
	type Task,
	TaskBatchSchema,
	TaskSchema,
	toBinary,
} from "@errand/proto/wire";
import type { BlobStore } from "./blobs/blobs.ts";
import { publicTaskMessage } from "./public-task.ts";
import type { Log } from "./store/embedded-postgres.ts";
import type { CachedFunction, FunctionCache } from "./store/function-cache.ts";
import { type Batcher, naturalBatches } from "./store/natural-batch.ts";
import type { BlobRow } from "./store/tasks.ts";
import { toResources } from "./task-resources.ts";

/** How messages leave: the broker connection's publisher. */
export interface MessagePublisher {
	/**
	 * Resolves when the broker has confirmed the message; waits for the broker and sends again over reconnections, in
	 * the order of calls. Rejects with an error named `UnroutableError` when no queue takes it, with another at the
	 * publisher's end. Messages are persistent.
	 */
	publish(
		exchange: string,
		routingKey: string,
		body: Uint8Array,
		properties: {
			contentType: string;
			contentEncoding?: string;
			headers?: Readonly<Record<string, unknown>>;
			/** Unix seconds. */
			timestamp?: number;
			/** Milliseconds after which nobody wants it. */
			expirationMs?: number;
		},
	): Promise<void>;
}

export interface OutgoingTask {
	readonly id: TaskId;
	readonly function: FunctionId;
	readonly group: TaskGroupId;
	/** Whose queue it goes to; null: the endpoint's. */
	readonly userEndpoint: EndpointId | null;
	/** As a message of the public interface. */
	readonly publicForm: boolean;
	readonly payload: Uint8Array | null;
	readonly blob: BlobRow | null;
	readonly resources: Record<string, unknown> | null;
	readonly resultSerializers: readonly string[] | null;
}

/** Messages of one endpoint under way to the broker at the same time. */
const messagesInFlight = 4;
/** What may wait for a broker that is away before submits are refused. */
const waitingLimitBytes = 256 * 1024 * 1024;
/** What a task weighs beside its payload. */
const taskOverheadBytes = 96;

export class Outlet {
	readonly #publisher: MessagePublisher;
	readonly #functions: FunctionCache;
	readonly #blobs: BlobStore;
	readonly #log: Log;
	readonly #lanes = new Map<EndpointId, Batcher<readonly OutgoingTask[], void>>();
	#waitingBytes = 0;

	constructor(ports: { publisher: MessagePublisher; functions: FunctionCache; blobs: BlobStore; log: Log }) {
		this.#publisher = ports.publisher;
		this.#functions = ports.functions;
		this.#blobs = ports.blobs;
		this.#log = ports.log;
	}

	/** Throws NOT_READY when too much waits for the broker already. */
	admit(): void {
		if (this.#waitingBytes > waitingLimitBytes)
			throw new Fault(
				"NOT_READY",
				"the message broker does not answer and too much is waiting for it; try again soon",
				{
					retryAfterS: 10,
				},
			);
	}

	/** Resolves when the broker has confirmed all of them. */
	async publish(endpoint: EndpointId, tasks: readonly OutgoingTask[]): Promise<void> {
		const bytes = sizeOf(tasks);
		this.#waitingBytes += bytes;
		try {
			const pieces = [...Map.groupBy(tasks, (task) => task.userEndpoint)].flatMap(([userEndpoint, some]) =>
				cut(some).map((piece) => this.#lane(userEndpoint ?? endpoint).add(piece)),
			);
			await Promise.all(pieces);
		} finally {
			this.#waitingBytes -= bytes;
		}
	}

	async idle(): Promise<void> {
		await Promise.all([...this.#lanes.values()].map((lane) => lane.idle()));
	}

	#lane(endpoint: EndpointId): Batcher<readonly OutgoingTask[], void> {
		let lane = this.#lanes.get(endpoint);
		if (lane === undefined) {
			lane = naturalBatches(
				{ limit: 1, weigh: fullness, concurrency: messagesInFlight },
				async (pieces: readonly (readonly OutgoingTask[])[]) => await this.#send(endpoint, pieces.flat()),
			);
			this.#lanes.set(endpoint, lane);
		}
		return lane;
	}

	/** All of one lane go to one queue, in one form. */
	async #send(endpoint: EndpointId, tasks: readonly OutgoingTask[]): Promise<void> {
		const functions = await this.#functions.find([...new Set(tasks.map((task) => task.function))], "deleted too");
		try {
			if (tasks[0]?.publicForm) await this.#sendSingly(taskQueue(endpoint), tasks, functions);
			else await this.#sendBatch(taskQueue(endpoint), tasks, functions);
		} catch (cause) {
			if (!(cause instanceof Error) || cause.name !== "UnroutableError") throw cause;
			// The rows are the truth: an endpoint whose queue is gone gets everything unfinished when it registers again.
			this.#log.warn(
				{ endpoint, tasks: tasks.length },
				"an endpoint has no queue; its tasks wait until it registers again",
			);
		}
	}

	async #sendBatch(queue: string, tasks: readonly OutgoingTask[], functions: Functions): Promise<void> {
		const batch = create(TaskBatchSchema, {
			functions: [...functions.values()].map((entry) => entry.wire),
			tasks: tasks.map(toWire),
		});
		await this.#publisher.publish(exchanges.tasks, queue, toBinary(TaskBatchSchema, batch), {
			contentType: contentTypes.taskBatch,
		});
	}

	/** As the public interface's endpoints take them. */
	async #sendSingly(queue: string, tasks: readonly OutgoingTask[], functions: Functions): Promise<void> {
		const messages = await Promise.all(
			tasks.map(async (task) => {
				const { row } = functions.get(task.function) as CachedFunction;
				const { code, runtime } = row;
				return publicTaskMessage({ ...task, code, runtime, payload: await this.#payloadOf(task) });
			}),
		);
		await Promise.all(
			messages.map(({ body, properties }) => this.#publisher.publish(exchanges.tasks, queue, body, properties)),
		);
	}

	/** Their endpoints know no references: the value itself. */
	async #payloadOf({ payload, blob }: OutgoingTask): Promise<string> {
		if (blob === null) return Buffer.from(payload ?? []).toString("utf8");
		const name = Buffer.from(blob.sha256).toString("hex");
		const stored = await this.#blobs.get(name);
		if (stored === undefined) throw new Error(`the stored value ${name} is gone`);
		const chunks: Uint8Array[] = [];
		for await (const chunk of stored.body) chunks.push(chunk);
		return Buffer.concat(chunks).toString("utf8");
	}
}

type Functions = ReadonlyMap<FunctionId, CachedFunction>;

function sizeOf(tasks: readonly OutgoingTask[]): number {
	let bytes = 0;
	for (const task of tasks) bytes += taskOverheadBytes + (task.payload?.length ?? 0);
	return bytes;
}

/** 1 is a full message. */
function fullness(tasks: readonly OutgoingTask[]): number {
	return Math.max(tasks.length / batchLimitTasks, sizeOf(tasks) / batchLimitBytes);
}

/** Into pieces that fit one message each. */
function cut(tasks: readonly OutgoingTask[]): (readonly OutgoingTask[])[] {
	if (fullness(tasks) <= 1) return [tasks];
	const pieces: OutgoingTask[][] = [];
	let piece: OutgoingTask[] = [];
	let bytes = 0;
	for (const task of tasks) {
		const size = taskOverheadBytes + (task.payload?.length ?? 0);
		if (piece.length > 0 && (piece.length === batchLimitTasks || bytes + size > batchLimitBytes)) {
			pieces.push(piece);
			piece = [];
			bytes = 0;
		}
		piece.push(task);
		bytes += size;
	}
	pieces.push(piece);
	return pieces;
}

function toWire(task: OutgoingTask): Task {
	return create(TaskSchema, {
		id: idToBytes(task.id),
		functionId: idToBytes(task.function),
		groupId: idToBytes(task.group),
		...(task.payload === null ? {} : { payload: task.payload }),
		...(task.blob === null ? {} : { payloadReference: toReference(task.blob) }),
		...(task.resources === null ? {} : { resources: toResources(task.resources) }),
		...(task.resultSerializers === null ? {} : { resultSerializers: [...task.resultSerializers] }),
	});
}

function toReference(blob: BlobRow): BlobReference {
	return create(BlobReferenceSchema, { sha256: blob.sha256, sizeBytes: blob.sizeBytes });
}
