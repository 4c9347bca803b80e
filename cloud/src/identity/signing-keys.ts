/** The keys that sign tokens: one current, the retired ones known until the last token they signed has ended. */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from "jose";
import type { Logger } from "pino";
import { deleteOldSigningKeys, listSigningKeys, replaceSigningKey } from "../store/identity.ts";
import type { IdentityDatabase } from "./database.ts";

/** RSA, because the public interface's clients read only RSA keys; 2048 bits verify in about 30 µs. */
export const signingAlgorithm = "RS256";

interface SigningKey {
	readonly kid: string;
	readonly privateJwk: JWK;
	readonly createdAtMs: number;
}

export interface SigningKeys {
	/** Signs what is issued now. */
	readonly current: SigningKey;
	/** Public halves, the current first: the public interface's clients look at the first one only. */
	readonly publicKeys: readonly JWK[];
	/** Makes a new current key; the old one verifies until `tokenLifetimeMs` from now. */
	rotate(): Promise<void>;
	/** Reads again what other cloud processes may have changed. */
	reload(): Promise<void>;
	onChange(listener: () => void): void;
}

export interface SigningKeyOptions {
	db: IdentityDatabase;
	log: Pick<Logger, "info">;
	now: () => number;
	tokenLifetimeMs: number;
}

export async function openSigningKeys({ db, log, now, tokenLifetimeMs }: SigningKeyOptions): Promise<SigningKeys> {
	let current: SigningKey | undefined;
	/** What the database calls the current key; null when it has none. */
	let stored: string | null = null;
	let publicKeys: JWK[] = [];
	const listeners: (() => void)[] = [];

	async function reload(): Promise<void> {
		const rows = await listSigningKeys(db);
		const before = current?.kid;
		const row = rows.find((candidate) => candidate.retired_at === null);
		stored = row?.kid ?? null;
		if (row?.private_jwk) {
			current = { kid: row.kid, privateJwk: row.private_jwk, createdAtMs: row.created_at.getTime() };
		}
		const known = rows.map((key) => key.public_jwk as JWK);
		const sorted = known.sort((a, b) => Number(b.kid === current?.kid) - Number(a.kid === current?.kid));
		if (sorted.map((key) => key.kid).join() !== publicKeys.map((key) => key.kid).join()) publicKeys = sorted;
		if (before !== undefined && before !== current?.kid) for (const listener of listeners) listener();
	}

	async function replace(): Promise<void> {
		const pair = await generateKeyPair(signingAlgorithm, { modulusLength: 2048, extractable: true });
		const publicJwk = await exportJWK(pair.publicKey);
		const kid = await calculateJwkThumbprint(publicJwk);
		const properties = { kid, alg: signingAlgorithm, use: "sig" };
		const at = now();
		await replaceSigningKey(
			db,
			stored,
			{
				kid,
				publicJwk: { ...publicJwk, ...properties },
				privateJwk: { ...(await exportJWK(pair.privateKey)), ...properties },
			},
			{ now: new Date(at), removePreviousAfter: new Date(at + tokenLifetimeMs) },
		);
		await reload();
		if (stored === kid) log.info({ kid }, "signing key made");
	}

	await reload();
	if (current === undefined) await replace();

	return {
		get current() {
			if (current === undefined) throw new Error("there is no signing key");
			return current;
		},
		get publicKeys() {
			return publicKeys;
		},
		async rotate() {
			await deleteOldSigningKeys(db, new Date(now()));
			await reload();
			await replace();
		},
		reload,
		onChange(listener) {
			listeners.push(listener);
		},
	};
}
