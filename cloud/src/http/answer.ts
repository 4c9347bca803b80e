/** The one way in which a route answers a request: who, how often, what, call, reply. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Fault, parseId } from "@errand/proto";
import type * as z from "zod";
import type { TokenVerifier } from "../identity/verify-token.ts";
import type { Log } from "../observe/log.ts";
import { bearerToken, requireComputeScope, requireProjectsScope } from "./authenticate.ts";
import { type BodyLimit, type BodyReader, contentLength, RequestAborted, refuseUnstorable } from "./body.ts";
import { type Exchange, exchangeOf } from "./exchange.ts";
import { faultOfIssues, sendFault, toFault } from "./problem.ts";
import type { RateLimiter } from "./rate-limit.ts";
import type { Route } from "./route.ts";
import { sendJson } from "./send.ts";

/** What answering needs of the outside. */
export interface AnswerMeans {
	readonly verifier: TokenVerifier;
	/** Of tokens for the identity service. */
	readonly authVerifier: TokenVerifier;
	readonly limiter: RateLimiter;
	readonly bodies: BodyReader;
	readonly log: Log;
	/** Check each reply against its schema, and fail the request when it does not fit. For development and tests. */
	readonly checkReplies: boolean;
}

/** Bodies of routes that say nothing else: the longest is a list of 20,000 task ids. */
const usualLimit: BodyLimit = { bytes: 1024 * 1024, code: "TASK_PAYLOAD_TOO_LARGE" };

/** The rest of a refused body that is read and thrown away to keep the connection; beyond it the connection ends. */
const discardLimitBytes = 16 * 1024 * 1024;

/** Answers; never rejects. */
export async function answer(
	means: AnswerMeans,
	route: Route,
	params: Readonly<Record<string, unknown>>,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	const exchange = exchangeOf(request);
	exchange.route = route.path;
	try {
		const caller = await admit(means, route, exchange, request);
		const input = {
			params: parse("path", route.params, params),
			query: parse("query", route.query, route.query === undefined ? undefined : queryOf(request)),
			idempotencyKey: route.idempotent === true ? idempotencyKey(request) : undefined,
			body: undefined as unknown,
		};
		if (route.answer.kind === "bytes") {
			await route.answer.serve(caller as NonNullable<typeof caller>, input as never, request, response);
			return;
		}
		if (route.body !== undefined) {
			const body = await means.bodies.json(request, route.bodyLimit ?? usualLimit);
			if (body === undefined) throw new Fault("REQUEST_MALFORMED", "The request has no body: send a JSON object.");
			refuseUnstorable(body, route.opaque);
			input.body = parse("body", route.body, body);
		}
		const reply = await route.answer.call(caller, input);
		if (means.checkReplies) route.reply?.parse(reply);
		sendJson(response, 200, reply);
	} catch (error) {
		refuse(means.log, exchange, request, response, error);
	}
}

/** Answers with what was thrown, and logs what only the operator should read. */
export function refuse(
	log: Log,
	exchange: Exchange,
	request: IncomingMessage,
	response: ServerResponse,
	error: unknown,
): void {
	if (error instanceof RequestAborted || request.errored !== null) {
		exchange.fault = "ABORTED";
		response.destroy();
		return;
	}
	const fault = toFault(error, exchange.requestId);
	exchange.fault = fault.code;
	if (fault.httpStatus >= 500) {
		log.error({ requestId: exchange.requestId, route: exchange.route, err: fault.cause ?? fault }, "request failed");
	}
	const restBytes = request.complete ? 0 : (contentLength(request) ?? Number.POSITIVE_INFINITY);
	if (restBytes > discardLimitBytes && !response.headersSent) response.setHeader("Connection", "close");
	sendFault(response, fault);
}

/** Who calls, checked and counted. Whoever does not say is counted by address: guessing tokens is no faster than using one. */
async function admit(means: AnswerMeans, route: Route, exchange: Exchange, request: IncomingMessage) {
	if (route.access === "open") {
		means.limiter.take(`address ${exchange.client.address}`);
		return undefined;
	}
	try {
		const ofProjects = route.access === "projects";
		const caller = await (ofProjects ? means.authVerifier : means.verifier).verify(bearerToken(request));
		exchange.caller = caller;
		if (ofProjects) requireProjectsScope(caller);
		else requireComputeScope(caller);
		means.limiter.take(`account ${caller.accountId}`);
		return caller;
	} catch (error) {
		if (exchange.caller === undefined) means.limiter.take(`address ${exchange.client.address}`);
		throw error;
	}
}

function parse(where: "path" | "query" | "body", schema: z.ZodType | undefined, value: unknown): unknown {
	if (schema === undefined) return undefined;
	const parsed = schema.safeParse(value);
	if (!parsed.success) throw faultOfIssues(where, parsed.error);
	return parsed.data;
}

/** Text by name; a list where a name comes more than once. */
function queryOf(request: IncomingMessage): Record<string, string | string[]> {
	const url = request.url ?? "";
	const mark = url.indexOf("?");
	const query: Record<string, string | string[]> = Object.create(null);
	if (mark < 0) return query;
	for (const [name, value] of new URLSearchParams(url.slice(mark + 1))) {
		const before = query[name];
		if (before === undefined) query[name] = value;
		else if (Array.isArray(before)) before.push(value);
		else query[name] = [before, value];
	}
	return query;
}

function idempotencyKey(request: IncomingMessage): string | undefined {
	const header = request.headers["idempotency-key"];
	if (header === undefined) return undefined;
	const key = typeof header === "string" ? parseId<never>(header.trim()) : undefined;
	if (key === undefined) throw new Fault("REQUEST_MALFORMED", "The header Idempotency-Key is not a UUID.");
	return key;
}
