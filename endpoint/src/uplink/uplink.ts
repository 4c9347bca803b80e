/**
 * The endpoint's line to the broker: tasks and commands come in, results, reports and heartbeats go out. It connects
 * again by itself; when the broker does not accept its credentials any more it asks the cloud for new ones.
 */
import { contentTypes, type EndpointCommand, endpointCommand, Fault, faults } from "@errand/proto";
import type { EndpointRegistered } from "@errand/proto/rest";
import { type ChannelModel, type ConfirmChannel, type ConsumeMessage, connect } from "amqplib";
import type { Logger } from "../service/logger.ts";
import { BackOff, pause } from "./back-off.ts";
import { Outbox, type OutgoingMessage } from "./outbox.ts";

/** Task messages taken and not yet in the journal: enough for one group of writes and the next. */
const prefetch = 64;
const connectTimeoutMs = 15_000;
const goodbyeMs = 500;
const firstWaitMs = 200;
const longestWaitMs = 30_000;
/** A message that the broker refused or could not route is tried again after this. */
const refusedWaitMs = 2_000;
/** Reports that wait for a connection; beyond it the newest are dropped, for results must not wait behind them. */
const reportLimitBytes = 64 * 1024 * 1024;

export type Places = Pick<
	EndpointRegistered,
	"task_queue_info" | "command_queue_info" | "result_queue_info" | "heartbeat_queue_info" | "report_queue_info"
>;

export interface UplinkEvents {
	/** Resolves when the batch is in the journal: then, and only then, it is acknowledged. A RangeError: it is refused. */
	taskBatch(bytes: Uint8Array): Promise<void>;
	/** `sentAtMs`: Unix milliseconds, as the message says; undefined when it does not. */
	command(command: EndpointCommand, sentAtMs?: number): Promise<void>;
	connected(): void;
	disconnected(reason: string): void;
	/** The cloud does not want this endpoint any more; the uplink does not try again. */
	refused(error: Error): void;
}

export interface Uplink {
	readonly connected: boolean;
	/** Resolves when the broker has the `ResultBatch`; survives lost connections. */
	publishResults(batch: Uint8Array): Promise<void>;
	/** A `ReportBatch`. States are kept by the broker over its restart, output and progress are not. */
	publishReports(batch: Uint8Array, options: { persistent: boolean }): void;
	/** Resolves when the broker has it, at once when there is no connection: the next one says the same. */
	heartbeat(body: Uint8Array): Promise<void>;
	close(): Promise<void>;
}

export interface UplinkOptions {
	readonly places: Places;
	/** Registers again: new credentials, perhaps another address. */
	readonly renew: (signal: AbortSignal) => Promise<Places>;
	readonly events: UplinkEvents;
	readonly log: Logger;
}

interface Session {
	readonly channel: ConfirmChannel;
	/** Resolves with the reason when either connection is gone. */
	readonly lost: Promise<string>;
	close(): Promise<void>;
}

/** Begins to connect; `connected` tells when it has. */
export function openUplink({ places: firstPlaces, renew, events, log }: UplinkOptions): Uplink {
	const outbox = new Outbox();
	const ending = new AbortController();
	let places = firstPlaces;
	let session: Session | undefined;
	let droppedReports = 0;

	async function run(): Promise<void> {
		const backOff = new BackOff(firstWaitMs, longestWaitMs);
		while (!ending.signal.aborted) {
			let reason: string;
			try {
				session = await openSession(places, events, log);
				const { channel } = session;
				backOff.reset();
				log.info({ broker: hostOf(places) }, "uplink: connected to the broker");
				outbox.connect((message, done) => transmit(channel, message, done, ending.signal));
				events.connected();
				reason = await Promise.race([session.lost, aborted(ending.signal)]);
			} catch (error) {
				reason = (error as Error).message;
			}
			const wasConnected = session !== undefined;
			outbox.disconnect();
			if (ending.signal.aborted) break;
			await session?.close();
			session = undefined;
			if (wasConnected) events.disconnected(reason);
			const waitMs = backOff.nextMs();
			log.warn(
				{ reason, waitMs: Math.round(waitMs), broker: hostOf(places) },
				"uplink: no broker, waiting to connect again",
			);
			await pause(waitMs, ending.signal);
			// Once with what is known; after that the cloud may have another address or other credentials for us.
			if (backOff.tries > 1 || /403|ACCESS[-_]REFUSED|404|NOT[-_]FOUND/i.test(reason)) places = await renewed();
		}
	}

	/** New places; the old ones when the cloud has no answer now. Throws the fault of a cloud that will not have this endpoint. */
	async function renewed(): Promise<Places> {
		try {
			return await renew(ending.signal);
		} catch (error) {
			if (ending.signal.aborted || (error instanceof Fault && isFinal(error))) throw error;
			log.warn({ err: error }, "uplink: the cloud gives no new address for the broker; trying the last one");
			return places;
		}
	}

	const running = run().catch((error: unknown) => {
		if (!ending.signal.aborted) events.refused(error as Error);
	});

	const outgoing = (
		place: "result" | "report" | "heartbeat",
		body: Uint8Array,
		contentType: string,
		persistent: boolean,
	): OutgoingMessage => {
		const { exchange, routing_key: routingKey } = places[`${place}_queue_info`].queue_publish_kwargs;
		return { exchange, routingKey, body, contentType, persistent };
	};

	return {
		get connected() {
			return session !== undefined;
		},
		publishResults: (batch) => outbox.add(outgoing("result", batch, contentTypes.resultBatch, true)),
		publishReports(batch, { persistent }) {
			if (outbox.bytes + batch.length > reportLimitBytes) {
				if (droppedReports++ % 1000 === 0)
					log.warn({ droppedReports }, "uplink: reports are dropped until the broker is back");
				return;
			}
			outbox.add(outgoing("report", batch, contentTypes.reportBatch, persistent)).catch(() => undefined);
		},
		heartbeat(body) {
			const channel = session?.channel;
			if (!channel) return Promise.resolve();
			return new Promise((resolve) =>
				transmit(channel, outgoing("heartbeat", body, contentTypes.json, true), () => resolve(), ending.signal),
			);
		},
		async close() {
			ending.abort(new Error("the endpoint is stopping"));
			await running;
			outbox.close();
			await session?.close();
			session = undefined;
		},
	};
}

/** A lock passes, but whoever locks a running endpoint wants it to end. */
const isFinal = ({ code }: Fault): boolean => code === "RESOURCE_LOCKED" || !faults[code].retry;

async function openSession(places: Places, events: UplinkEvents, log: Logger): Promise<Session> {
	const lost = Promise.withResolvers<string>();
	const incoming = await open(places.task_queue_info.connection_url, "errand endpoint: tasks", lost.resolve);
	let outgoing: ChannelModel | undefined;
	const close = async (): Promise<void> => {
		const closed = Promise.all([incoming, outgoing].map((one) => one?.close().catch(() => undefined)));
		// A broker that is gone does not answer the goodbye, and the client waits for that answer without end.
		const late = new Promise<void>((resolve) => setTimeout(resolve, goodbyeMs).unref());
		await Promise.race([closed, late]);
	};
	try {
		// A broker that holds back publishers stops reading their connection: taking tasks and acknowledging must go on.
		outgoing = await open(places.result_queue_info.connection_url, "errand endpoint: results", lost.resolve);
		const channel = await outgoing.createConfirmChannel();
		channel.on("error", (error: Error) => lost.resolve(error.message));
		channel.on("close", () => lost.resolve("the channel was closed"));
		const returned = new Set<string>();
		returnedOf.set(channel, returned);
		channel.on("return", (message) => returned.add(String(message.properties.messageId)));
		await consume(incoming, places, events, log, lost.resolve);
		return { channel, lost: lost.promise, close };
	} catch (error) {
		await close();
		throw error;
	}
}

async function open(url: string, name: string, lost: (reason: string) => void): Promise<ChannelModel> {
	// Without noDelay a large message waits for the other side's delayed acknowledgement: 40 ms.
	const connection = await connect(url, {
		noDelay: true,
		timeout: connectTimeoutMs,
		clientProperties: { connection_name: name },
	});
	connection.on("error", (error: Error) => lost(error.message));
	connection.on("close", (error?: Error) => lost(error?.message ?? "the connection was closed"));
	return connection;
}

async function consume(
	connection: ChannelModel,
	places: Places,
	events: UplinkEvents,
	log: Logger,
	lost: (reason: string) => void,
): Promise<void> {
	const channel = await connection.createChannel();
	channel.on("error", (error: Error) => lost(error.message));
	channel.on("close", () => lost("the channel was closed"));
	let over = false;
	channel.on("close", () => {
		over = true;
	});
	const handle = (
		message: ConsumeMessage | null,
		what: string,
		take: (message: ConsumeMessage) => Promise<void>,
	): void => {
		if (message === null) {
			lost(`404 the ${what} queue was deleted`);
			return;
		}
		take(message).then(
			() => {
				if (!over) channel.ack(message);
			},
			(error: unknown) => {
				if (over) return;
				// What cannot be read now cannot be read later either; anything else is delivered again.
				const unreadable = error instanceof RangeError;
				log.error({ what, bytes: message.content.length, err: error }, "uplink: a message could not be taken");
				channel.nack(message, false, !unreadable);
			},
		);
	};
	await channel.prefetch(prefetch);
	// In the other order a task could overtake the command that cancels it for no reason.
	await channel.consume(places.command_queue_info.queue, (message) =>
		handle(message, "commands", async ({ content, properties }) => {
			const { timestamp } = properties as { timestamp?: unknown };
			return typeof timestamp === "number"
				? events.command(parseCommand(content), timestamp * 1000)
				: events.command(parseCommand(content));
		}),
	);
	await channel.consume(places.task_queue_info.queue, (message) =>
		handle(message, "tasks", ({ content, properties }) => {
			if (properties.contentType !== contentTypes.taskBatch)
				return Promise.reject(new RangeError(`task message: content type ${String(properties.contentType)}`));
			return events.taskBatch(content);
		}),
	);
}

/** Throws a RangeError for anything but a command that this version knows. */
function parseCommand(content: Buffer): EndpointCommand {
	let value: unknown;
	try {
		value = JSON.parse(content.toString("utf8"));
	} catch (cause) {
		throw new RangeError("command: not JSON", { cause });
	}
	const read = endpointCommand.safeParse(value);
	if (!read.success) throw new RangeError(`command: ${read.error.issues[0]?.message ?? "not understood"}`);
	return read.data;
}

/** Messages that the broker could not route: it returns them, and then confirms them all the same. */
const returnedOf = new WeakMap<ConfirmChannel, Set<string>>();
let sentMessages = 0;

function transmit(
	channel: ConfirmChannel,
	message: OutgoingMessage,
	done: (confirmed: boolean) => void,
	signal: AbortSignal,
): void {
	const body = Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength);
	const messageId = String(++sentMessages);
	try {
		channel.publish(
			message.exchange,
			message.routingKey,
			body,
			{
				mandatory: true,
				messageId,
				persistent: message.persistent,
				contentType: message.contentType,
				timestamp: Math.floor(Date.now() / 1000),
			},
			(error: unknown) => {
				if (!error && !returnedOf.get(channel)?.delete(messageId)) done(true);
				else
					pause(refusedWaitMs, signal).then(
						() => done(false),
						() => undefined,
					);
			},
		);
	} catch {
		// The channel is closing: the message stays in flight, and the loss of the connection, told by its own event, takes it up.
	}
}

function aborted(signal: AbortSignal): Promise<string> {
	if (signal.aborted) return Promise.resolve("stopping");
	return new Promise((resolve) => signal.addEventListener("abort", () => resolve("stopping"), { once: true }));
}

/** The address without user and password, for the log. */
function hostOf(places: Places): string {
	return new URL(places.task_queue_info.connection_url).host;
}
