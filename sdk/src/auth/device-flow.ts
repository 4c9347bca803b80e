/** Logging in with a code that a person confirms in a browser (RFC 8628). Works in Node and in browsers. */
import { Fault } from "@errand/proto";
import { pause } from "../back-off.ts";
import {
	type CloudAddresses,
	discover,
	normalizeCloudUrl,
	OAuthError,
	postForm,
	readTokenReply,
	type Tokens,
} from "./oauth.ts";

/** What to show to the person. */
export interface DevicePrompt {
	userCode: string;
	verificationUrl: string;
	/** With the code in it. */
	verificationUrlComplete: string;
	expiresInS: number;
}

export interface DeviceLoginRequest {
	cloudUrl: string;
	/** Shows the code; the cloud is asked for the first time when it resolves. */
	onPrompt: (prompt: DevicePrompt) => void | Promise<void>;
	signal?: AbortSignal;
	/** What the confirmation page calls the program that asks; a browser says its own name instead. */
	program?: string;
	/** The password is asked for even where the browser remembers who logged in. */
	fresh?: boolean;
	/** A public client that the cloud knows, and its scopes; the cloud's own for our programs unless given. */
	client?: { readonly id: string; readonly scopes: readonly string[] };
	/** Waits; for tests. */
	sleep?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface DeviceTokens extends Tokens {
	readonly cloudUrl: string;
	readonly addresses: CloudAddresses;
	/** The whole reply of the token endpoint: a cloud gives a token for each of its services. */
	readonly reply: Readonly<Record<string, unknown>>;
}

const grantType = "urn:ietf:params:oauth:grant-type:device_code";
/** Where the server does not say. */
const standardIntervalS = 5;
/** What `slow_down` adds, by the standard. */
const slowDownS = 5;
const outageBackOff = { firstMs: 1_000, mostMs: 30_000 };

/** Why no token will come, in words. */
const refusals: Readonly<Record<string, string>> = {
	access_denied: "The login was denied in the browser.",
	expired_token: "Nobody confirmed the code in time; log in again.",
};

/**
 * Asks the cloud for a login and waits until a person has confirmed it; stores nothing.
 * Rejects with a Fault `USER_UNAUTHENTICATED` when it was denied or not confirmed in time, with the signal's reason
 * when that aborts.
 */
export async function requestDeviceLogin(options: DeviceLoginRequest): Promise<DeviceTokens> {
	const { signal, sleep = pause } = options;
	const cloudUrl = normalizeCloudUrl(options.cloudUrl);
	const addresses = await discover(cloudUrl, signal);
	const { deviceEndpoint, tokenEndpoint } = addresses;
	const { id: clientId, scopes } = options.client ?? { id: addresses.clientId, scopes: addresses.scopes };
	if (deviceEndpoint === undefined) {
		throw new Fault("ROUTE_NOT_FOUND", `The issuer of ${cloudUrl} knows no device login; use a service client.`);
	}
	// A login of the last second; nought is not kept over the pages of the device flow. The age is a matter of OpenID.
	const request =
		options.fresh === true
			? { client_id: clientId, scope: [...new Set([...scopes, "openid"])].join(" "), max_age: "1" }
			: { client_id: clientId, scope: scopes.join(" ") };
	const headers = options.program === undefined ? {} : { "user-agent": options.program.replace(/[^ -~]/g, "?") };
	const reply = await postForm(deviceEndpoint, request, headers, signal);
	const expiresInS = Number(reply.expires_in);
	const deadlineMs = performance.now() + expiresInS * 1000;
	await options.onPrompt({
		userCode: String(reply.user_code),
		verificationUrl: String(reply.verification_uri),
		verificationUrlComplete: String(reply.verification_uri_complete ?? reply.verification_uri),
		expiresInS,
	});

	const form = { grant_type: grantType, client_id: clientId, device_code: String(reply.device_code) };
	let intervalS = Number(reply.interval ?? standardIntervalS);
	let outageMs = 0;
	for (;;) {
		signal?.throwIfAborted();
		try {
			const answer = await postForm(tokenEndpoint, form, {}, signal);
			return { cloudUrl, addresses, ...readTokenReply(answer, Date.now()), reply: answer };
		} catch (error) {
			if (error instanceof OAuthError) {
				if (error.code === "slow_down") intervalS += slowDownS;
				else if (error.code !== "authorization_pending") {
					const message = refusals[error.code] ?? `The login was refused: ${error.message}.`;
					throw new Fault("USER_UNAUTHENTICATED", message, { cause: error });
				}
				outageMs = 0;
			} else if (error instanceof Fault && (error.code === "NOT_READY" || error.code === "TOO_MANY_REQUESTS")) {
				// The person may be typing while the cloud restarts.
				const longerMs = Math.min(Math.max(outageMs * 2, outageBackOff.firstMs), outageBackOff.mostMs);
				outageMs = Math.max(longerMs, (error.retryAfterS ?? 0) * 1000);
			} else throw error;
			const pauseMs = Math.max(intervalS * 1000, outageMs * (1 + Math.random() / 4));
			if (performance.now() + pauseMs > deadlineMs) {
				throw new Fault("USER_UNAUTHENTICATED", refusals.expired_token as string, { cause: error });
			}
			await sleep(pauseMs, signal);
		}
	}
}
