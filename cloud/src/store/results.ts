/** Statements that end tasks, and that read how they ended. */
import type { AccountId, EndpointId, TaskGroupId, TaskId } from "@errand/proto";
import type { ExecutionDocument, FailureDocument } from "@errand/proto/rest";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";
import type { BlobRow } from "./tasks.ts";

/** How a task ended. */
export interface Ending {
	readonly id: TaskId;
	/** Who says so; only this endpoint's tasks are ended by it. Null: the cloud itself. */
	readonly endpoint: EndpointId | null;
	/** The wire's number: success, failed or cancelled. */
	readonly state: number;
	/** One serialized buffer; empty when `blob` or `failure` is set. */
	readonly value: Uint8Array | null;
	readonly blob: BlobRow | null;
	readonly failure: FailureDocument | null;
	readonly execution: ExecutionDocument | null;
	readonly stdoutBytes: number;
	readonly stderrBytes: number;
	/** For the list of transitions. */
	readonly actor: string;
}

export interface Recorded {
	id: TaskId;
	group_id: TaskGroupId;
	owner_id: AccountId;
	finished_seq: bigint;
	/** The group's results are copied to a queue of the public interface. */
	result_queue: boolean;
}

/** Any number that nothing else in this database locks. */
const cursorLock = 7_305_202;

/*
 * The gate is taken before any cursor is drawn (cursors are drawn for rows that have been joined with it) and is held
 * until the commit, so the order of cursors is the order of commits over all cloud processes: whoever has read up to a
 * cursor has missed nothing before it.
 * Rows are found by their ids and joined by a hash, whatever was known of the table when the plan was made: the
 * condition on finished_seq is written so that no plan goes by the index of unfinished tasks, which holds every queued
 * one, nor expects that it leaves a single row; and the series says that there may be many endings. A nested loop would
 * compare each row with each ending: with 500 of each that is four fifths of all that the database does.
 */
const recordText = `
	with gate as materialized (select pg_advisory_xact_lock(${cursorLock})),
	endings as materialized (
		select *
		from rows from (unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::int[]), unnest($5::int[]),
			unnest($6::text[]), unnest($7::bigint[]), unnest($8::jsonb[]), unnest($9::jsonb[]), unnest($10::bigint[]),
			unnest($11::bigint[]), unnest($12::text[]), generate_series(1, cardinality($1::uuid[])))
			as e (id, endpoint_id, state, at, size, blob, blob_bytes, failure, execution, stdout_bytes, stderr_bytes, actor, nth)
	),
	ended as (
		update tasks t set
			state = e.state, finished_seq = nextval('finished_cursor'), finished_at = now(), finished_by = e.actor,
			result = case when e.size is not null then substring($13::bytea from e.at + 1 for e.size) end,
			result_blob = decode(e.blob, 'hex'), result_blob_bytes = e.blob_bytes, failure = e.failure, execution = e.execution,
			stdout_bytes = e.stdout_bytes, stderr_bytes = e.stderr_bytes
		from endings e, gate
		where t.id = any($1::uuid[]) and t.id = e.id and (e.endpoint_id is null or coalesce(t.user_endpoint_id, t.endpoint_id) = e.endpoint_id) and coalesce(t.finished_seq, 0) < 1
		returning t.id, t.group_id, t.owner_id, t.finished_seq
	)
	select ended.*, coalesce((select g.result_queue from task_groups g where g.id = ended.group_id), false) as result_queue
	from ended order by ended.finished_seq`;

/**
 * Ends tasks, each once: those of another endpoint, ended before or unknown are left out of what is returned.
 * `endings` must not name a task twice. In the order of cursors.
 */
export async function recordEndings(session: Session, endings: readonly Ending[]): Promise<Recorded[]> {
	const ats: number[] = [];
	const values: Uint8Array[] = [];
	let at = 0;
	for (const { value } of endings) {
		ats.push(at);
		if (value === null) continue;
		values.push(value);
		at += value.length;
	}
	const { rows } = await session.prepared<Recorded>("record-endings", recordText, [
		endings.map((e) => e.id),
		endings.map((e) => e.endpoint),
		endings.map((e) => e.state),
		ats,
		endings.map((e) => e.value?.length ?? null),
		endings.map((e) => (e.blob === null ? null : Buffer.from(e.blob.sha256).toString("hex"))),
		endings.map((e) => e.blob?.sizeBytes ?? null),
		endings.map((e) => toJsonb(e.failure)),
		endings.map((e) => toJsonb(e.execution)),
		endings.map((e) => e.stdoutBytes),
		endings.map((e) => e.stderrBytes),
		endings.map((e) => e.actor),
		Buffer.concat(values, at),
	]);
	return rows;
}

/** One recorded result, as streams and documents need it. */
export interface ResultRow extends Recorded {
	endpoint_id: EndpointId;
	/** Who may end it: the endpoint, or its user endpoint. */
	sender_id: EndpointId;
	state: number;
	finished_at: Date;
	result: Buffer | null;
	result_blob: Buffer | null;
	result_blob_bytes: bigint | null;
	failure: FailureDocument | null;
	execution: ExecutionDocument | null;
	stdout_bytes: bigint;
	stderr_bytes: bigint;
}

const columns = `t.id, t.group_id, t.owner_id, t.finished_seq, t.endpoint_id,
	coalesce(t.user_endpoint_id, t.endpoint_id) as sender_id, t.state, t.finished_at, t.result, t.result_blob,
	t.result_blob_bytes, t.failure, t.execution, t.stdout_bytes, t.stderr_bytes`;

/** A group's results after a cursor, oldest first. */
export async function resultsAfter(
	session: Session,
	group: TaskGroupId,
	cursor: bigint,
	limit: number,
): Promise<ResultRow[]> {
	const { rows } = await session.prepared<ResultRow>(
		"results-after",
		`select ${columns}, false as result_queue from tasks t
		where t.group_id = $1 and t.finished_seq > $2 order by t.finished_seq limit $3`,
		[group, cursor, limit],
	);
	return rows;
}

/** Those of the given tasks that have ended, in the order of their cursors; and of those that have not or are unknown nothing. */
export async function endedAmong(session: Session, ids: readonly TaskId[]): Promise<ResultRow[]> {
	const { rows } = await session.query<ResultRow>(
		`select ${columns}, coalesce(g.result_queue, false) as result_queue
		from tasks t left join task_groups g on g.id = t.group_id
		where t.id = any($1::uuid[]) and t.finished_seq is not null order by t.finished_seq`,
		[ids],
	);
	return rows;
}
