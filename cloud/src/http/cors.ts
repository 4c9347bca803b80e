import type { IncomingMessage, ServerResponse } from "node:http";

/** Who may use the interface from a web page. */
export interface Cors {
	/** Whether a page of this origin may; requests without an origin are not a browser's and always may. */
	allows(request: IncomingMessage): boolean;
	/** Sets the reply's headers; true when the request was a preflight and has been answered. */
	apply(request: IncomingMessage, response: ServerResponse): boolean;
}

/** The provider's own endpoints decide for themselves, and pages with cookies are nobody else's business. */
const ours = /^\/v[123]\/(?!oauth2\/|web\/)/;
const preflightAgeS = "600";

/**
 * `origins`: those that may, or `*`. Tokens travel in the Authorization header only, so cookies are never allowed.
 * `publicOrigin` is our own.
 */
export function corsFor(origins: readonly string[], publicOrigin: string | undefined): Cors {
	const any = origins.includes("*");
	const allowed = new Set(origins);
	const allows = (request: IncomingMessage): boolean => {
		const origin = request.headers.origin;
		if (origin === undefined || any || allowed.has(origin) || origin === publicOrigin) return true;
		return URL.canParse(origin) && new URL(origin).host === request.headers.host;
	};
	return {
		allows,
		apply(request, response) {
			const origin = request.headers.origin;
			if (origin === undefined || !ours.test(request.url ?? "")) return false;
			response.setHeader("Vary", "Origin");
			const preflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
			if (allows(request)) {
				response.setHeader("Access-Control-Allow-Origin", any ? "*" : origin);
				response.setHeader("Access-Control-Expose-Headers", "Retry-After, X-Request-Id, ETag");
				if (preflight) {
					response.setHeader("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
					response.setHeader(
						"Access-Control-Allow-Headers",
						"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-Id",
					);
					response.setHeader("Access-Control-Max-Age", preflightAgeS);
				}
			}
			if (!preflight) return false;
			response.statusCode = 204;
			response.end();
			return true;
		},
	};
}
