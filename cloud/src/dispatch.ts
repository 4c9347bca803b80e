/**
 * Rows, then the broker: records tasks and publishes them with confirms, and publishes again what a dead cloud process
 * or a broker without memory left behind. An endpoint that gets a task twice drops the second by its id.
 */
import type { EndpointId, TaskId } from "@errand/proto";
import { Fault } from "@errand/proto";
import type { BlobStore } from "./blobs/blobs.ts";
import type { CloudEventBus } from "./observe/events.ts";
import { type MessagePublisher, type OutgoingTask, Outlet } from "./outlet.ts";
import { deadDispatchers, deleteDispatcher, insertDispatcher, renewDispatcher } from "./store/dispatchers.ts";
import type { Log } from "./store/embedded-postgres.ts";
import type { FunctionCache } from "./store/function-cache.ts";
import { naturalBatches } from "./store/natural-batch.ts";
import type { Database } from "./store/pool.ts";
import {
	insertTasks,
	type NewTasks,
	type UnfinishedTask,
	unfinishedAmong,
	unfinishedOfDispatcher,
	unfinishedOfEndpoint,
	unfinishedOfUserEndpoint,
} from "./store/tasks.ts";

export interface Dispatch {
	/**
	 * On `recorded` the tasks are durable, and in the broker unless it is away (then they follow when it is back).
	 * `repeat`: the submission's key is known, nothing was written.
	 */
	submit(request: NewTasks): Promise<"recorded" | "repeat">;
	/** Publishes those of these tasks that no endpoint has reported on. May be repeated. */
	publishAgain(ids: readonly TaskId[]): Promise<void>;
	/** Publishes all unfinished tasks of an endpoint whose queue or journal is new. Returns how many. May be repeated. */
	refill(endpoint: EndpointId): Promise<number>;
	/** The same for one user endpoint. */
	refillUserEndpoint(id: EndpointId): Promise<number>;
	/** Living cloud processes on this database, this one included. */
	readonly processes: number;
	/** Waits for what is under way, then says that nothing is left. */
	close(): Promise<void>;
}

/** A dispatcher that has not renewed for this long is dead. */
const leaseMs = 12_000;
const renewEveryMs = 3_000;
/** Tasks read at a time when publishing again. */
const pageTasks = 1_000;
/** After this without the broker's confirm a submit is answered anyway: the rows are durable and the publisher keeps trying. */
const confirmPatienceMs = 10_000;
/** Requests recorded in one statement end at this many tasks. */
const statementTasks = 500;

/** `alone`: no other cloud process can be using this database (the embedded one), so every other dispatcher is dead. */
export async function openDispatch(ports: {
	database: Database;
	publisher: MessagePublisher;
	functions: FunctionCache;
	blobs: BlobStore;
	events: CloudEventBus;
	log: Log;
	alone: boolean;
}): Promise<Dispatch> {
	const { database, events, log } = ports;
	const outlet = new Outlet(ports);
	const self = await insertDispatcher(database, leaseMs);
	let processes = await renewDispatcher(database, self, 0n, leaseMs);
	let closed = false;

	// The watermark: a statement that starts when `seen` is the highest sequence number known draws only higher ones, so
	// everything up to the lowest `seen` of what is under way has been published.
	let seen = 0n;
	const underWay = new Map<object, bigint>();
	const watermark = (): bigint => {
		let lowest = seen;
		for (const floor of underWay.values()) if (floor < lowest) lowest = floor;
		return lowest;
	};

	const records = naturalBatches(
		{ limit: statementTasks, weigh: (request: NewTasks) => request.tasks.length, concurrency: 3 },
		async (requests) => {
			const { accepted, maxSeq } = await insertTasks(database, self, requests);
			if (maxSeq !== null && maxSeq > seen) seen = maxSeq;
			return new Set(requests.filter((_, n) => accepted.has(n)));
		},
	);

	async function submit(request: NewTasks): Promise<"recorded" | "repeat"> {
		if (closed) throw new Fault("NOT_READY", "the service is stopping; try again in a few seconds", { retryAfterS: 2 });
		outlet.admit();
		underWay.set(request, seen);
		let recorded: boolean;
		const repeatsBefore = database.repeats;
		try {
			recorded = (await records.add(request)).has(request);
		} catch (cause) {
			// A statement whose answer was lost may have been committed: then the watermark must stay below it.
			if (database.repeats === repeatsBefore) underWay.delete(request);
			throw cause;
		}
		if (!recorded) {
			underWay.delete(request);
			return "repeat";
		}
		events.emit("tasks:submitted", { group: request.group, endpoint: request.endpoint, count: request.tasks.length });
		// Unconfirmed it stays above the watermark, and whoever comes after this process publishes it.
		const confirmed = outlet.publish(request.endpoint, toOutgoing(request)).then(
			() => underWay.delete(request),
			(cause: unknown) =>
				log.warn({ endpoint: request.endpoint, reason: String(cause) }, "tasks were not published yet"),
		);
		await within(confirmed, confirmPatienceMs);
		return "recorded";
	}

	async function publishRows(rows: readonly UnfinishedTask[]): Promise<void> {
		const byEndpoint = Map.groupBy(rows, (row) => row.endpoint_id);
		await Promise.all([...byEndpoint].map(([endpoint, some]) => outlet.publish(endpoint, some.map(fromRow))));
	}

	async function publishPages(page: (after: bigint) => Promise<UnfinishedTask[]>, from: bigint): Promise<number> {
		let count = 0;
		for (let after = from; ; ) {
			const rows = await page(after);
			await publishRows(rows);
			count += rows.length;
			if (rows.length < pageTasks) return count;
			after = (rows.at(-1) as UnfinishedTask).seq;
		}
	}

	async function bury(): Promise<void> {
		for (const dead of await deadDispatchers(database, self, ports.alone)) {
			const count = await publishPages(
				(after) => unfinishedOfDispatcher(database, dead.id, after, pageTasks),
				dead.watermark,
			);
			await deleteDispatcher(database, dead.id);
			log.info({ dispatcher: dead.id, tasks: count }, "published again what an ended cloud process had recorded");
		}
	}

	let round = Promise.resolve();
	const timer = setInterval(() => {
		round = round
			.then(async () => {
				if (closed) return;
				processes = await renewDispatcher(database, self, watermark(), leaseMs);
				await bury();
			})
			.catch((cause: unknown) => log.warn({ reason: String(cause) }, "the dispatcher could not renew its lease yet"));
	}, renewEveryMs);
	timer.unref();
	// Not awaited: it may be much, and the broker may be away; submits need not wait for it.
	round = bury().catch((cause: unknown) =>
		log.warn({ reason: String(cause) }, "will publish again what was left later"),
	);

	return {
		submit,
		async publishAgain(ids) {
			await within(publishRows(await unfinishedAmong(database, ids)), confirmPatienceMs);
		},
		async refill(endpoint) {
			const count = await publishPages((after) => unfinishedOfEndpoint(database, endpoint, after, pageTasks), 0n);
			if (count > 0) log.info({ endpoint, tasks: count }, "published an endpoint's unfinished tasks again");
			return count;
		},
		async refillUserEndpoint(id) {
			const count = await publishPages((after) => unfinishedOfUserEndpoint(database, id, after, pageTasks), 0n);
			if (count > 0) log.info({ userEndpoint: id, tasks: count }, "published a user endpoint's unfinished tasks again");
			return count;
		},
		get processes() {
			return processes;
		},
		async close() {
			if (closed) return;
			closed = true;
			clearInterval(timer);
			await records.idle();
			await within(Promise.all([outlet.idle(), round]), confirmPatienceMs);
			if (underWay.size === 0) await deleteDispatcher(database, self);
			else await renewDispatcher(database, self, watermark(), 0);
		},
	};
}

/** Resolves with the work or after a time, whichever comes first; the work goes on. */
async function within(work: Promise<unknown>, limitMs: number): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const patience = new Promise<void>((done) => {
		timer = setTimeout(done, limitMs);
	});
	try {
		await Promise.race([work, patience]);
	} finally {
		clearTimeout(timer);
		work.catch(() => undefined);
	}
}

function toOutgoing(request: NewTasks): OutgoingTask[] {
	const { group, resources, resultSerializers, userEndpoint, publicForm } = request;
	return request.tasks.map((task) => ({
		id: task.id,
		function: task.function,
		group,
		userEndpoint,
		publicForm,
		payload: task.blob === null ? task.payload : null,
		blob: task.blob,
		resources,
		resultSerializers,
	}));
}

function fromRow(row: UnfinishedTask): OutgoingTask {
	return {
		id: row.id,
		function: row.function_id,
		group: row.group_id,
		userEndpoint: row.user_endpoint_id,
		publicForm: row.public_form,
		payload: row.payload,
		blob: row.payload_blob && { sha256: row.payload_blob, sizeBytes: Number(row.payload_blob_bytes) },
		resources: row.resources,
		resultSerializers: row.result_serializers,
	};
}
