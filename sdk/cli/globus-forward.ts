/**
 * Takes what Globus Compute's programs send to their one address to the cloud, wherever it is. It adds nothing: whoever
 * asks through it needs a token of their own. Only the two addresses of this machine are listened on.
 */
import {
	createServer,
	type IncomingMessage,
	request as plainRequest,
	type Server,
	type ServerResponse,
} from "node:http";
import { request as tlsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { Fault, toProblem } from "@errand/proto";

/** Of one connection to the next; not for whoever comes after it. */
const hopByHop = new Set([
	...["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"],
	...["te", "trailer", "transfer-encoding", "upgrade", "host"],
]);
/** What the programs call; the cloud's pages and its own interface are not offered here. */
const offered = /^\/(v[123]\/|readyz$|healthz$|\.well-known\/openid-configuration$)/;
/** As long as the programs wait themselves. */
const answerTimeoutMs = 60_000;
const loopback = ["127.0.0.1", "::1"];

export interface Forward extends AsyncDisposable {
	readonly port: number;
}

export interface ForwardOptions {
	/** Without a slash at its end. */
	cloudUrl: string;
	/** 0 takes a free one. */
	port: number;
	/** A request that did not get through: why, in words. */
	onTrouble?: (message: string) => void;
}

/** Listens until it is disposed of. Rejects with the error of `listen` (`EADDRINUSE`) when the port is taken. */
export async function openForward(options: ForwardOptions): Promise<Forward> {
	const servers: Server[] = [];
	let { port } = options;
	try {
		for (const host of loopback) {
			const server = createServer((incoming, outgoing) => pass(options, incoming, outgoing));
			if (!(await listen(server, host, port))) continue;
			servers.push(server);
			({ port } = server.address() as AddressInfo);
		}
	} catch (error) {
		await close(servers);
		throw error;
	}
	return { port, [Symbol.asyncDispose]: () => close(servers) };
}

/** False when this machine has no such address. */
async function listen(server: Server, host: string, port: number): Promise<boolean> {
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject).listen(port, host, () => resolve());
		});
		return true;
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") return false;
		throw error;
	}
}

async function close(servers: readonly Server[]): Promise<void> {
	const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
	for (const server of servers) server.closeAllConnections();
	await Promise.all(closed);
}

/** The path that is asked for: as a server is asked, or with the whole address as a proxy is. */
function pathOf(incoming: IncomingMessage, cloudUrl: string): string | undefined {
	const asked = incoming.url ?? "";
	const base = "http://localhost";
	if (!URL.canParse(asked, base)) return undefined;
	const url = new URL(asked, base);
	if (url.hostname !== "localhost" && url.host !== new URL(cloudUrl).host) return undefined;
	return offered.test(url.pathname) ? url.pathname + url.search : undefined;
}

function pass({ cloudUrl, onTrouble }: ForwardOptions, incoming: IncomingMessage, outgoing: ServerResponse): void {
	const path = pathOf(incoming, cloudUrl);
	if (path === undefined) {
		incoming.resume();
		refuse(outgoing, new Fault("ROUTE_NOT_FOUND", `This forwards requests for the interface of ${cloudUrl} only.`));
		return;
	}
	const target = new URL(cloudUrl + path);
	const send = target.protocol === "https:" ? tlsRequest : plainRequest;
	const onward = send(
		target,
		{ method: incoming.method, headers: endToEnd(incoming.headers), timeout: answerTimeoutMs },
		(reply) => {
			outgoing.writeHead(reply.statusCode ?? 502, endToEnd(reply.headers));
			reply.pipe(outgoing);
			reply.on("error", () => outgoing.destroy());
		},
	);
	const fail = (why: string): void => {
		onTrouble?.(`${cloudUrl}: ${why}`);
		if (outgoing.headersSent) outgoing.destroy();
		else refuse(outgoing, new Fault("NOT_READY", `${cloudUrl} does not answer: ${why}`, { retryAfterS: 5 }));
	};
	onward.on("timeout", () => onward.destroy(new Error(`no answer within ${answerTimeoutMs / 1000} s`)));
	onward.on("error", (error) => {
		if (!outgoing.destroyed) fail(error.message || String((error as NodeJS.ErrnoException).code));
	});
	outgoing.on("close", () => onward.destroy());
	incoming.pipe(onward);
}

function endToEnd(headers: IncomingMessage["headers"]): IncomingMessage["headers"] {
	return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name)));
}

function refuse(outgoing: ServerResponse, fault: Fault): void {
	const headers = fault.retryAfterS === undefined ? {} : { "retry-after": String(fault.retryAfterS) };
	outgoing.writeHead(fault.httpStatus, { ...headers, "content-type": "application/json" });
	outgoing.end(JSON.stringify(toProblem(fault)));
}
