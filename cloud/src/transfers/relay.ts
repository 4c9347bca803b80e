/**
 * Joins the two ends of a transfer where neither can reach the other: each asks for an upgrade of its request, and what
 * one connection brings goes out at the other. The bytes are the agents' own TLS: nothing is kept, and nothing can be read.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { Fault, parseId, type RelaySide, relayProtocol, relaySides, toProblem } from "@errand/proto";
import type { Metrics } from "../observe/metrics.ts";
import type { Log } from "../store/embedded-postgres.ts";
import type { Capabilities } from "./capability.ts";

/** Connections of one end that wait for the other, of one transfer. */
const waitingLimit = 32;
/** All that wait, of all transfers. */
const allWaitingLimit = 4096;
/** An end that has waited so long asks again: whatever is between may have forgotten the connection. */
const waitLimitMs = 50_000;
/** A joined pair on which nothing moves for so long is cut. */
const idleLimitMs = 300_000;

interface Waiting {
	readonly socket: Duplex;
	readonly timer: NodeJS.Timeout;
}

export interface Relay {
	/** Whether the request is for the relay; if so it is taken care of. */
	upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
	close(): void;
}

export function openRelay(options: { capabilities: Capabilities; metrics: Pick<Metrics, "gauge">; log: Log }): Relay {
	const { capabilities, log } = options;
	const waiting = new Map<string, Record<RelaySide, Waiting[]>>();
	const joined = new Set<Duplex>();
	let waitingCount = 0;
	let bytes = 0;
	let closing = false;
	options.metrics.gauge("errand_relay_waiting", "Ends of transfers that wait for the other", () => waitingCount);
	options.metrics.gauge("errand_relay_joined", "Connections that are joined to another", () => joined.size);
	options.metrics.gauge("errand_relay_bytes", "Bytes that went through", () => bytes);

	function admit(request: IncomingMessage): { transfer: string; side: RelaySide } {
		const match = /^\/v1\/transfers\/([^/?]+)\/relay\/(\w+)$/.exec(request.url ?? "");
		const transfer = parseId<never>(match?.[1] ?? "");
		const side = relaySides.find((one) => one === match?.[2]);
		if (transfer === undefined || side === undefined)
			throw new Fault("ROUTE_NOT_FOUND", "The relay is at /v1/transfers/{id}/relay/source and …/destination.");
		if (closing) throw new Fault("NOT_READY", "The service is stopping: connect again.");
		const token = /^Bearer ([\w-]{20,100})$/.exec(request.headers.authorization ?? "")?.[1];
		if (token === undefined || !capabilities.holds(`relay-${side}`, transfer, token, Date.now()))
			throw new Fault("INVALID_AUTH_TOKEN", "The relay token is not good for this end of this transfer, or has ended.");
		return { transfer, side };
	}

	function take(transfer: string, side: RelaySide, socket: Duplex): void {
		const ends = waiting.get(transfer) ?? { source: [], destination: [] };
		waiting.set(transfer, ends);
		const other = ends[side === "source" ? "destination" : "source"].shift();
		if (other !== undefined) {
			forget(transfer, other);
			join(socket, other.socket);
			return;
		}
		if (ends[side].length >= waitingLimit || waitingCount >= allWaitingLimit) {
			socket.destroy();
			return;
		}
		const entry: Waiting = { socket, timer: setTimeout(() => socket.destroy(), waitLimitMs).unref() };
		waitingCount++;
		ends[side].push(entry);
		socket.once("close", () => {
			const at = ends[side].indexOf(entry);
			if (at < 0) return;
			ends[side].splice(at, 1);
			forget(transfer, entry);
		});
	}

	function forget(transfer: string, entry: Waiting): void {
		clearTimeout(entry.timer);
		waitingCount--;
		const ends = waiting.get(transfer);
		if (ends !== undefined && ends.source.length + ends.destination.length === 0) waiting.delete(transfer);
	}

	function join(one: Duplex, other: Duplex): void {
		for (const [from, to] of [
			[one, other],
			[other, one],
		] as const) {
			joined.add(from);
			from.on("data", (chunk: Buffer) => {
				bytes += chunk.length;
			});
			from.pipe(to);
			from.once("close", () => {
				joined.delete(from);
				to.destroy();
			});
			if ("setTimeout" in from && typeof from.setTimeout === "function")
				from.setTimeout(idleLimitMs, () => from.destroy());
		}
	}

	return {
		upgrade(request, socket, head) {
			if (request.headers.upgrade?.toLowerCase() !== relayProtocol) return false;
			socket.on("error", (error: Error) => log.debug({ reason: error.message }, "relay: a connection failed"));
			try {
				const { transfer, side } = admit(request);
				if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true);
				if ("setTimeout" in socket && typeof socket.setTimeout === "function") socket.setTimeout(0);
				socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${relayProtocol}\r\n\r\n`);
				if (head.length > 0) socket.unshift(head);
				take(transfer, side, socket);
			} catch (error) {
				if (!(error instanceof Fault)) throw error;
				refuse(socket, error);
			}
			return true;
		},
		close() {
			closing = true;
			for (const ends of waiting.values())
				for (const { socket } of [...ends.source, ...ends.destination]) socket.destroy();
			for (const socket of joined) socket.destroy();
		},
	};
}

function refuse(socket: Duplex, fault: Fault): void {
	const body = JSON.stringify(toProblem(fault));
	socket.end(
		`HTTP/1.1 ${fault.httpStatus} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
	);
}
