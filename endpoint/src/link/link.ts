/** The endpoint's side of the stream to its managers: admits those with a block's token, hears them, speaks to them. */

import { Fault, type FunctionId, faults, idToBytes, inlineLimitBytes, type TaskId } from "@errand/proto";
import type {
	BlobChunk,
	BlobReference,
	DaemonMessage,
	Function as FunctionMessage,
	Hello,
	ManagerMessage,
	Report,
	Result,
} from "@errand/proto/wire";
import {
	Metadata,
	Server,
	ServerCredentials,
	type ServerDuplexStream,
	type ServerReadableStream,
	type ServerWritableStream,
	type sendUnaryData,
	status,
} from "@grpc/grpc-js";
import type { Logger } from "../service/logger.ts";
import type { BlobCache } from "./blob-cache.ts";
import type { BlockTokens } from "./block-token.ts";
import type { LinkIdentity } from "./certificate.ts";
import { managerService } from "./manager-service.ts";
import { ManagerSession, type OutgoingTask } from "./manager-session.ts";

export interface LinkLimits {
	/** How often each side says something. */
	readonly pulseIntervalMs: number;
	/** A side that hears nothing for this long gives up the connection. */
	readonly silenceLimitMs: number;
	/** A manager without a daemon for this long ends. */
	readonly orphanLimitMs: number;
}

export const linkDefaults: LinkLimits = { pulseIntervalMs: 5_000, silenceLimitMs: 30_000, orphanLimitMs: 600_000 };

/** A message of either side: 200 results of the inline limit, and room. */
const messageLimitBytes = 128 * 1024 * 1024;

/** What the link tells. Calls come one at a time, each manager's in the order in which it spoke. */
interface LinkEvents {
	/** Returns the tasks that the manager must kill. */
	attached(hello: Hello): TaskId[];
	/** Right after the welcome has been sent: now the manager may be given work. */
	welcomed(managerId: string): void;
	detached(managerId: string, reason: string): void;
	results(managerId: string, results: Result[]): void;
	reports(managerId: string, reports: Report[]): void;
}

export interface LinkOptions {
	readonly host: string;
	/** 0: any. */
	readonly port: number;
	readonly identity: LinkIdentity;
	readonly tokens: BlockTokens;
	readonly blobs: BlobCache;
	readonly events: LinkEvents;
	readonly functionOf: (id: FunctionId) => FunctionMessage | undefined;
	readonly limits: LinkLimits;
	readonly nowMs: () => number;
	readonly log: Logger;
}

export interface Link {
	readonly port: number;
	dispatch(managerId: string, tasks: readonly OutgoingTask[]): void;
	cancel(managerId: string, ids: readonly TaskId[], graceMs: number): void;
	acknowledge(managerId: string, ids: readonly TaskId[]): void;
	drain(managerId: string, reason: string): void;
	/** Ends its connection; it comes back, and is told then what of its tasks is not its own any more. */
	disconnect(managerId: string, reason: string): void;
	/** Says something to the quiet ones, and gives up the silent. Call it about every second. */
	tick(): void;
	/** Managers go on and look for the next daemon. */
	close(): Promise<void>;
}

/** Throws when the port cannot be had. */
export async function openLink(options: LinkOptions): Promise<Link> {
	const { events, tokens, limits, log, nowMs, blobs } = options;
	const sessions = new Map<string, ManagerSession>();
	const server = new Server({
		"grpc.max_receive_message_length": messageLimitBytes,
		"grpc.max_send_message_length": messageLimitBytes,
		"grpc.keepalive_time_ms": 20_000,
		"grpc.keepalive_timeout_ms": 20_000,
	});

	function blockOf(metadata: Metadata): string | undefined {
		const [authorization] = metadata.get("authorization");
		if (typeof authorization !== "string" || !authorization.startsWith("Bearer ")) return undefined;
		return tokens.check(authorization.slice("Bearer ".length));
	}

	const refusal = {
		code: status.UNAUTHENTICATED,
		details: "the block token was not issued by this endpoint",
		metadata: new Metadata(),
	};

	function attach(stream: ServerDuplexStream<ManagerMessage, DaemonMessage>): void {
		const blockId = blockOf(stream.metadata);
		let session: ManagerSession | undefined;
		stream.on("error", () => undefined);
		if (blockId === undefined) {
			log.warn({ peer: stream.getPeer() }, "link: a manager without a valid block token was refused");
			stream.emit("error", refusal);
			return;
		}
		const leave = (reason: string): void => {
			if (!session || sessions.get(session.managerId) !== session) return;
			sessions.delete(session.managerId);
			session.close(true);
			events.detached(session.managerId, reason);
		};
		stream.on("drain", () => session?.drained());
		stream.on("end", () => {
			leave("the manager closed the connection");
			stream.end();
		});
		stream.on("cancelled", () => leave("the connection was lost"));
		stream.on("data", ({ message }: ManagerMessage) => {
			if (!session) {
				if (message.case !== "hello" || message.value.blockId !== blockId) {
					stream.emit("error", {
						code: status.INVALID_ARGUMENT,
						details: "the first message is the Hello of the token's block",
					});
					return;
				}
				session = welcome(stream, message.value);
				return;
			}
			// Another connection of the same manager has taken over.
			if (sessions.get(session.managerId) !== session) return;
			session.lastHeardMs = nowMs();
			if (message.case === "results") events.results(session.managerId, message.value.results);
			else if (message.case === "reports") events.reports(session.managerId, message.value.reports);
		});
	}

	function welcome(stream: ServerDuplexStream<ManagerMessage, DaemonMessage>, hello: Hello): ManagerSession {
		const session = new ManagerSession(
			hello,
			{ write: (message) => stream.write(message), end: () => stream.end(), destroy: () => stream.destroy() },
			options.functionOf,
			nowMs,
		);
		const earlier = sessions.get(hello.managerId);
		if (earlier) {
			sessions.delete(hello.managerId);
			earlier.close(true);
			events.detached(hello.managerId, "it has connected again");
		}
		const unwanted = events.attached(hello);
		sessions.set(hello.managerId, session);
		session.send({
			case: "welcome",
			value: {
				$typeName: "errand.v1.Welcome",
				pulseIntervalMs: limits.pulseIntervalMs,
				silenceLimitMs: limits.silenceLimitMs,
				orphanLimitMs: limits.orphanLimitMs,
				unwantedTaskIds: unwanted.map((id) => idToBytes(id)),
				inlineLimitBytes,
			},
		});
		log.info(
			{
				manager: hello.managerId,
				block: hello.blockId,
				host: hello.host,
				holds: hello.heldTaskIds.length,
				unwanted: unwanted.length,
			},
			"link: a manager has attached",
		);
		events.welcomed(hello.managerId);
		return session;
	}

	async function getBlob(call: ServerWritableStream<BlobReference, BlobChunk>): Promise<void> {
		if (blockOf(call.metadata) === undefined) {
			call.emit("error", refusal);
			return;
		}
		const blob = { sha256: Buffer.from(call.request.sha256).toString("hex"), sizeBytes: call.request.sizeBytes };
		try {
			for await (const data of blobs.read(blob)) {
				if (!call.write({ $typeName: "errand.v1.BlobChunk", data }))
					await new Promise<void>((resolve) => {
						call.once("drain", resolve);
						call.once("cancelled", () => resolve());
					});
				if (call.cancelled) return;
			}
			call.end();
		} catch (error) {
			log.warn({ sha256: blob.sha256, err: error }, "link: a blob could not be handed out");
			call.emit("error", asStatus(error));
		}
	}

	async function putBlob(
		call: ServerReadableStream<BlobChunk, BlobReference>,
		reply: sendUnaryData<BlobReference>,
	): Promise<void> {
		if (blockOf(call.metadata) === undefined) {
			reply(refusal);
			return;
		}
		try {
			const { sha256, sizeBytes } = await blobs.put(dataOf(call));
			reply(null, { $typeName: "errand.v1.BlobReference", sha256: Buffer.from(sha256, "hex"), sizeBytes });
		} catch (error) {
			log.warn({ err: error }, "link: a blob could not be taken");
			reply(asStatus(error));
		}
	}

	server.addService(managerService, { attach, getBlob, putBlob });
	const port = await new Promise<number>((resolve, reject) => {
		const { key, certificate } = options.identity;
		const credentials = ServerCredentials.createSsl(null, [
			{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) },
		]);
		server.bindAsync(`${options.host}:${options.port}`, credentials, (error, bound) =>
			error ? reject(error) : resolve(bound),
		);
	});

	return {
		port,
		dispatch: (managerId, tasks) => sessions.get(managerId)?.dispatch(tasks),
		cancel: (managerId, ids, graceMs) =>
			sessions.get(managerId)?.send({
				case: "cancel",
				value: { $typeName: "errand.v1.CancelTasks", taskIds: ids.map((id) => idToBytes(id)), graceMs },
			}),
		acknowledge: (managerId, ids) => sessions.get(managerId)?.acknowledge(ids),
		drain: (managerId, reason) =>
			sessions.get(managerId)?.send({ case: "drain", value: { $typeName: "errand.v1.Drain", reason } }),
		disconnect(managerId, reason) {
			const session = sessions.get(managerId);
			if (!session) return;
			sessions.delete(managerId);
			session.close(false);
			events.detached(managerId, reason);
		},
		tick() {
			const now = nowMs();
			for (const session of [...sessions.values()]) {
				if (now - session.lastHeardMs > limits.silenceLimitMs) {
					sessions.delete(session.managerId);
					session.close(true);
					events.detached(session.managerId, `nothing was heard of it for ${limits.silenceLimitMs / 1000} s`);
				} else if (now - session.lastSaidMs >= limits.pulseIntervalMs) session.acknowledge([]);
			}
		},
		async close() {
			for (const session of sessions.values()) session.close(false);
			sessions.clear();
			await new Promise<void>((resolve) => {
				const force = setTimeout(() => server.forceShutdown(), 500);
				server.tryShutdown(() => {
					clearTimeout(force);
					resolve();
				});
			});
		},
	};
}

async function* dataOf(call: ServerReadableStream<BlobChunk, BlobReference>): AsyncGenerator<Uint8Array> {
	for await (const chunk of call) yield (chunk as BlobChunk).data;
}

/** The manager tells by the code whether to ask again. */
function asStatus(error: unknown): { code: status; details: string } {
	if (error instanceof Fault)
		return {
			code: faults[error.code].retry ? status.UNAVAILABLE : status.FAILED_PRECONDITION,
			details: `${error.code}: ${error.message}`,
		};
	return { code: status.UNAVAILABLE, details: error instanceof Error ? error.message : String(error) };
}
