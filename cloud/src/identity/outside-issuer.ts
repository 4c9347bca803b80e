/** Tokens of an issuer that somebody else runs: Keycloak, CILogon, Globus Auth. Its subjects get accounts on first sight. */
import { type AccountId, Fault, newId } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import { createRemoteJWKSet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Logger } from "pino";
import type { Caller } from "../policy/caller.ts";
import { domainsOf, type Login } from "../policy/login.ts";
import { type AccountRow, accountByOutsideSubject, insertOutsideAccount, updateProfile } from "../store/identity.ts";
import type { IdentityDatabase } from "./database.ts";
import { tokenFault } from "./verify-token.ts";

export interface OutsideIssuerConfig {
	/** Exactly as its tokens and its discovery document spell it. */
	issuer: string;
	/** What its tokens must be made for. */
	audience: string;
	/** Which claims say what; the standard ones if not given. */
	claims?: { username?: string; name?: string; email?: string; scope?: string };
	/** A scope or role that its tokens must carry; none if not given. */
	requiredScope?: string | undefined;
	/** Subjects who administer this cloud. */
	administrators?: readonly string[];
}

export interface OutsideIssuer {
	readonly issuer: string;
	/** Rejects with `INVALID_AUTH_TOKEN`, `INSUFFICIENT_AUTH_SCOPE`, or `NOT_READY` while the issuer does not answer. */
	verify(token: string): Promise<Caller>;
}

/** Public-key signatures only: with a shared secret the issuer's public key could be used to forge. */
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
const fetchTimeoutMs = 5_000;
/** After a failed discovery the next try waits this long, so that callers cannot make us hammer the issuer. */
const discoveryPauseMs = 2_000;
const usernameLimitCharacters = 128;
const emailLimitCharacters = 256;

interface Options {
	db: IdentityDatabase;
	config: OutsideIssuerConfig;
	log: Pick<Logger, "info" | "warn">;
	now: () => number;
}

export function openOutsideIssuer({ db, config, log, now }: Options): OutsideIssuer {
	const { issuer, audience } = config;
	let keys: Promise<JWTVerifyGetKey> | undefined;
	let failedAtMs = Number.NEGATIVE_INFINITY;

	async function discover(): Promise<JWTVerifyGetKey> {
		const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
		const response = await fetch(url, { signal: AbortSignal.timeout(fetchTimeoutMs), redirect: "error" });
		if (!response.ok) throw new Error(`${url} answers ${response.status}`);
		const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown };
		if (document.issuer !== issuer) throw new Error(`${url} names the issuer ${String(document.issuer)}`);
		return createRemoteJWKSet(new URL(String(document.jwks_uri)), { timeoutDuration: fetchTimeoutMs });
	}

	async function loadKeys(): Promise<JWTVerifyGetKey> {
		if (keys === undefined && now() - failedAtMs >= discoveryPauseMs) keys = discover();
		try {
			if (keys === undefined) throw new Error("asked a moment ago");
			return await keys;
		} catch (cause) {
			if (keys !== undefined) {
				failedAtMs = now();
				log.warn({ issuer, err: cause }, "outside issuer does not answer");
			}
			keys = undefined;
			throw new Fault("NOT_READY", `The issuer ${issuer} does not answer; try again.`, { retryAfterS: 5, cause });
		}
	}

	async function verifiedClaims(token: string): Promise<JWTPayload> {
		const find = await loadKeys();
		try {
			const { payload } = await jwtVerify(token, find, {
				issuer,
				audience,
				algorithms,
				requiredClaims: ["sub", "exp"],
				currentDate: new Date(now()),
			});
			return payload;
		} catch (error) {
			throw tokenFault(error);
		}
	}

	function text(claims: JWTPayload, name: string): string {
		const value = claims[name];
		return typeof value === "string" ? value.slice(0, 256) : "";
	}

	function scopesOf(claims: JWTPayload): ReadonlySet<string> {
		const value = claims[config.claims?.scope ?? "scope"] ?? claims.scp;
		return new Set(Array.isArray(value) ? value.map(String) : String(value ?? "").split(" "));
	}

	/** An email that the issuer itself says nobody has proved to own counts for nothing: logins and identity maps go by it. */
	function emailOf(claims: JWTPayload): string {
		const email = claims[config.claims?.email ?? "email"];
		return typeof email === "string" && claims.email_verified !== false ? email : "";
	}

	function loginOf(claims: JWTPayload): Login {
		// Whole: what is left of a cut one may end in another domain.
		const whole = (name: string): string => (typeof claims[name] === "string" ? claims[name] : "");
		const username = whole(config.claims?.username ?? "preferred_username");
		const email = emailOf(claims);
		const { auth_time: at } = claims;
		return {
			domains: domainsOf(username, email),
			service: false,
			atMs: typeof at === "number" ? at * 1000 : undefined,
		};
	}

	/** The issuer's host is part of the name, so that no outside "admin" looks like the local one. */
	function usernameOf(claims: JWTPayload): string {
		const host = new URL(issuer).host;
		const claimed = text(claims, config.claims?.username ?? "preferred_username") || text(claims, "sub");
		const safe = claimed.replace(/[^a-zA-Z0-9._@-]/g, "_").slice(0, usernameLimitCharacters - host.length - 1);
		return `${safe}@${host}`;
	}

	async function accountOf(claims: JWTPayload): Promise<AccountRow> {
		const subject = claims.sub as string;
		const existing = await accountByOutsideSubject(db, issuer, subject);
		if (existing !== undefined) return existing;
		const id = newId<AccountId>();
		const name = text(claims, config.claims?.name ?? "name");
		const claimed = emailOf(claims);
		// None rather than a part: what is left of a cut one may be somebody else's.
		const email = claimed.length <= emailLimitCharacters ? claimed : "";
		const wanted = usernameOf(claims);
		// Another subject of that issuer may have had the name before: then the id tells them apart.
		for (const username of [wanted, `${wanted.slice(0, usernameLimitCharacters - 9)}.${id.slice(0, 8)}`]) {
			if (await insertOutsideAccount(db, { id, username, name, email }, issuer, subject)) {
				log.info({ account: id, username, issuer }, "account made for an outside subject");
			}
			const made = await accountByOutsideSubject(db, issuer, subject);
			if (made !== undefined) return made;
		}
		throw new Error(`no account could be made for ${subject} of ${issuer}`);
	}

	return {
		issuer,
		async verify(token) {
			const claims = await verifiedClaims(token);
			const scopes = scopesOf(claims);
			if (config.requiredScope !== undefined && !scopes.has(config.requiredScope)) {
				throw new Fault(
					"INSUFFICIENT_AUTH_SCOPE",
					`The access token lacks ${config.requiredScope}; ask ${issuer} for it.`,
					{
						args: [config.requiredScope],
					},
				);
			}
			const account = await accountOf(claims);
			if (account.disabled_at !== null)
				throw new Fault("INVALID_AUTH_TOKEN", `The account ${account.username} is closed.`);
			const admin = config.administrators?.includes(claims.sub as string) === true;
			if (admin !== account.admin) await updateProfile(db, account.id, { ...account, admin });
			return {
				kind: "account",
				accountId: account.id as AccountId,
				username: account.username,
				admin,
				operator: false,
				// Who presents a token made for this cloud may use this cloud.
				scopes: new Set([...scopes, computeScope]),
				tokenExpiresAtMs: (claims.exp as number) * 1000,
				login: loginOf(claims),
			};
		},
	};
}
