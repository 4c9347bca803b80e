/** The OpenID provider's storage: its records in the database, under the hash of their id where the id is a secret. */
import { createHash } from "node:crypto";
import { type Adapter, type AdapterFactory, type AdapterPayload, errors } from "oidc-provider";
import {
	clientById,
	consumeRecord,
	deleteRecord,
	deleteRecordsOfGrant,
	type RecordRow,
	recordById,
	recordByUid,
	recordByUserCode,
	upsertRecord,
} from "../store/identity.ts";
import type { IdentityDatabase } from "./database.ts";
import { clientMetadata } from "./known-clients.ts";

/** Kinds whose id is what its bearer shows: the id is not stored, only its hash. */
const bearerKinds: ReadonlySet<string> = new Set([
	"AccessToken",
	"ClientCredentials",
	"RefreshToken",
	"AuthorizationCode",
	"Session",
]);

/** Under which a record's id is stored. */
export function recordKey(id: string): Buffer {
	return createHash("sha256").update(id).digest();
}

function toPayload(row: RecordRow, id?: string): AdapterPayload {
	const payload: AdapterPayload = { ...row.payload };
	if (id !== undefined) payload.jti = id;
	if (row.consumed_at !== null) payload.consumed = Math.floor(row.consumed_at.getTime() / 1000);
	return payload;
}

class RecordAdapter implements Adapter {
	readonly #db: IdentityDatabase;
	readonly #kind: string;

	constructor(db: IdentityDatabase, kind: string) {
		this.#db = db;
		this.#kind = kind;
	}

	async upsert(id: string, payload: AdapterPayload, expiresInS: number): Promise<void> {
		// A `consumed` mark is a column of its own, so that a later save cannot take it back.
		const { consumed: _consumed, ...stored } = payload;
		if (bearerKinds.has(this.#kind)) delete stored.jti;
		const expiresAt = expiresInS > 0 ? new Date(Date.now() + expiresInS * 1000) : null;
		await upsertRecord(this.#db, this.#kind, recordKey(id), stored, expiresAt);
	}

	async find(id: string): Promise<AdapterPayload | undefined> {
		const row = await recordById(this.#db, this.#kind, recordKey(id));
		return row === undefined ? undefined : toPayload(row, id);
	}

	async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
		const row = await recordByUserCode(this.#db, userCode);
		return row === undefined ? undefined : toPayload(row);
	}

	async findByUid(uid: string): Promise<AdapterPayload | undefined> {
		const row = await recordByUid(this.#db, this.#kind, uid);
		return row === undefined ? undefined : toPayload(row);
	}

	async consume(id: string): Promise<void> {
		const first = await consumeRecord(this.#db, this.#kind, recordKey(id));
		// Two requests with the same code or refresh token at the same moment: the database lets one through.
		if (!first) throw new errors.InvalidGrant("already used");
	}

	async destroy(id: string): Promise<void> {
		await deleteRecord(this.#db, this.#kind, recordKey(id));
	}

	async revokeByGrantId(grantId: string): Promise<void> {
		await deleteRecordsOfGrant(this.#db, this.#kind, grantId);
	}
}

/** Clients are not records: some are known from the start, the others are rows of their own. */
class ClientAdapter extends RecordAdapter {
	readonly #lookUp: (id: string) => Promise<AdapterPayload | undefined>;

	constructor(db: IdentityDatabase, issuerUrl: string) {
		super(db, "Client");
		this.#lookUp = async (id) => {
			const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
			return clientMetadata(id, issuerUrl, uuid.test(id) ? await clientById(db, id) : undefined);
		};
	}

	override find(id: string): Promise<AdapterPayload | undefined> {
		return this.#lookUp(id);
	}
}

export function recordAdapter(db: IdentityDatabase, issuerUrl: string): AdapterFactory {
	return (kind) => (kind === "Client" ? new ClientAdapter(db, issuerUrl) : new RecordAdapter(db, kind));
}
