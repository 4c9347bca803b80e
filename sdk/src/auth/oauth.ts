/** The requests of OAuth that a client makes, and what comes back. Works in Node and in browsers. */
import { Fault } from "@errand/proto";
import type { CloudDocument } from "@errand/proto/rest";
import { whyUnreachable } from "../unreachable.ts";

/** One request; a token endpoint that takes longer is as good as down. */
const requestTimeoutMs = 20_000;

export interface Tokens {
	readonly accessToken: string;
	readonly refreshToken: string | undefined;
	/** By this machine's clock. */
	readonly expiresAtMs: number;
}

export interface CloudAddresses {
	/** As the cloud says it, which need not be how it was reached. */
	readonly issuer: string;
	readonly clientId: string;
	readonly scopes: readonly string[];
	readonly tokenEndpoint: string;
	readonly deviceEndpoint: string | undefined;
	readonly revocationEndpoint: string | undefined;
}

/** What an authorization server answers when it will not do something. */
export class OAuthError extends Error {
	override readonly name = "OAuthError";
	/** As the standards name it: `invalid_grant`, `authorization_pending`, … */
	readonly code: string;

	constructor(code: string, description: string | undefined) {
		super(description === undefined ? code : `${code}: ${description}`);
		this.code = code;
	}
}

/** `url` with a scheme and without a slash at its end; throws a Fault when it is no address. */
export function normalizeCloudUrl(url: string): string {
	const parsed = URL.canParse(url) ? new URL(url) : undefined;
	if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
		throw new Fault(
			"REQUEST_MALFORMED",
			`${url} is not the address of a cloud; it looks like https://errand.example.org`,
		);
	}
	return (parsed.origin + parsed.pathname).replace(/\/+$/, "");
}

function within(signal: AbortSignal | undefined): AbortSignal {
	const timeout = AbortSignal.timeout(requestTimeoutMs);
	return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

async function request(url: string, init: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
	try {
		return await fetch(url, { ...init, signal: within(signal) });
	} catch (cause) {
		if (signal?.aborted === true) throw signal.reason;
		throw new Fault("NOT_READY", `${new URL(url).origin} does not answer: ${whyUnreachable(cause, requestTimeoutMs)}`, {
			cause,
		});
	}
}

async function readObject(response: Response): Promise<Record<string, unknown>> {
	const text = await response.text();
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
	} catch {
		// Said below, with the status.
	}
	throw new Fault("NOT_READY", `${response.url} answers ${response.status} with something that is not JSON.`);
}

async function getObject(url: string, signal: AbortSignal | undefined): Promise<Record<string, unknown>> {
	const response = await request(url, { headers: { accept: "application/json" } }, signal);
	if (!response.ok) throw new Fault("NOT_READY", `${url} answers ${response.status}; is this an Errand cloud?`);
	return await readObject(response);
}

/**
 * Posts a form; rejects with `OAuthError` when the server refuses, with a Fault `NOT_READY` when it does not
 * answer and `TOO_MANY_REQUESTS` (with `retryAfterS`) when it is asked too often.
 */
export async function postForm(
	url: string,
	form: Readonly<Record<string, string>>,
	headers: Readonly<Record<string, string>> = {},
	signal?: AbortSignal,
): Promise<Record<string, unknown>> {
	const response = await request(
		url,
		{ method: "POST", body: new URLSearchParams(form), headers: { accept: "application/json", ...headers } },
		signal,
	);
	if (response.status === 200 && response.headers.get("content-length") === "0") return {};
	if (response.status === 429) {
		const retryAfterS = Number(response.headers.get("retry-after")) || 5;
		throw new Fault("TOO_MANY_REQUESTS", `${new URL(url).origin} asks to wait ${retryAfterS} s.`, { retryAfterS });
	}
	const body = await readObject(response);
	if (response.ok) return body;
	if (response.status >= 500) throw new Fault("NOT_READY", `${url} answers ${response.status}; try again.`);
	const description = body.error_description ?? body.detail;
	throw new OAuthError(String(body.error ?? body.code), typeof description === "string" ? description : undefined);
}

export function readTokenReply(reply: Record<string, unknown>, nowMs: number): Tokens {
	const { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresInS } = reply;
	if (typeof accessToken !== "string" || typeof expiresInS !== "number") {
		throw new Fault("NOT_READY", "The token endpoint's reply has no access_token or no expires_in.");
	}
	return {
		accessToken,
		refreshToken: typeof refreshToken === "string" ? refreshToken : undefined,
		expiresAtMs: nowMs + expiresInS * 1000,
	};
}

/** How to log in to a cloud: what it says itself, and its issuer's discovery document. */
export async function discover(cloudUrl: string, signal?: AbortSignal): Promise<CloudAddresses> {
	const cloud = (await getObject(`${cloudUrl}/v1/cloud`, signal)) as Partial<CloudDocument>;
	if (typeof cloud.issuer !== "string" || typeof cloud.client_id !== "string" || !Array.isArray(cloud.scopes)) {
		throw new Fault("NOT_READY", `${cloudUrl}/v1/cloud does not say how to log in; is this an Errand cloud?`);
	}
	const issuer = await getObject(`${cloud.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, signal);
	const endpoint = (name: string): string | undefined => {
		const value = issuer[name];
		return typeof value === "string" ? value : undefined;
	};
	const tokenEndpoint = endpoint("token_endpoint");
	if (tokenEndpoint === undefined) throw new Fault("NOT_READY", `The issuer ${cloud.issuer} names no token endpoint.`);
	return {
		issuer: cloud.issuer,
		clientId: cloud.client_id,
		scopes: cloud.scopes,
		tokenEndpoint,
		deviceEndpoint: endpoint("device_authorization_endpoint"),
		revocationEndpoint: endpoint("revocation_endpoint"),
	};
}
