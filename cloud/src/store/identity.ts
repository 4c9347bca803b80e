/** Statements of identity: one function, one statement. Times come and go as `Date`. */
import type { IdentityDatabase } from "../identity/database.ts";

type AccountKind = "person" | "client" | "outside";

export interface AccountRow {
	id: string;
	kind: AccountKind;
	username: string;
	name: string;
	email: string;
	admin: boolean;
	password_hash: string | null;
	disabled_at: Date | null;
	created_at: Date;
}

export interface ClientRow {
	id: string;
	kind: "service" | "endpoint";
	name: string;
	secret_sha256: Buffer;
	account_id: string;
	owner_id: string;
	endpoint_id: string | null;
}

export interface RecordRow {
	payload: Record<string, unknown>;
	consumed_at: Date | null;
}

export interface SigningKeyRow {
	kid: string;
	public_jwk: Record<string, unknown>;
	private_jwk: Record<string, unknown> | null;
	created_at: Date;
	retired_at: Date | null;
}

/** Who a live access token stands for. */
export interface TokenHolderRow {
	account_id: string;
	username: string;
	email: string;
	kind: AccountKind;
	admin: boolean;
	endpoint_id: string | null;
	/** The endpoint whose key got the token was deleted. */
	endpoint_deleted: boolean;
}

const accountColumns = "id, kind, username, name, email, admin, password_hash, disabled_at, created_at";

/** False when the username is taken, whatever its case. */
export async function insertAccount(
	db: IdentityDatabase,
	account: Pick<AccountRow, "id" | "kind" | "username" | "name" | "email" | "admin" | "password_hash">,
): Promise<boolean> {
	const { rowCount } = await db.query(
		`insert into accounts (id, kind, username, name, email, admin, password_hash)
		 values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
		[account.id, account.kind, account.username, account.name, account.email, account.admin, account.password_hash],
	);
	return rowCount === 1;
}

export async function accountById(db: IdentityDatabase, id: string): Promise<AccountRow | undefined> {
	const { rows } = await db.query<AccountRow>(`select ${accountColumns} from accounts where id = $1`, [id]);
	return rows[0];
}

export async function accountsByIds(db: IdentityDatabase, ids: readonly string[]): Promise<AccountRow[]> {
	const { rows } = await db.query<AccountRow>(
		`select ${accountColumns} from accounts where id = any($1::uuid[]) order by created_at, id`,
		[ids],
	);
	return rows;
}

export async function accountsByUsernames(db: IdentityDatabase, names: readonly string[]): Promise<AccountRow[]> {
	const { rows } = await db.query<AccountRow>(
		`select ${accountColumns} from accounts where lower(username) = any($1::text[]) order by created_at, id`,
		[names.map((name) => name.toLowerCase())],
	);
	return rows;
}

export async function accountByUsername(db: IdentityDatabase, username: string): Promise<AccountRow | undefined> {
	const { rows } = await db.query<AccountRow>(
		`select ${accountColumns} from accounts where lower(username) = lower($1)`,
		[username],
	);
	return rows[0];
}

export async function listAccountRows(db: IdentityDatabase): Promise<AccountRow[]> {
	const { rows } = await db.query<AccountRow>(`select ${accountColumns} from accounts order by created_at, id`);
	return rows;
}

/** The oldest administrator who is a person: for whom the operator acts. */
export async function firstAdministrator(db: IdentityDatabase): Promise<AccountRow | undefined> {
	const { rows } = await db.query<AccountRow>(
		`select ${accountColumns} from accounts
		 where admin and kind = 'person' and disabled_at is null order by created_at, id limit 1`,
	);
	return rows[0];
}

export async function updatePasswordHash(db: IdentityDatabase, id: string, hash: string): Promise<void> {
	await db.query("update accounts set password_hash = $2 where id = $1", [id, hash]);
}

/** The account of an outside subject, if it was seen before. */
export async function accountByOutsideSubject(
	db: IdentityDatabase,
	issuer: string,
	subject: string,
): Promise<AccountRow | undefined> {
	const { rows } = await db.query<AccountRow>(
		`select ${accountColumns} from accounts where outside_issuer = $1 and outside_subject = $2`,
		[issuer, subject],
	);
	return rows[0];
}

/** Makes the account of an outside subject; false when the subject or the username exists already. */
export async function insertOutsideAccount(
	db: IdentityDatabase,
	account: Pick<AccountRow, "id" | "username" | "name" | "email">,
	issuer: string,
	subject: string,
): Promise<boolean> {
	const { rowCount } = await db.query(
		`insert into accounts (id, kind, username, name, email, outside_issuer, outside_subject)
		 values ($1, 'outside', $2, $3, $4, $5, $6) on conflict do nothing`,
		[account.id, account.username, account.name, account.email, issuer, subject],
	);
	return rowCount === 1;
}

export async function updateProfile(
	db: IdentityDatabase,
	id: string,
	profile: { name: string; email: string; admin: boolean },
): Promise<void> {
	await db.query("update accounts set name = $2, email = $3, admin = $4 where id = $1", [
		id,
		profile.name,
		profile.email,
		profile.admin,
	]);
}

export async function insertClient(db: IdentityDatabase, client: ClientRow): Promise<void> {
	await db.query(
		`insert into oauth_clients (id, kind, name, secret_sha256, account_id, owner_id, endpoint_id)
		 values ($1, $2, $3, $4, $5, $6, $7)`,
		[client.id, client.kind, client.name, client.secret_sha256, client.account_id, client.owner_id, client.endpoint_id],
	);
}

export async function clientById(db: IdentityDatabase, id: string): Promise<ClientRow | undefined> {
	const { rows } = await db.query<ClientRow>(
		`select id, kind, name, secret_sha256, account_id, owner_id, endpoint_id from oauth_clients where id = $1`,
		[id],
	);
	return rows[0];
}

/** Ends the endpoint's key and every token it got. */
export async function deleteEndpointClient(db: IdentityDatabase, endpointId: string): Promise<void> {
	await db.query(
		`with ended as (delete from oauth_clients where endpoint_id = $1 returning id)
		 delete from oauth_records where client_id in (select id::text from ended)`,
		[endpointId],
	);
}

export async function upsertRecord(
	db: IdentityDatabase,
	kind: string,
	idSha256: Buffer,
	payload: Record<string, unknown>,
	expiresAt: Date | null,
): Promise<void> {
	const text = (name: string): string | null => (typeof payload[name] === "string" ? payload[name] : null);
	await db.query(
		`insert into oauth_records (kind, id_sha256, grant_id, uid, user_code, account_id, client_id, payload, expires_at)
		 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		 on conflict (kind, id_sha256) do update set grant_id = excluded.grant_id, uid = excluded.uid,
			user_code = excluded.user_code, account_id = excluded.account_id, client_id = excluded.client_id,
			payload = excluded.payload, expires_at = excluded.expires_at`,
		[
			kind,
			idSha256,
			text("grantId"),
			text("uid"),
			text("userCode"),
			text("accountId"),
			text("clientId"),
			payload,
			expiresAt,
		],
	);
}

const liveRecord = "select payload, consumed_at from oauth_records";

export async function recordById(db: IdentityDatabase, kind: string, idSha256: Buffer): Promise<RecordRow | undefined> {
	const { rows } = await db.query<RecordRow>(`${liveRecord} where kind = $1 and id_sha256 = $2`, [kind, idSha256]);
	return rows[0];
}

export async function recordByUserCode(db: IdentityDatabase, userCode: string): Promise<RecordRow | undefined> {
	const { rows } = await db.query<RecordRow>(`${liveRecord} where user_code = $1`, [userCode]);
	return rows[0];
}

export async function recordByUid(db: IdentityDatabase, kind: string, uid: string): Promise<RecordRow | undefined> {
	const { rows } = await db.query<RecordRow>(`${liveRecord} where kind = $1 and uid = $2 limit 1`, [kind, uid]);
	return rows[0];
}

/** False when the record is not there or somebody consumed it before: exactly one caller is told true. */
export async function consumeRecord(db: IdentityDatabase, kind: string, idSha256: Buffer): Promise<boolean> {
	const { rowCount } = await db.query(
		`update oauth_records set consumed_at = now()
		 where kind = $1 and id_sha256 = $2 and consumed_at is null`,
		[kind, idSha256],
	);
	return rowCount === 1;
}

export async function deleteRecord(db: IdentityDatabase, kind: string, idSha256: Buffer): Promise<void> {
	await db.query("delete from oauth_records where kind = $1 and id_sha256 = $2", [kind, idSha256]);
}

export async function deleteRecordsOfGrant(db: IdentityDatabase, kind: string, grantId: string): Promise<void> {
	await db.query("delete from oauth_records where kind = $1 and grant_id = $2", [kind, grantId]);
}

/** How many were removed. */
export async function deleteExpiredRecords(db: IdentityDatabase, before: Date): Promise<number> {
	const { rowCount } = await db.query("delete from oauth_records where expires_at < $1", [before]);
	return rowCount;
}

/** The account (and endpoint) behind a live access token; undefined when it was revoked or its account is disabled. */
export async function holderOfToken(
	db: IdentityDatabase,
	tokenSha256: Buffer,
	subject: string,
): Promise<TokenHolderRow | undefined> {
	const { rows } = await db.query<TokenHolderRow>(
		`select a.id as account_id, a.username, a.email, a.kind, a.admin and c.kind is distinct from 'endpoint' as admin, c.endpoint_id,
			exists (select from endpoints e where e.id = c.endpoint_id and e.deleted_at is not null) as endpoint_deleted
		 from oauth_records r
		 left join oauth_clients c on r.kind = 'ClientCredentials' and c.id::text = r.client_id
		 join accounts a on a.id::text = case r.kind when 'AccessToken' then r.account_id else c.account_id::text end
		 where r.kind in ('AccessToken', 'ClientCredentials') and r.id_sha256 = $1 and a.disabled_at is null
			and coalesce(r.account_id, r.client_id) = $2
			and (r.grant_id is null or exists (
				select from oauth_records g where g.kind = 'Grant' and g.id_sha256 = sha256(convert_to(r.grant_id, 'UTF8'))
			))`,
		[tokenSha256, subject],
	);
	return rows[0];
}

/** Newest first. */
export async function listSigningKeys(db: IdentityDatabase): Promise<SigningKeyRow[]> {
	const { rows } = await db.query<SigningKeyRow>(
		`select kid, public_jwk, private_jwk, created_at, retired_at from signing_keys
		 order by retired_at desc nulls first, created_at desc`,
	);
	return rows;
}

/**
 * Makes a key the current one and retires `previous` (null: there is none), whose private half is forgotten.
 * Nothing happens when somebody else was faster.
 */
export async function replaceSigningKey(
	db: IdentityDatabase,
	previous: string | null,
	key: { kid: string; publicJwk: object; privateJwk: object },
	times: { now: Date; removePreviousAfter: Date },
): Promise<void> {
	await db.query(
		`with retired as (
			update signing_keys set retired_at = $5, private_jwk = null, remove_after = $6
			where kid = $1 and retired_at is null returning kid
		 )
		 insert into signing_keys (kid, public_jwk, private_jwk, created_at)
		 select $2, $3::jsonb, $4::jsonb, $5 where $1::text is null or exists (select from retired)
		 on conflict do nothing`,
		[previous, key.kid, key.publicJwk, key.privateJwk, times.now, times.removePreviousAfter],
	);
}

export async function deleteOldSigningKeys(db: IdentityDatabase, now: Date): Promise<void> {
	await db.query("delete from signing_keys where remove_after < $1", [now]);
}

/** A secret of this cloud by name: `candidate` becomes it when there was none. */
export async function keepSecret(db: IdentityDatabase, name: string, candidate: Buffer): Promise<Buffer> {
	await db.query("insert into identity_secrets (name, secret) values ($1, $2) on conflict do nothing", [
		name,
		candidate,
	]);
	const { rows } = await db.query<{ secret: Buffer }>("select secret from identity_secrets where name = $1", [name]);
	const row = rows[0];
	if (row === undefined) throw new Error(`the secret ${name} vanished`);
	return row.secret;
}
