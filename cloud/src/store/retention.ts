/** Statements that forget: bounded, so that a sweep never holds the database for long. */
import type { Session } from "./pool.ts";

/** Deletes tasks that ended before `before`, with their output; returns how many. */
export async function deleteOldTasks(session: Session, before: Date, limit: number): Promise<number> {
	const { rows } = await session.query<{ count: bigint }>(
		`with old as (select id from tasks where finished_at < $1 limit $2 for update skip locked),
		output as (delete from task_output where task_id in (select id from old)),
		gone as (delete from tasks where id in (select id from old) returning 1)
		select count(*) as count from gone`,
		[before, limit],
	);
	return Number(rows[0]?.count ?? 0);
}

/** Deletes grants and submission keys that are older than any task could be. */
export async function deleteOldTraces(session: Session, before: Date): Promise<void> {
	await session.query("delete from submissions where created_at < $1", [before]);
	await session.query("delete from blob_grants where granted_at < $1", [before]);
	// Limits look at today; the rest is for whoever asks who used how much.
	await session.query("delete from endpoint_usage where day < $1::date", [before]);
}

/** Deletes the keys of endpoints that were deleted before `before`: their daemons have been told by now. */
export async function deleteOldKeys(session: Session, before: Date): Promise<void> {
	await session.query(
		`with ended as (
			delete from oauth_clients c using endpoints e where e.id = c.endpoint_id and e.deleted_at < $1 returning c.id)
		delete from oauth_records where client_id in (select id::text from ended)`,
		[before],
	);
}

/** Takes blobs that nothing names any more off the record and returns their names: their bytes may go. */
export async function deleteOrphanBlobs(session: Session, before: Date, limit: number): Promise<Buffer[]> {
	const { rows } = await session.query<{ sha256: Buffer }>(
		`delete from blobs b where b.sha256 in (
			select sha256 from blobs c where c.created_at < $1
				and not exists (select from blob_grants g where g.sha256 = c.sha256)
				and not exists (select from tasks t where t.payload_blob = c.sha256)
				and not exists (select from tasks t where t.result_blob = c.sha256)
			limit $2)
		returning sha256`,
		[before, limit],
	);
	return rows.map((row) => row.sha256);
}
