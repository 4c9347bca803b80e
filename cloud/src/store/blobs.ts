/** Statements about blobs: that they exist, and who may read them. The bytes are elsewhere (`blobs/`). */
import type { AccountId, EndpointId } from "@errand/proto";
import type { Session } from "./pool.ts";

/** Records a stored blob and who stored it. May be repeated. */
export async function grantBlob(
	session: Session,
	account: AccountId,
	sha256: Uint8Array,
	sizeBytes: number,
): Promise<void> {
	await session.query(
		`with known as (
			insert into blobs (sha256, size_bytes) values ($2, $3) on conflict (sha256) do update set created_at = now()
		)
		insert into blob_grants (account_id, sha256) values ($1, $2)
		on conflict (account_id, sha256) do update set granted_at = now()`,
		[account, sha256, sizeBytes],
	);
}

/** Size of a blob that this account stored or has a task about; undefined otherwise, whether or not it exists. */
export async function blobOfAccount(
	session: Session,
	account: AccountId,
	sha256: Uint8Array,
): Promise<number | undefined> {
	const { rows } = await session.query<{ size_bytes: bigint }>(
		`select b.size_bytes from blobs b where b.sha256 = $2 and (
			exists (select from blob_grants g where g.account_id = $1 and g.sha256 = $2)
			or exists (select from tasks t where t.payload_blob = $2 and t.owner_id = $1)
			or exists (select from tasks t where t.result_blob = $2 and t.owner_id = $1))`,
		[account, sha256],
	);
	return rows[0] && Number(rows[0].size_bytes);
}

/** Size of a blob that a task of this endpoint, or user endpoint, has as argument or result, or that the endpoint itself stored. */
export async function blobOfEndpoint(
	session: Session,
	endpoint: EndpointId,
	sha256: Uint8Array,
): Promise<number | undefined> {
	const { rows } = await session.query<{ size_bytes: bigint }>(
		`select b.size_bytes from blobs b where b.sha256 = $2 and (
			exists (select from blob_grants g where g.account_id = $1 and g.sha256 = $2)
			or exists (select from tasks t where t.payload_blob = $2 and coalesce(t.user_endpoint_id, t.endpoint_id) = $1)
			or exists (select from tasks t where t.result_blob = $2 and coalesce(t.user_endpoint_id, t.endpoint_id) = $1))`,
		[endpoint, sha256],
	);
	return rows[0] && Number(rows[0].size_bytes);
}
