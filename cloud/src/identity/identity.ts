/** Identity put together: the provider, its keys, the accounts, and the verifier that everything else asks. */
import { readFile } from "node:fs/promises";
import { resourceServers } from "@errand/proto/rest";
import type { Router } from "express";
import type { Logger } from "pino";
import { deleteExpiredRecords, keepSecret } from "../store/identity.ts";
import { createAccessTokens } from "./access-token.ts";
import { type Accounts, createAccounts } from "./accounts.ts";
import type { IdentityDatabase } from "./database.ts";
import { LoginLimit } from "./login-limit.ts";
import { openOperatorToken } from "./operator-token.ts";
import { type OutsideIssuerConfig, openOutsideIssuer } from "./outside-issuer.ts";
import { createProvider, defaultLifetimes, type TokenLifetimes } from "./provider.ts";
import { identityRouter } from "./routes.ts";
import { newSecret } from "./secret.ts";
import { openSigningKeys } from "./signing-keys.ts";
import { createTokenVerifier, type TokenVerifier } from "./verify-token.ts";

export interface IdentityOptions {
	db: IdentityDatabase;
	/** Where people and clients reach this cloud; the `iss` of its tokens. */
	issuerUrl: string;
	/** Holds the operator's token. Made 0700 if it is not there. */
	stateDirectory: string;
	log: Pick<Logger, "debug" | "info" | "warn" | "error">;
	/** Of this cloud, for `GET /v1/cloud`. */
	version: string;
	/** Unix milliseconds. The provider itself always looks at the real clock. */
	clock?: () => number;
	outsideIssuer?: OutsideIssuerConfig;
	lifetimes?: Partial<TokenLifetimes>;
	/** Web origins whose pages may log people in, or `*`; only our own unless given. */
	webOrigins?: readonly string[];
}

export interface Identity {
	/** For the root of the application: its paths are absolute. */
	readonly router: Router;
	/** Of tokens for the compute service. */
	readonly verifier: TokenVerifier;
	/** Of tokens for the identity service itself. */
	readonly authVerifier: TokenVerifier;
	readonly accounts: Accounts;
	/** A new signing key now, for instance because the old one leaked; tokens that it signed stay good until they end. */
	rotateKeys(): Promise<void>;
	close(): Promise<void>;
}

const keyAgeLimitMs = 30 * 86_400_000;
/** Signatures that another process makes with the old key before it notices the new one. */
const keyOverlapMs = 3_600_000;
const housekeepingIntervalMs = 60_000;
/** Records are kept this long after their end: the provider says "expired" then instead of "unknown". */
const expiredRecordMs = 86_400_000;

export async function openIdentity(options: IdentityOptions): Promise<Identity> {
	const { db, stateDirectory, log } = options;
	const now = options.clock ?? Date.now;
	const issuerUrl = new URL(options.issuerUrl).href.replace(/\/$/, "");
	const lifetimes = { ...defaultLifetimes, ...options.lifetimes };
	const tokenLifetimeMs = lifetimes.accessTokenS * 1000 + keyOverlapMs;

	const keys = await openSigningKeys({ db, log, now, tokenLifetimeMs });
	const tokens = createAccessTokens(issuerUrl, keys, now);
	const accounts = createAccounts(db, now);
	const operator = await openOperatorToken(stateDirectory, db, now);
	const cookieKey = (await keepSecret(db, "cookies", Buffer.from(newSecret()))).toString();
	const styleSheet = await readFile(new URL("../web/identity.css", import.meta.url), "utf8");
	const outside =
		options.outsideIssuer === undefined
			? undefined
			: openOutsideIssuer({ db, config: options.outsideIssuer, log, now });

	// 2.5 × 10^10 codes stand against 20 wrong tries and one more every 6 s.
	const codeTries = new LoginLimit({ burst: 20, forgiveMs: 6_000, keys: 50_000, now });
	const onWrongCode = (address: string): void => codeTries.failed(address);
	const origins = new Set([new URL(issuerUrl).origin, ...(options.webOrigins ?? [])]);
	const allowsOrigin = (origin: string): boolean => origins.has("*") || origins.has(origin);
	const make = () =>
		createProvider({ db, issuerUrl, keys, tokens, allowsOrigin, cookieKey, lifetimes, onWrongCode, log });
	let provider = make();
	keys.onChange(() => {
		provider = make();
	});

	const verifier = createTokenVerifier({
		db,
		tokens,
		audience: resourceServers.compute,
		operator,
		...(outside === undefined ? {} : { outside }),
		now,
	});
	const authVerifier = createTokenVerifier({ db, tokens, audience: resourceServers.auth, now });
	const router = identityRouter({
		db,
		issuerUrl,
		version: options.version,
		provider: () => provider,
		keys,
		tokens,
		accounts,
		verifiers: { compute: verifier, auth: authVerifier },
		codeTries,
		styleSheet,
		log,
	});

	let housekeeping: Promise<void> = Promise.resolve();
	async function keepHouse(): Promise<void> {
		try {
			await keys.reload();
			if (now() - keys.current.createdAtMs > keyAgeLimitMs) await keys.rotate();
			const removed = await deleteExpiredRecords(db, new Date(Date.now() - expiredRecordMs));
			if (removed > 0) log.debug({ removed }, "expired logins removed");
		} catch (error) {
			log.warn({ err: error }, "identity housekeeping failed; it is tried again in a minute");
		}
	}
	const timer = setInterval(() => {
		housekeeping = housekeeping.then(keepHouse);
	}, housekeepingIntervalMs);
	timer.unref();

	return {
		router,
		verifier,
		authVerifier,
		accounts,
		rotateKeys: () => keys.rotate(),
		async close() {
			clearInterval(timer);
			await housekeeping;
		},
	};
}
