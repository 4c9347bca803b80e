/** The WebSocket's door, `GET /v1/stream`: lets readers in, keeps their pulse, shows them out. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { Fault, toProblem } from "@errand/proto";
import { streamClose } from "@errand/proto/rest";
import { WebSocketServer } from "ws";
import type { App } from "../http/app.ts";
import { authenticate, bearerToken } from "../http/authenticate.ts";
import { toFault } from "../http/problem.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Hub } from "./hub.ts";
import { type SessionMeans, StreamSession } from "./session.ts";

/** What a client asks for, and gets back; the token travels beside it where a header cannot be set. */
const protocol = "errand.v1";
const tokenPrefix = "bearer.";

/** Requests are small; the longest is a token. */
const frameLimitBytes = 64 * 1024;
/** Connections of one account: every process of a user has one. */
const connectionLimit = 200;
/** A peer that is not heard for two of these is gone: proxies cut silent connections after 60 s. */
const defaultBeatMs = 25_000;
/** Time enough for a client to refresh its token twice. */
const defaultTokenNoticeMs = 60_000;
/** On closing, readers may say goodbye within this. */
const closeGraceMs = 2_000;

export interface StreamOptions extends Omit<SessionMeans, "tokenNoticeMs" | "limiter"> {
	readonly app: Pick<App, "limiter" | "cors" | "clientOf">;
	readonly metrics: Pick<Metrics, "gauge">;
	readonly beatMs?: number;
	readonly tokenNoticeMs?: number;
}

export interface StreamDoor {
	/** For the HTTP server's upgrade event. */
	upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
	readonly connections: number;
	/** Tells every reader to connect again, and resolves when they are gone. */
	close(): Promise<void>;
}

export function openStream(options: StreamOptions): StreamDoor {
	const { log, app } = options;
	const means: SessionMeans = {
		hub: options.hub,
		operations: options.operations,
		verifier: options.verifier,
		limiter: app.limiter,
		log,
		tokenNoticeMs: options.tokenNoticeMs ?? defaultTokenNoticeMs,
	};
	observeHub(options.hub, options.metrics);
	const server = new WebSocketServer({
		noServer: true,
		clientTracking: false,
		perMessageDeflate: false,
		maxPayload: frameLimitBytes,
		handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
	});
	const sessions = new Set<StreamSession>();
	const gone = new Set<() => void>();
	let closing = false;
	const beat = setInterval(() => {
		for (const session of sessions) void session.beat();
	}, options.beatMs ?? defaultBeatMs).unref();

	async function admit(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
		if (!/^\/v1\/stream(?:\?|$)/.test(request.url ?? "")) {
			throw new Fault("ROUTE_NOT_FOUND", "WebSockets are at /v1/stream.");
		}
		if (closing) throw new Fault("NOT_READY", "The service is stopping: connect again.");
		if (!app.cors.allows(request)) {
			throw new Fault("FORBIDDEN", "Pages of this origin may not use this cloud (ERRAND_CLOUD_CORS_ORIGINS).");
		}
		const { address } = app.clientOf(request);
		const token = tokenOf(request);
		const caller = await authenticate(options.verifier, token).catch((error) => {
			app.limiter.take(`address ${address}`);
			throw error;
		});
		app.limiter.take(`account ${caller.accountId}`);
		let own = 0;
		for (const session of sessions) if (session.accountId === caller.accountId) own++;
		if (own >= connectionLimit) {
			throw new Fault("TOO_MANY_REQUESTS", `One account has at most ${connectionLimit} streams: close some.`, {
				retryAfterS: 10,
			});
		}
		if (socket.destroyed) return;
		server.handleUpgrade(request, socket, head, (connection) => {
			const session = new StreamSession(means, connection, caller, token);
			sessions.add(session);
			log.info({ account: caller.accountId, address, connections: sessions.size }, "stream opened");
			connection.on("close", (code) => {
				sessions.delete(session);
				log.info({ account: caller.accountId, address, code, connections: sessions.size }, "stream closed");
				if (sessions.size === 0) for (const tell of gone) tell();
			});
			if (closing) session.close(streamClose.restarting, "the service stops");
		});
	}

	return {
		get connections() {
			return sessions.size;
		},
		upgrade(request, socket, head) {
			const onError = (error: Error): void => log.debug({ err: error }, "stream request failed");
			socket.on("error", onError);
			admit(request, socket, head).catch((error: unknown) => {
				const requestId = randomUUID();
				const fault = toFault(error, requestId);
				if (fault.httpStatus >= 500) log.error({ requestId, err: fault.cause ?? fault }, "stream request failed");
				refuseUpgrade(socket, fault);
			});
		},
		async close() {
			closing = true;
			clearInterval(beat);
			if (sessions.size === 0) return;
			const all = new Promise<void>((resolve) => gone.add(resolve));
			for (const session of sessions) session.close(streamClose.restarting, "the service stops");
			const force = setTimeout(() => {
				for (const session of sessions) session.terminate();
			}, closeGraceMs);
			await all;
			clearTimeout(force);
		},
	};
}

function observeHub(hub: Hub, metrics: Pick<Metrics, "gauge">): void {
	metrics.gauge("errand_stream_readers", "Open streams", () => hub.stats().readers);
	metrics.gauge("errand_stream_subscriptions", "Followed task groups", () => hub.stats().subscriptions);
	metrics.gauge(
		"errand_stream_dropped_frames",
		"Frames other than results that slow readers missed",
		() => hub.stats().droppedFrames,
	);
	metrics.gauge("errand_stream_buffered_bytes", "What the slowest reader holds", () => hub.stats().bufferedBytes);
}

/** From the header, or from the list of subprotocols. */
function tokenOf(request: IncomingMessage): string {
	const offered = request.headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];
	const carried = offered.find((name) => name.startsWith(tokenPrefix));
	if (request.headers.authorization !== undefined || carried === undefined) return bearerToken(request);
	return carried.slice(tokenPrefix.length);
}

function refuseUpgrade(socket: Duplex, fault: Fault): void {
	const body = JSON.stringify(toProblem(fault));
	const head = [
		`HTTP/1.1 ${fault.httpStatus} Refused`,
		"Content-Type: application/json",
		`Content-Length: ${Buffer.byteLength(body)}`,
		"Connection: close",
	];
	if (fault.retryAfterS !== undefined) head.push(`Retry-After: ${Math.max(1, Math.ceil(fault.retryAfterS))}`);
	socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
