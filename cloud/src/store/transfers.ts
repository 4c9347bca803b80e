/** Statements about transfers, their events, and what became of each file. */
import type { AccountId, EndpointId, TransferId, TransferRoute, TransferStatus } from "@errand/proto";
import type { TransferCounters, TransferFile, TransferItem, transferSubmission } from "@errand/proto/rest";
import type * as z from "zod";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

/** What was asked for besides the two ends, the items and the deadline. */
type TransferOptions = Omit<
	z.output<typeof transferSubmission>,
	"source_endpoint" | "destination_endpoint" | "items" | "deadline"
>;

export interface TransferRow {
	id: TransferId;
	seq: bigint;
	owner_id: AccountId;
	source_id: EndpointId;
	destination_id: EndpointId;
	items: TransferItem[];
	options: TransferOptions;
	deadline: Date | null;
	status: TransferStatus;
	nice_status: string;
	nice_status_description: string;
	route: TransferRoute;
	counters: TransferCounters;
	fatal_error: { code: string; description: string } | null;
	body_sha256: Buffer;
	created_at: Date;
	started_at: Date | null;
	completed_at: Date | null;
}

const columns = `id, seq, owner_id, source_id, destination_id, items, options, deadline, status, nice_status,
	nice_status_description, route, counters, fatal_error, body_sha256, created_at, started_at, completed_at`;

export type NewTransfer = Pick<
	TransferRow,
	| "id"
	| "owner_id"
	| "source_id"
	| "destination_id"
	| "items"
	| "options"
	| "deadline"
	| "route"
	| "counters"
	| "body_sha256"
> & { submissionKey: string | null };

/** False when a transfer with this key is there already. */
export async function insertTransfer(session: Session, row: NewTransfer): Promise<boolean> {
	const { rowCount } = await session.query(
		`insert into transfers (id, owner_id, source_id, destination_id, items, options, deadline, status, nice_status,
			nice_status_description, route, counters, submission_key, body_sha256)
		values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, 'ACTIVE', 'QUEUED', 'waits to be begun', $8, $9::jsonb, $10, $11)
		on conflict (submission_key) do nothing`,
		[
			row.id,
			row.owner_id,
			row.source_id,
			row.destination_id,
			toJsonb(row.items),
			toJsonb(row.options),
			row.deadline,
			row.route,
			toJsonb(row.counters),
			row.submissionKey,
			row.body_sha256,
		],
	);
	return rowCount === 1;
}

export async function findTransfer(session: Session, id: TransferId): Promise<TransferRow | undefined> {
	const { rows } = await session.prepared<TransferRow>(
		"find-transfer",
		`select ${columns} from transfers where id = $1`,
		[id],
	);
	return rows[0];
}

export async function findTransferByKey(session: Session, key: string): Promise<TransferRow | undefined> {
	const { rows } = await session.query<TransferRow>(`select ${columns} from transfers where submission_key = $1`, [
		key,
	]);
	return rows[0];
}

/** The row, held until the session's transaction ends. */
export async function lockTransfer(session: Session, id: TransferId): Promise<TransferRow | undefined> {
	const { rows } = await session.query<TransferRow>(`select ${columns} from transfers where id = $1 for update`, [id]);
	return rows[0];
}

/** Newest first. */
export async function transfersOfOwner(
	session: Session,
	owner: AccountId,
	filter: { statuses: readonly TransferStatus[] | undefined; before: bigint | undefined; idPrefix: string | undefined },
	limit: number,
): Promise<TransferRow[]> {
	const { rows } = await session.query<TransferRow>(
		`select ${columns} from transfers where owner_id = $1 and ($2::text[] is null or status = any($2))
			and ($3::bigint is null or seq < $3) and ($4::text is null or starts_with(id::text, $4))
		order by seq desc limit $5`,
		[owner, filter.statuses ?? null, filter.before ?? null, filter.idPrefix ?? null, limit],
	);
	return rows;
}

export async function countOpenTransfers(session: Session, owner: AccountId): Promise<number> {
	const { rows } = await session.query<{ count: bigint }>(
		"select count(*) as count from transfers where owner_id = $1 and completed_at is null",
		[owner],
	);
	return Number(rows[0]?.count ?? 0);
}

/** What the agent has to do now: of each pair of ends the oldest, at most `perPair`. */
export async function workOfAgent(session: Session, agent: EndpointId, perPair: number): Promise<TransferRow[]> {
	const { rows } = await session.prepared<TransferRow>(
		"work-of-transfer-agent",
		`select ${columns} from (
			select t.*, row_number() over (partition by source_id, destination_id order by seq) as place
			from transfers t where completed_at is null and (source_id = $1 or destination_id = $1)
		) w where place <= $2 order by seq`,
		[agent, perPair],
	);
	return rows;
}

export async function openTransfers(session: Session, limit: number): Promise<TransferRow[]> {
	const { rows } = await session.query<TransferRow>(
		`select ${columns} from transfers where completed_at is null order by seq limit $1`,
		[limit],
	);
	return rows;
}

/** What has changed of a transfer that is not over. */
export async function updateTransfer(
	session: Session,
	id: TransferId,
	change: Partial<
		Pick<
			TransferRow,
			"status" | "nice_status" | "nice_status_description" | "route" | "counters" | "fatal_error" | "started_at"
		>
	>,
): Promise<void> {
	await session.query(
		`update transfers set status = coalesce($2, status), nice_status = coalesce($3, nice_status),
			nice_status_description = coalesce($4, nice_status_description), route = coalesce($5, route),
			counters = coalesce($6::jsonb, counters), fatal_error = coalesce($7::jsonb, fatal_error),
			started_at = coalesce(started_at, $8),
			completed_at = case when $2 in ('SUCCEEDED', 'FAILED') then now() else completed_at end
		where id = $1 and completed_at is null`,
		[
			id,
			change.status ?? null,
			change.nice_status ?? null,
			change.nice_status_description ?? null,
			change.route ?? null,
			toJsonb(change.counters),
			toJsonb(change.fatal_error),
			change.started_at ?? null,
		],
	);
}

export interface TransferEventRow {
	seq: bigint;
	id: string;
	code: string;
	is_error: boolean;
	description: string;
	details: Record<string, unknown>;
	at: Date;
}

export async function insertTransferEvents(
	session: Session,
	transfer: TransferId,
	events: readonly Omit<TransferEventRow, "seq">[],
): Promise<void> {
	if (events.length === 0) return;
	await session.query(
		`insert into transfer_events (transfer_id, id, code, is_error, description, details, at)
		select $1, e.id, e.code, e.is_error, e.description, e.details, e.at
		from unnest($2::uuid[], $3::text[], $4::boolean[], $5::text[], $6::jsonb[], $7::timestamptz[])
			with ordinality as e (id, code, is_error, description, details, at, place)
		order by e.place on conflict (transfer_id, id) do nothing`,
		[
			transfer,
			events.map((event) => event.id),
			events.map((event) => event.code),
			events.map((event) => event.is_error),
			events.map((event) => event.description),
			events.map((event) => toJsonb(event.details)),
			events.map((event) => event.at),
		],
	);
}

/** Oldest first. */
export async function eventsOfTransfer(
	session: Session,
	transfer: TransferId,
	after: bigint,
	limit: number,
): Promise<TransferEventRow[]> {
	const { rows } = await session.query<TransferEventRow>(
		`select seq, id, code, is_error, description, details, at from transfer_events
		where transfer_id = $1 and seq > $2 order by seq limit $3`,
		[transfer, after, limit],
	);
	return rows;
}

/** What was told before of a file of the same index is replaced. No index twice. */
export async function upsertTransferFiles(
	session: Session,
	transfer: TransferId,
	files: readonly (TransferFile & { index: number })[],
): Promise<void> {
	if (files.length === 0) return;
	await session.prepared(
		"upsert-transfer-files",
		`insert into transfer_files (transfer_id, index, path, outcome, bytes, digest, took_ms, reason)
		select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::text[])
		on conflict (transfer_id, index) do update set path = excluded.path, outcome = excluded.outcome,
			bytes = excluded.bytes, digest = excluded.digest, took_ms = excluded.took_ms, reason = excluded.reason`,
		[
			transfer,
			files.map((file) => file.index),
			files.map((file) => file.path),
			files.map((file) => file.outcome),
			files.map((file) => file.bytes),
			files.map((file) => file.digest),
			files.map((file) => file.took_ms),
			files.map((file) => file.reason),
		],
	);
}

export async function filesOfTransfer(
	session: Session,
	transfer: TransferId,
	after: bigint,
	outcome: string | undefined,
	limit: number,
): Promise<(Omit<TransferFile, "bytes" | "took_ms"> & { index: bigint; bytes: bigint; took_ms: bigint })[]> {
	const { rows } = await session.query<
		Omit<TransferFile, "bytes" | "took_ms"> & { index: bigint; bytes: bigint; took_ms: bigint }
	>(
		`select index, path, outcome, bytes, digest, took_ms, reason from transfer_files
		where transfer_id = $1 and index > $2 and ($3::text is null or outcome = $3) order by index limit $4`,
		[transfer, after, outcome ?? null, limit],
	);
	return rows;
}

/** With their events and files. */
export async function deleteOldTransfers(session: Session, before: Date, limit: number): Promise<number> {
	const { rowCount } = await session.query(
		"delete from transfers where id in (select id from transfers where completed_at < $1 limit $2)",
		[before, limit],
	);
	return rowCount;
}
