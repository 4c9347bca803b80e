/**
 * The port between identity and whoever must know who is calling, and its implementation: signature first, then one
 * look-up whether the token still stands, remembered for a moment.
 */
import { createHash } from "node:crypto";
import { type AccountId, type EndpointId, Fault } from "@errand/proto";
import { decodeJwt, errors } from "jose";
import type { Caller } from "../policy/caller.ts";
import { clientsDomain, domainsOf, type Login } from "../policy/login.ts";
import { holderOfToken, type TokenHolderRow } from "../store/identity.ts";
import type { AccessTokens } from "./access-token.ts";
import type { IdentityDatabase } from "./database.ts";
import type { OperatorToken } from "./operator-token.ts";
import type { OutsideIssuer } from "./outside-issuer.ts";
import { recordKey } from "./records.ts";
import type { ResourceServer } from "./scopes.ts";

export interface TokenVerifier {
	/**
	 * The caller that a bearer token stands for. Rejects with a Fault `INVALID_AUTH_TOKEN` that says why, or
	 * `ENDPOINT_NOT_FOUND` for the key of a deleted endpoint.
	 * Verified tokens are remembered for a few seconds (never past their end): a revoked one dies within `revocationLagMs`.
	 */
	verify(token: string): Promise<Caller>;
}

/** How long a token may be honoured after it was revoked, or its account disabled. */
export const revocationLagMs = 8_000;
/** Tokens remembered at a time; about 1 kB each. */
const rememberedTokens = 20_000;
/** Longer than any token of ours; refused before it is hashed. */
const tokenLimitCharacters = 8_192;

export interface TokenVerifierOptions {
	db: IdentityDatabase;
	tokens: AccessTokens;
	/** Tokens made for another service are refused. */
	audience: ResourceServer;
	operator?: OperatorToken;
	outside?: OutsideIssuer;
	now: () => number;
}

function refused(message: string, cause?: unknown): Fault {
	return new Fault("INVALID_AUTH_TOKEN", message, { cause });
}

/** jose's reasons in words for the caller. */
export function tokenFault(error: unknown): unknown {
	if (error instanceof errors.JWTExpired) {
		return refused("The access token has ended; refresh it or log in again.", error);
	}
	if (error instanceof errors.JWTClaimValidationFailed && error.claim === "aud") {
		return refused("The access token is for another service; get one with this service's scope.", error);
	}
	if (error instanceof errors.JWKSTimeout)
		return new Fault("NOT_READY", "The issuer's keys cannot be read.", { cause: error });
	if (error instanceof errors.JOSEError) return refused("The access token is not valid here; log in again.", error);
	return error;
}

/**
 * Usernames and emails of people are this cloud's administrators' to give. What an outside issuer once said about an
 * account is not looked at: its own tokens say how it is now.
 */
function loginOf({ kind, username, email }: TokenHolderRow, authTimeS: number | undefined): Login {
	const domains = { person: domainsOf(username, email), client: [clientsDomain], outside: [] }[kind];
	return { domains, service: kind === "client", atMs: authTimeS === undefined ? undefined : authTimeS * 1000 };
}

function issuerOf(token: string): string | undefined {
	try {
		return decodeJwt(token).iss;
	} catch (error) {
		throw tokenFault(error);
	}
}

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
	const { db, tokens, audience, operator, outside, now } = options;
	/** In order of first use, oldest first; a promise, so that a burst of requests makes one look-up. */
	const remembered = new Map<string, { caller: Promise<Caller>; untilMs: number; endsAtMs: number }>();

	async function verifyOwn(token: string): Promise<Caller> {
		const claims = await tokens.verify(token, audience).catch((error: unknown) => {
			throw tokenFault(error);
		});
		const holder = await holderOfToken(db, recordKey(claims.recordId), claims.subject);
		if (holder === undefined) throw refused("The access token was revoked; log in again.");
		// All that such a key is still good for: its daemon must know that the endpoint has ended, and not merely its key.
		if (holder.endpoint_deleted)
			throw new Fault("ENDPOINT_NOT_FOUND", `endpoint ${holder.endpoint_id} was deleted; nothing is served under it`, {
				args: [holder.endpoint_id ?? ""],
			});
		return {
			kind: holder.endpoint_id === null ? "account" : "endpoint",
			accountId: holder.account_id as AccountId,
			...(holder.endpoint_id === null ? {} : { endpointId: holder.endpoint_id as EndpointId }),
			username: holder.username,
			admin: holder.admin,
			operator: false,
			scopes: new Set(claims.scope.split(" ")),
			tokenExpiresAtMs: claims.expiresAtS * 1000,
			...(holder.endpoint_id === null && { login: loginOf(holder, claims.authTimeS) }),
		};
	}

	async function verifyNow(token: string): Promise<Caller> {
		if (outside !== undefined && issuerOf(token) === outside.issuer) return await outside.verify(token);
		return await verifyOwn(token);
	}

	return {
		async verify(token) {
			if (token.length > tokenLimitCharacters) throw refused("The access token is not one of ours: it is too long.");
			// Not remembered: whom the operator acts as changes with the first account.
			if (operator?.matches(token) === true) return await operator.caller();
			const key = createHash("sha256").update(token).digest("base64url");
			const known = remembered.get(key);
			if (known !== undefined) {
				if (now() < known.untilMs && now() < known.endsAtMs) return await known.caller;
				remembered.delete(key);
			}
			const entry = {
				caller: verifyNow(token),
				untilMs: now() + revocationLagMs,
				endsAtMs: Number.POSITIVE_INFINITY,
			};
			remembered.set(key, entry);
			if (remembered.size > rememberedTokens) {
				const oldest = remembered.keys().next();
				if (oldest.done !== true) remembered.delete(oldest.value);
			}
			try {
				const caller = await entry.caller;
				entry.endsAtMs = caller.tokenExpiresAtMs;
				return caller;
			} catch (error) {
				// Refusals are not remembered: rubbish must not push good tokens out.
				if (remembered.get(key) === entry) remembered.delete(key);
				throw error;
			}
		},
	};
}
