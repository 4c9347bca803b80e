/**
 * What endpoints send back: results, reports and heartbeats from the broker into the store. The sender is who the
 * routing key says (the broker lets an endpoint use only its own). A message is acknowledged after what it says is
 * durable; one that makes no sense is refused, logged and forgotten.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
	cloudQueues,
	contentTypes,
	decodeMessage,
	type EndpointId,
	Fault,
	parseId,
	type StartError,
	startError,
} from "@errand/proto";
import { fromBinary, ReportBatchSchema, ResultBatchSchema } from "@errand/proto/wire";
import type { CloudEventBus } from "../observe/events.ts";
import type { Log } from "../store/embedded-postgres.ts";
import { type Heartbeat, recordHeartbeats } from "../store/endpoints.ts";
import { naturalBatches } from "../store/natural-batch.ts";
import type { Database } from "../store/pool.ts";
import type { Ending } from "../store/results.ts";
import { recordStartError, recordUserHeartbeats } from "../store/user-endpoints.ts";
import { endingOfMessage, endingOfResult } from "./documents.ts";
import type { Recorder } from "./recorder.ts";
import { openReports } from "./reports.ts";

/** One message from a queue. Exactly one of `ack` and `reject` is called, once. */
export interface Delivery {
	readonly body: Uint8Array;
	readonly routingKey: string;
	readonly redelivered: boolean;
	readonly properties: { readonly contentType?: string | undefined };
	ack(): void;
	/** `requeue`: deliver again; otherwise it is dropped. */
	reject(requeue: boolean): void;
}

/** How messages come in: the broker connection. Consuming goes on over reconnections until the handle is closed. */
export interface MessageSource {
	consume(
		queue: string,
		options: { prefetch: number; onMessage: (delivery: Delivery) => void },
	): Promise<{ close(): Promise<void> }>;
}

type Queue = (typeof cloudQueues)[number];

/** Messages, each of up to 200 results: enough to fill statements while one is under way. */
const prefetch = 64;
/** Before a message goes back to the broker because the database is away. */
const requeueDelayMs = 1_000;

export async function openIntake(ports: {
	database: Database;
	source: MessageSource;
	recorder: Recorder;
	events: CloudEventBus;
	log: Log;
}): Promise<{ close(): Promise<void> }> {
	const { database, events, log, recorder } = ports;
	const stopping = new AbortController();
	const underWay = new Set<Promise<void>>();
	const reports = openReports(ports);

	const heartbeats = naturalBatches(
		{ limit: 500, weigh: () => 1, concurrency: 1 },
		async (items: readonly Heartbeat[]) => {
			const latest = new Map(items.map((item) => [item.endpoint, item]));
			const endpoints = await recordHeartbeats(database, [...latest.values()]);
			const others = [...latest.values()].filter((item) => !endpoints.has(item.endpoint));
			if (others.length === 0) return;
			const userEndpoints = await recordUserHeartbeats(database, others);
			for (const { endpoint } of others)
				if (!userEndpoints.has(endpoint))
					log.warn({ endpoint }, "left out a heartbeat of an endpoint that there is not");
		},
	);

	const handlers: { readonly [Q in Queue]: (delivery: Delivery, endpoint: EndpointId) => Promise<void> } = {
		async results(delivery, endpoint) {
			const { endings, wrong } = decodeResults(delivery, endpoint);
			await recorder.record(endings, delivery.redelivered);
			// Its neighbours do not make up for it, nor it for them.
			if (wrong > 0)
				throw new RangeError(`${wrong} of ${wrong + endings.length} results name no task: an id has 16 bytes`);
		},
		reports: (delivery, endpoint) =>
			reports.take(decode(() => fromBinary(ReportBatchSchema, delivery.body)).reports, endpoint),
		async heartbeats(delivery, endpoint) {
			const { endpoint_id: claimed, global_state: state } = decode(() =>
				decodeMessage("ep_status_report", delivery.body),
			);
			const about = claimed === endpoint ? endpoint : await ofManager(endpoint, claimed, state);
			// An error text is about one start that failed; under a manager's own id it says nothing about the manager.
			const failed = startErrorOf(state);
			if (failed !== undefined) {
				log.warn({ endpoint: about, ...failed }, "an endpoint reports a fault");
				if (about === endpoint) await recordStartError(database, endpoint, failed);
			} else await heartbeats.add(decode(() => toHeartbeat(endpoint, state)));
			events.emit("endpoint:heartbeat", { endpoint: about, state });
		},
	};

	/** A manager of ours may say of its own user endpoints that they failed to start, and nothing else. */
	async function ofManager(manager: EndpointId, claimed: string, state: Record<string, unknown>): Promise<EndpointId> {
		const id = parseId<EndpointId>(claimed);
		const failed = startErrorOf(state);
		if (id === undefined || failed === undefined || !(await recordStartError(database, id, failed, manager)))
			throw new RangeError(`a heartbeat of endpoint ${claimed}`);
		return id;
	}

	async function handle(queue: Queue, delivery: Delivery): Promise<void> {
		const id = delivery.routingKey.slice(0, delivery.routingKey.indexOf("."));
		const endpoint = parseId<EndpointId>(id);
		try {
			if (endpoint === undefined) throw new RangeError("the routing key does not start with an endpoint's id");
			await handlers[queue](delivery, endpoint);
			delivery.ack(); // after durable: the recorder and the others resolve when the database has it
		} catch (cause) {
			if (cause instanceof Fault && cause.code === "NOT_READY") {
				await sleep(requeueDelayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
				delivery.reject(true);
				return;
			}
			const reason = (cause instanceof Error ? cause.message : String(cause)).slice(0, reasonCharacters);
			// What is wrong with the message does not get better; what is wrong with us may, once.
			const again = !(cause instanceof RangeError) && !delivery.redelivered;
			log[again ? "warn" : "error"]({ queue, endpoint: id, reason, again }, "could not take a message");
			if (!again) events.emit("message:rejected", { queue, reason, endpoint: id });
			delivery.reject(again);
		}
	}

	const consumers = await Promise.all(
		cloudQueues.map((queue) =>
			ports.source.consume(queue, {
				prefetch,
				onMessage(delivery) {
					const work = handle(queue, delivery).finally(() => underWay.delete(work));
					underWay.add(work);
				},
			}),
		),
	);
	return {
		async close() {
			stopping.abort();
			await Promise.all(consumers.map((consumer) => consumer.close()));
			await Promise.all(underWay);
		},
	};
}

/** Foreign bytes: whatever a decoder throws means that the message is wrong. */
function decode<T>(work: () => T): T {
	try {
		return work();
	} catch (cause) {
		throw new RangeError(cause instanceof Error ? cause.message : String(cause), { cause });
	}
}

/** `wrong`: how many results of the batch name no task; the others hold. */
function decodeResults(delivery: Delivery, endpoint: EndpointId): { endings: Ending[]; wrong: number } {
	return decode(() => {
		if (delivery.properties.contentType !== contentTypes.resultBatch)
			return { endings: [endingOfMessage(decodeMessage("result", delivery.body), endpoint)], wrong: 0 };
		const { results } = fromBinary(ResultBatchSchema, delivery.body);
		const named = results.filter((result) => result.taskId.length === taskIdBytes);
		return {
			endings: named.map((result) => endingOfResult(result, endpoint)),
			wrong: results.length - named.length,
		};
	});
}

const taskIdBytes = 16;
/** Foreign bytes are in it, and it is for a log line. */
const reasonCharacters = 1_000;
/** Of a start's fault; it is for people. */
const startErrorCharacters = 8_000;
/** Undefined when the report is not about one. */
function startErrorOf(state: Record<string, unknown>): StartError | undefined {
	const { data } = startError.safeParse(state);
	return data && { ...data, error: data.error.slice(0, startErrorCharacters) };
}
const defaultPeriodS = 30;
/** It is kept, and told with every list of endpoints; one with as many blocks and demands as are told has some 150 KiB. */
const stateLimitBytes = 256 * 1024;
/** The database goes down by recursion, and so does whoever shows it. */
const stateLimitDepth = 64;

function isDeeper(value: unknown, levels: number): boolean {
	if (typeof value !== "object" || value === null) return false;
	return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function toHeartbeat(endpoint: EndpointId, state: Record<string, unknown>): Heartbeat {
	const period = typeof state.heartbeat_period === "number" ? state.heartbeat_period : defaultPeriodS;
	if (isDeeper(state, stateLimitDepth))
		throw new RangeError(`a heartbeat's state is nested more than ${stateLimitDepth} levels deep`);
	if (Buffer.byteLength(JSON.stringify(state)) > stateLimitBytes)
		throw new RangeError(`a heartbeat's state has more than ${stateLimitBytes} bytes`);
	const periodMs = Math.round(Math.min(Math.max(period, 0), 86_400) * 1000);
	return { endpoint, periodMs, active: periodMs > 0 && state.active !== false, details: state };
}
