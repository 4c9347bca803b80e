import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { Fault, relayProtocol, toProblem } from "@errand/proto";
import type { Log } from "../observe/log.ts";
import { sendFault } from "./problem.ts";

/** Node's default for the request line and headers, plus room for large tokens. */
const headerLimitBytes = 32 * 1024;
/** A value of 4 GB over a slow line. */
const requestTimeoutMs = 3_600_000;
/** Nothing sent and nothing received for so long: the peer is gone. Longer than any client waits for a reply. */
const idleTimeoutMs = 120_000;
/** Longer than the 60 s after which common proxies give up, so that they close first. */
const keepAliveTimeoutMs = 75_000;
/** On closing, requests under way may end within this. */
const closeGraceMs = 10_000;
const closeSweepMs = 20;

/** The answer to what Node could not read as a request: there is nothing to write it with but the socket. */
function unreadable(code: string | undefined): string {
	const message =
		code === "HPE_HEADER_OVERFLOW"
			? `The request's path and headers have more than ${headerLimitBytes} bytes: send less.`
			: "This is no HTTP/1.1 request that can be read.";
	const body = JSON.stringify(toProblem(new Fault("REQUEST_MALFORMED", message)));
	const head = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
	return `HTTP/1.1 400 Bad Request\r\n${head}\r\n\r\n${body}`;
}

/** What answers requests. */
interface HttpHandlers {
	readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
	/** WebSocket requests, and those of the relay. */
	readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export interface HttpServer {
	/** The port that was taken. */
	readonly port: number;
	/** `http://<host>:<port>`, of this machine. */
	readonly url: string;
	/** Begins to answer; until then every request is told to come back (NOT_READY). */
	serve(handlers: HttpHandlers): void;
	/** Takes no new connections, lets requests under way end, then ends what is left. */
	close(): Promise<void>;
}

const starting: HttpHandlers = {
	handle: (_request, response) => sendFault(response, new Fault("NOT_READY", "The service is starting: try again.")),
	upgrade: (_request, socket) =>
		socket.end("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
};

/**
 * Takes the port (0: a free one) and listens; what needs to know the port can be made then and given to `serve`.
 * Rejects when the address or port cannot be had, and says which.
 */
export async function openHttpServer(options: { host: string; port: number; log: Log }): Promise<HttpServer> {
	const { host, log } = options;
	let handlers = starting;
	const server = createServer(
		{
			maxHeaderSize: headerLimitBytes,
			requestTimeout: requestTimeoutMs,
			keepAliveTimeout: keepAliveTimeoutMs,
			// Clients that offer HTTP/2 in clear (some do by default) are answered in HTTP/1.1.
			shouldUpgradeCallback: (request) =>
				["websocket", relayProtocol].includes(request.headers.upgrade?.toLowerCase() ?? ""),
		},
		(request, response) => handlers.handle(request, response),
	);
	server.timeout = idleTimeoutMs;
	server.on("upgrade", (request, socket, head) => handlers.upgrade(request, socket, head));
	server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
		log.debug({ code: error.code }, "request could not be read");
		if (socket.writable) socket.end(unreadable(error.code));
		else socket.destroy();
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", (error: NodeJS.ErrnoException) => {
			const why = error.code === "EADDRINUSE" ? "another program has that port" : error.message;
			reject(new Error(`cannot listen on ${host} port ${options.port}: ${why}`, { cause: error }));
		});
		server.listen(options.port, host, resolve);
	});
	const { port } = server.address() as AddressInfo;
	log.info({ host, port }, "listening for HTTP");
	return {
		port,
		url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
		serve(given) {
			handlers = given;
		},
		close: () =>
			new Promise<void>((resolve) => {
				const force = setTimeout(() => server.closeAllConnections(), closeGraceMs);
				// A connection whose last request ends after this would be kept for a next one that nobody answers.
				const sweep = setInterval(() => server.closeIdleConnections(), closeSweepMs);
				server.close(() => {
					clearTimeout(force);
					clearInterval(sweep);
					resolve();
				});
				server.closeIdleConnections();
			}),
	};
}
