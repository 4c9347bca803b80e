/** What people, operators and orchestrators ask first: what is this, alive, ready, numbers. Not part of the interface's document. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Fault } from "@errand/proto";
import type { TokenVerifier } from "../identity/verify-token.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Operations } from "../operations/operations.ts";
import { bearerToken } from "./authenticate.ts";
import type { Exchange } from "./exchange.ts";
import { landingPage, landingPolicy } from "./landing.ts";
import { sendJson, sendText } from "./send.ts";

/** Answers one of the service's own paths. */
export type ServiceHandler = (exchange: Exchange, request: IncomingMessage, response: ServerResponse) => Promise<void>;

export interface ServiceMeans {
	readonly operations: Pick<Operations, "notReady">;
	readonly verifier: TokenVerifier;
	readonly metrics: Metrics;
	readonly metricsAccess: "loopback" | "operator" | "public";
	/** As clients know this cloud. */
	readonly publicUrl: string;
	/** Of this program. */
	readonly version: string;
}

/** The handlers by path. */
export function serviceHandlers(means: ServiceMeans): Readonly<Record<string, ServiceHandler>> {
	let asking: Promise<string[]> | undefined;
	/** However many ask at once, the parts behind are asked once. */
	const notReady = (): Promise<string[]> => {
		asking ??= means.operations.notReady().finally(() => {
			asking = undefined;
		});
		return asking;
	};
	return {
		"/": async (_exchange, _request, response) => {
			const { version, publicUrl } = means;
			const page = landingPage({ version, publicUrl, missing: await notReady() });
			response.setHeader("Content-Security-Policy", landingPolicy);
			sendText(response, 200, "text/html; charset=utf-8", page);
		},
		"/healthz": async (_exchange, _request, response) => sendJson(response, 200, { status: "ok" }),
		"/readyz": async (_exchange, _request, response) => {
			const missing = await notReady();
			if (missing.length > 0) throw new Fault("NOT_READY", `Not ready: ${missing.join("; ")}.`, { args: missing });
			sendJson(response, 200, { status: "ready" });
		},
		"/metrics": async (exchange, request, response) => {
			await admitToMetrics(means, exchange, request);
			const { contentType, text } = await means.metrics.expose();
			sendText(response, 200, contentType, text);
		},
	};
}

async function admitToMetrics(means: ServiceMeans, exchange: Exchange, request: IncomingMessage): Promise<void> {
	if (means.metricsAccess === "public") return;
	if (means.metricsAccess === "loopback" && exchange.client.loopback) return;
	if (request.headers.authorization !== undefined) {
		const caller = await means.verifier.verify(bearerToken(request));
		exchange.caller = caller;
		if (caller.operator || caller.admin) return;
	}
	throw new Fault("FORBIDDEN", "Metrics are for the operator of this cloud (ERRAND_CLOUD_METRICS_ACCESS).");
}
