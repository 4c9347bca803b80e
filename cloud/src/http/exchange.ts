import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Caller } from "../policy/caller.ts";
import type { ClientAddress } from "./client-address.ts";

/** One request under way: what the access log, the metrics and the error reply say about it. */
export interface Exchange {
	readonly requestId: string;
	readonly client: ClientAddress;
	readonly startedAtMs: number;
	/** The template of the route that answers; `other` until one does. */
	route: string;
	caller: Caller | undefined;
	/** The code of the fault that was answered. */
	fault: string | undefined;
}

const exchanges = new WeakMap<IncomingMessage, Exchange>();

/** A caller may name its request, so that its logs and ours can be joined. */
const givenId = /^[\w.-]{8,64}$/;

/** Begins the exchange of a request and tells the client its id. */
export function beginExchange(request: IncomingMessage, response: ServerResponse, client: ClientAddress): Exchange {
	const given = request.headers["x-request-id"];
	const requestId = typeof given === "string" && givenId.test(given) ? given : randomUUID();
	const exchange: Exchange = {
		requestId,
		client,
		startedAtMs: performance.now(),
		route: "other",
		caller: undefined,
		fault: undefined,
	};
	exchanges.set(request, exchange);
	response.setHeader("X-Request-Id", requestId);
	return exchange;
}

/** The exchange that {@link beginExchange} made for this request. */
export function exchangeOf(request: IncomingMessage): Exchange {
	const exchange = exchanges.get(request);
	if (exchange === undefined) throw new Error("a request reached a route without an exchange");
	return exchange;
}
