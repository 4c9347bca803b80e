/** Everything that HTTP requests meet, in order: id, headers, hot routes, and Express with the rest. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Fault } from "@errand/proto";
import express, { type ErrorRequestHandler, type RequestHandler, type Router } from "express";
import * as z from "zod";
import type { CloudConfig } from "../config.ts";
import type { TokenVerifier } from "../identity/verify-token.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Operations } from "../operations/operations.ts";
import { type AnswerMeans, answer, refuse } from "./answer.ts";
import { BodyReader } from "./body.ts";
import { type ClientAddress, clientAddressReader } from "./client-address.ts";
import { type Cors, corsFor } from "./cors.ts";
import { beginExchange, type Exchange, exchangeOf } from "./exchange.ts";
import { expressPath, hotMatcher } from "./match.ts";
import { identityRoutes, openApiDocument } from "./openapi.ts";
import { RateLimiter } from "./rate-limit.ts";
import { openRoute, type Route } from "./route.ts";
import { routeTable } from "./routes/table.ts";
import { type ServiceHandler, serviceHandlers } from "./service.ts";

export interface AppOptions {
	readonly operations: Operations;
	readonly verifier: TokenVerifier;
	/** Of tokens for the identity service. */
	readonly authVerifier: TokenVerifier;
	/** Login pages, token routes and accounts: whatever the table does not have. */
	readonly identityRouter: Router;
	readonly log: Log;
	readonly metrics: Metrics;
	readonly config: Pick<CloudConfig, "rateLimit" | "trustedProxies" | "corsOrigins" | "metricsAccess">;
	/** As clients know it, without a trailing slash. */
	readonly publicUrl: string;
	/** Of this program. */
	readonly version: string;
	/** Check every reply against its schema: for development and tests. */
	readonly checkReplies?: boolean;
}

/** The HTTP side of the cloud. */
export interface App {
	/** For `http.createServer`. */
	readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
	readonly routes: readonly Route[];
	/** What the WebSocket's door needs of the same rules. */
	readonly limiter: RateLimiter;
	readonly cors: Cors;
	readonly clientOf: (request: IncomingMessage) => ClientAddress;
}

export function createApp(options: AppOptions): App {
	const { log, metrics, publicUrl } = options;
	const table = routeTable(options.operations, options.version);
	let document: Record<string, unknown> | undefined;
	const routes: readonly Route[] = [
		...table,
		openRoute({
			method: "GET",
			path: "/v1/openapi.json",
			summary: "This document",
			reply: z.looseObject({ openapi: z.literal("3.1.0") }),
			handle: async () => {
				document ??= openApiDocument(routes, options.version, publicUrl);
				return document as { openapi: "3.1.0" };
			},
		}),
	];
	const limiter = new RateLimiter(options.config.rateLimit);
	const clients = clientAddressReader(options.config.trustedProxies);
	const cors = corsFor(options.config.corsOrigins, new URL(publicUrl).origin);
	const means: AnswerMeans = {
		verifier: options.verifier,
		authVerifier: options.authVerifier,
		limiter,
		bodies: new BodyReader(),
		log,
		checkReplies: options.checkReplies ?? false,
	};
	const services = serviceHandlers({ ...options, metricsAccess: options.config.metricsAccess });
	const rest = composeExpress(options, routes, means, services, clients.isTrusted);
	const hot = hotMatcher(routes);
	const setHeaders = securityHeaders(publicUrl);

	return {
		routes,
		limiter,
		cors,
		clientOf: clients.read,
		handle(request, response) {
			const exchange = beginExchange(request, response, clients.read(request));
			setHeaders(response);
			response.once("close", () => account(log, metrics, exchange, request, response));
			if (cors.apply(request, response)) return;
			const match = hot(request.method ?? "", request.url ?? "");
			if (match === undefined) rest(request, response);
			else void answer(means, match.route, match.params, request, response);
		},
	};
}

function composeExpress(
	options: AppOptions,
	routes: readonly Route[],
	means: AnswerMeans,
	services: Readonly<Record<string, ServiceHandler>>,
	isTrusted: (address: string) => boolean,
): express.Express {
	const app = express();
	app.disable("x-powered-by").disable("etag").set("query parser", false).set("trust proxy", isTrusted);
	for (const [path, handler] of Object.entries(services)) {
		app.get(path, async (request, response) => {
			const exchange = exchangeOf(request);
			exchange.route = path;
			means.limiter.take(`address ${exchange.client.address}`);
			await handler(exchange, request, response);
		});
	}
	for (const row of routes) {
		const method = row.method.toLowerCase() as Lowercase<Route["method"]>;
		app[method](expressPath(row.path), (request, response) => answer(means, row, request.params, request, response));
	}
	app.use((request, _response, next) => {
		means.limiter.take(`address ${exchangeOf(request).client.address}`);
		next();
	});
	app.use(options.identityRouter);
	for (const [path, methods] of methodsByPath([...routes, ...identityRoutes], Object.keys(services))) {
		app.all(expressPath(path), wrongMethod(path, methods));
	}
	app.use((request) => {
		throw new Fault(
			"ROUTE_NOT_FOUND",
			`There is nothing at ${request.method} ${request.path.slice(0, 128)}: the routes are listed at /v1/openapi.json.`,
		);
	});
	const onError: ErrorRequestHandler = (error, request, response, _next) =>
		refuse(options.log, exchangeOf(request), request, response, error);
	app.use(onError);
	return app;
}

function methodsByPath(
	routes: readonly Pick<Route, "path" | "method">[],
	services: readonly string[],
): Map<string, Set<string>> {
	const methods = new Map<string, Set<string>>();
	const add = (path: string, method: string): void => {
		const known = methods.get(path) ?? new Set();
		methods.set(path, known.add(method));
		if (method === "GET") known.add("HEAD");
	};
	for (const row of routes) add(row.path, row.method);
	for (const path of services) add(path, "GET");
	return methods;
}

function wrongMethod(path: string, methods: ReadonlySet<string>): RequestHandler {
	const allowed = [...methods].join(", ");
	return (request, response) => {
		exchangeOf(request).route = path;
		response.setHeader("Allow", allowed);
		throw new Fault("METHOD_NOT_ALLOWED", `${path} does not take ${request.method}: use ${allowed}.`, {
			args: [...methods],
		});
	};
}

/** Pages set their own policy over this one. */
function securityHeaders(publicUrl: string): (response: ServerResponse) => void {
	const secure = publicUrl.startsWith("https:");
	return (response) => {
		response.setHeader("X-Content-Type-Options", "nosniff");
		response.setHeader("Cache-Control", "no-store");
		response.setHeader("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
		response.setHeader("Referrer-Policy", "no-referrer");
		if (secure) response.setHeader("Strict-Transport-Security", "max-age=31536000");
	};
}

/** One line and one observation for each request: no query (it may hold codes), no headers, no body. */
function account(
	log: Log,
	metrics: Metrics,
	exchange: Exchange,
	request: IncomingMessage,
	response: ServerResponse,
): void {
	const durationMs = performance.now() - exchange.startedAtMs;
	const method = request.method ?? "";
	const status = response.headersSent ? response.statusCode : 0;
	metrics.request(method, exchange.route, status, durationMs / 1000);
	log.info(
		{
			requestId: exchange.requestId,
			method,
			path: (request.url ?? "").split("?", 1)[0]?.slice(0, 256),
			route: exchange.route,
			status,
			durationMs: Math.round(durationMs * 100) / 100,
			account: exchange.caller?.accountId,
			endpoint: exchange.caller?.endpointId,
			address: exchange.client.address,
			fault: exchange.fault,
			aborted: response.writableFinished ? undefined : true,
		},
		"request",
	);
}
