/** Statements about tasks before their end: recording, reading, marking. */
import type { AccountId, EndpointId, FunctionId, TaskGroupId, TaskId } from "@errand/proto";
import type { ExecutionDocument, FailureDocument } from "@errand/proto/rest";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

/** Tasks of one request: what they share, and per task its id, function and payload. */
export interface NewTasks {
	readonly group: TaskGroupId;
	readonly endpoint: EndpointId;
	/** Who takes the tasks and ends them, when it is not the endpoint's own daemon of ours. */
	readonly userEndpoint: EndpointId | null;
	/** They go out as messages of the public interface, not in our batches. */
	readonly publicForm: boolean;
	readonly owner: AccountId;
	readonly resources: Record<string, unknown> | null;
	readonly resultSerializers: readonly string[] | null;
	readonly retryOf: TaskId | null;
	/** Set when the caller may repeat the request. */
	readonly submission: { readonly key: string; readonly bodySha256: Uint8Array } | null;
	readonly tasks: readonly NewTask[];
}

export interface NewTask {
	readonly id: TaskId;
	readonly function: FunctionId;
	/** Packed arguments; empty when `blob` is set. */
	readonly payload: Uint8Array;
	readonly blob: BlobRow | null;
	/** How the versions at both ends do not fit. */
	readonly versionSkew: string | null;
}

export interface BlobRow {
	readonly sha256: Uint8Array;
	readonly sizeBytes: number;
}

const insertText = `
	with heads as materialized (
		select * from unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::jsonb[], $6::jsonb[], $7::uuid[], $8::uuid[], $9::text[], $19::uuid[])
			as h (n, group_id, endpoint_id, owner_id, resources, serializers, retry_of, key, body_sha256, user_endpoint_id)
	),
	fresh as (
		insert into submissions (key, body_sha256, group_id)
		select key, decode(body_sha256, 'hex'), group_id from heads where key is not null
		on conflict (key) do nothing returning key
	),
	accepted as materialized (select * from heads where key is null or key in (select key from fresh)),
	written as (
		insert into tasks (id, function_id, group_id, endpoint_id, owner_id, dispatcher_id, payload, payload_blob, payload_blob_bytes,
			resources, result_serializers, retry_of, user_endpoint_id, version_skew)
		select t.id, t.function_id, a.group_id, a.endpoint_id, a.owner_id, $17,
			case when t.blob is null then substring($16::bytea from t.at + 1 for t.size) end, decode(t.blob, 'hex'), t.blob_bytes,
			a.resources, case when a.serializers is not null then array(select jsonb_array_elements_text(a.serializers)) end, a.retry_of,
			a.user_endpoint_id, t.version_skew
		from unnest($10::int[], $11::uuid[], $12::uuid[], $13::int[], $14::int[], $15::text[], $18::bigint[], $20::text[])
			as t (n, id, function_id, at, size, blob, blob_bytes, version_skew) join accepted a on a.n = t.n
		on conflict (id) do nothing -- the same statement sent again after a lost connection
		returning seq
	)
	select array(select n from accepted) as accepted, (select max(seq) from written) as max_seq`;

/**
 * Records requests in one statement, each whole or not at all: a request whose submission key is known already is
 * left out of `accepted` (indices into `requests`). `maxSeq` is the highest sequence number used, if any.
 */
export async function insertTasks(
	session: Session,
	dispatcher: number,
	requests: readonly NewTasks[],
): Promise<{ accepted: ReadonlySet<number>; maxSeq: bigint | null }> {
	const heads: { n: number; request: NewTasks }[] = [];
	const rows: { n: number; task: NewTask; at: number }[] = [];
	const payloads: Uint8Array[] = [];
	let at = 0;
	const keys = new Set<string>();
	for (const [n, request] of requests.entries()) {
		const key = request.submission?.key;
		if (key !== undefined && keys.size === keys.add(key).size) continue; // the same request twice at once
		heads.push({ n, request });
		for (const task of request.tasks) {
			rows.push({ n, task, at });
			payloads.push(task.payload);
			at += task.payload.length;
		}
	}
	// One bytea cut by the server: an array of bytea would travel as hexadecimal text.
	const result = await session.prepared<{ accepted: number[]; max_seq: bigint | null }>("insert-tasks", insertText, [
		heads.map((h) => h.n),
		heads.map((h) => h.request.group),
		heads.map((h) => h.request.endpoint),
		heads.map((h) => h.request.owner),
		heads.map((h) => toJsonb(h.request.resources)),
		heads.map((h) => toJsonb(h.request.resultSerializers)),
		heads.map((h) => h.request.retryOf),
		heads.map((h) => h.request.submission?.key ?? null),
		heads.map((h) => hex(h.request.submission?.bodySha256)),
		rows.map((row) => row.n),
		rows.map((row) => row.task.id),
		rows.map((row) => row.task.function),
		rows.map((row) => row.at),
		rows.map((row) => row.task.payload.length),
		rows.map((row) => hex(row.task.blob?.sha256)),
		Buffer.concat(payloads, at),
		dispatcher,
		rows.map((row) => row.task.blob?.sizeBytes ?? null),
		heads.map((h) => h.request.userEndpoint),
		// A shorter array is filled up with nulls: almost always this is none.
		rows.some((row) => row.task.versionSkew !== null) ? rows.map((row) => row.task.versionSkew) : [],
	]);
	const row = result.rows[0];
	return { accepted: new Set(row?.accepted ?? []), maxSeq: row?.max_seq ?? null };
}

function hex(bytes: Uint8Array | undefined): string | null {
	return bytes === undefined ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

export async function findSubmission(
	session: Session,
	key: string,
): Promise<{ bodySha256: Buffer; group: TaskGroupId } | undefined> {
	const { rows } = await session.query<{ body_sha256: Buffer; group_id: TaskGroupId }>(
		"select body_sha256, group_id from submissions where key = $1",
		[key],
	);
	return rows[0] && { bodySha256: rows[0].body_sha256, group: rows[0].group_id };
}

/** What publishing a task again needs. */
export interface UnfinishedTask {
	seq: bigint;
	id: TaskId;
	group_id: TaskGroupId;
	endpoint_id: EndpointId;
	user_endpoint_id: EndpointId | null;
	/** It goes out as a message of the public interface. */
	public_form: boolean;
	function_id: FunctionId;
	payload: Buffer | null;
	payload_blob: Buffer | null;
	payload_blob_bytes: bigint | null;
	resources: Record<string, unknown> | null;
	result_serializers: string[] | null;
}

/** Whoever has no daemon of ours: a user endpoint that is not native, or an endpoint from before managers, which is its own. */
const publicForm = `user_endpoint_id is not null
	and not exists (select from user_endpoints u where u.id = user_endpoint_id and u.native)`;

const unfinishedColumns = `seq, id, group_id, endpoint_id, user_endpoint_id, ${publicForm} as public_form, function_id, payload,
	payload_blob, payload_blob_bytes, resources, result_serializers`;

/** Unfinished tasks of an endpoint after a sequence number, oldest first, bounded. */
export async function unfinishedOfEndpoint(
	session: Session,
	endpoint: EndpointId,
	after: bigint,
	limit: number,
): Promise<UnfinishedTask[]> {
	const { rows } = await session.query<UnfinishedTask>(
		`select ${unfinishedColumns} from tasks
		where endpoint_id = $1 and seq > $2 and finished_seq is null order by seq limit $3`,
		[endpoint, after, limit],
	);
	return rows;
}

/** Unfinished tasks of a user endpoint after a sequence number, oldest first, bounded. */
export async function unfinishedOfUserEndpoint(
	session: Session,
	userEndpoint: EndpointId,
	after: bigint,
	limit: number,
): Promise<UnfinishedTask[]> {
	const { rows } = await session.query<UnfinishedTask>(
		`select ${unfinishedColumns} from tasks
		where user_endpoint_id = $1 and seq > $2 and finished_seq is null order by seq limit $3`,
		[userEndpoint, after, limit],
	);
	return rows;
}

/** Unfinished tasks that a dispatcher recorded after its watermark. */
export async function unfinishedOfDispatcher(
	session: Session,
	dispatcher: number,
	after: bigint,
	limit: number,
): Promise<UnfinishedTask[]> {
	const { rows } = await session.query<UnfinishedTask>(
		`select ${unfinishedColumns} from tasks
		where dispatcher_id = $1 and seq > $2 and finished_seq is null order by seq limit $3`,
		[dispatcher, after, limit],
	);
	return rows;
}

/**
 * Those of the given tasks that have not left `received` and go to our daemon, which drops what it knows: an endpoint of
 * the public interface would run them twice. About finished_seq see `recordEndings`.
 */
export async function unfinishedAmong(session: Session, ids: readonly TaskId[]): Promise<UnfinishedTask[]> {
	const { rows } = await session.query<UnfinishedTask>(
		`select ${unfinishedColumns} from tasks where id = any($1::uuid[]) and coalesce(finished_seq, 0) < 1 and state = 1
			and not (${publicForm}) order by seq`,
		[ids],
	);
	return rows;
}

export interface TaskRow {
	seq: bigint;
	id: TaskId;
	group_id: TaskGroupId;
	endpoint_id: EndpointId;
	endpoint_name: string;
	function_id: FunctionId;
	function_name: string;
	owner_id: AccountId;
	state: number;
	created_at: Date;
	cancel_requested_at: Date | null;
	retry_of: TaskId | null;
	finished_seq: bigint | null;
	finished_at: Date | null;
	failure: FailureDocument | null;
}

export interface WholeTaskRow extends TaskRow {
	user_endpoint_id: EndpointId | null;
	payload: Buffer | null;
	payload_blob: Buffer | null;
	payload_blob_bytes: bigint | null;
	resources: Record<string, unknown> | null;
	version_skew: string | null;
	result_serializers: string[] | null;
	transitions: [state: number, atMs: number, actor: string, reason: string][];
	finished_by: string | null;
	result: Buffer | null;
	result_blob: Buffer | null;
	result_blob_bytes: bigint | null;
	execution: ExecutionDocument | null;
	stdout_bytes: bigint;
	stderr_bytes: bigint;
}

const summaryColumns = `t.seq, t.id, t.group_id, t.endpoint_id, coalesce(e.name, '') as endpoint_name, t.function_id,
	coalesce(f.name, '') as function_name, t.owner_id, t.state, t.created_at, t.cancel_requested_at, t.retry_of,
	t.finished_seq, t.finished_at, t.failure`;
const withNames =
	"from tasks t left join endpoints e on e.id = t.endpoint_id left join functions f on f.id = t.function_id";

/** Whole rows, in no order; unknown ids are left out. `payload` comes only when asked for: it may be large. */
export async function findTasks(
	session: Session,
	ids: readonly TaskId[],
	withPayload = false,
): Promise<WholeTaskRow[]> {
	const { rows } = await session.query<WholeTaskRow>(
		`select ${summaryColumns}, t.user_endpoint_id, ${withPayload ? "t.payload" : "null::bytea as payload"}, t.payload_blob, t.payload_blob_bytes,
			t.resources, t.version_skew, t.result_serializers, t.transitions, t.finished_by, t.result, t.result_blob, t.result_blob_bytes,
			t.execution, t.stdout_bytes, t.stderr_bytes
		${withNames} where t.id = any($1::uuid[])`,
		[ids],
	);
	return rows;
}

/** Whose these tasks are; unknown ids are left out. Nothing of their contents is read. */
export async function ownersOfTasks(
	session: Session,
	ids: readonly TaskId[],
): Promise<{ id: TaskId; owner_id: AccountId }[]> {
	const { rows } = await session.query<{ id: TaskId; owner_id: AccountId }>(
		"select id, owner_id from tasks where id = any($1::uuid[])",
		[ids],
	);
	return rows;
}

export interface TaskSearch {
	owner?: AccountId | undefined;
	states?: readonly number[] | undefined;
	endpoint?: EndpointId | undefined;
	function?: FunctionId | undefined;
	group?: TaskGroupId | undefined;
	since?: Date | undefined;
	until?: Date | undefined;
	/** Lowest and highest id with a prefix. */
	idFrom?: string | undefined;
	idTo?: string | undefined;
	/** Only tasks recorded before this one. */
	beforeSeq?: bigint | undefined;
	limit: number;
}

const conditions: { readonly [Key in Exclude<keyof TaskSearch, "limit">]: (n: number) => string } = {
	owner: (n) => `t.owner_id = $${n}`,
	states: (n) => `t.state = any($${n}::smallint[])`,
	endpoint: (n) => `t.endpoint_id = $${n}`,
	function: (n) => `t.function_id = $${n}`,
	group: (n) => `t.group_id = $${n}`,
	since: (n) => `t.created_at >= $${n}`,
	until: (n) => `t.created_at < $${n}`,
	idFrom: (n) => `t.id >= $${n}`,
	idTo: (n) => `t.id <= $${n}`,
	beforeSeq: (n) => `t.seq < $${n}`,
};

/** Newest first. */
export async function searchTasks(session: Session, search: TaskSearch): Promise<TaskRow[]> {
	const values: unknown[] = [search.limit];
	const where: string[] = [];
	for (const key of Object.keys(conditions) as (keyof typeof conditions)[]) {
		if (search[key] === undefined) continue;
		values.push(search[key]);
		where.push(conditions[key](values.length));
	}
	const { rows } = await session.query<TaskRow>(
		`select ${summaryColumns} ${withNames} ${where.length > 0 ? `where ${where.join(" and ")}` : ""} order by t.seq desc limit $1`,
		values,
	);
	return rows;
}

/** Ids and creation times of a group's tasks, oldest first. */
export async function tasksOfGroup(session: Session, group: TaskGroupId): Promise<{ id: TaskId; created_at: Date }[]> {
	const { rows } = await session.query<{ id: TaskId; created_at: Date }>(
		"select id, created_at from tasks where group_id = $1 order by seq",
		[group],
	);
	return rows;
}

export async function unfinishedIdsOfGroup(session: Session, group: TaskGroupId): Promise<TaskId[]> {
	const { rows } = await session.query<{ id: TaskId }>(
		"select id from tasks where group_id = $1 and finished_seq is null order by seq",
		[group],
	);
	return rows.map((row) => row.id);
}

export async function unfinishedIdsOfEndpoint(session: Session, endpoint: EndpointId): Promise<TaskId[]> {
	const { rows } = await session.query<{ id: TaskId }>(
		"select id from tasks where endpoint_id = $1 and finished_seq is null order by seq",
		[endpoint],
	);
	return rows.map((row) => row.id);
}

export interface MarkedTask {
	id: TaskId;
	endpoint_id: EndpointId;
	user_endpoint_id: EndpointId | null;
	public_form: boolean;
	state: number;
}

/**
 * Marks unfinished tasks as asked to stop; the first request counts. Returns what they were then. The condition on
 * finished_seq keeps the plan from reading all unfinished tasks and comparing each with every id: see `recordEndings`.
 */
export async function markCancelRequested(session: Session, ids: readonly TaskId[]): Promise<MarkedTask[]> {
	const { rows } = await session.query<MarkedTask>(
		`update tasks set cancel_requested_at = coalesce(cancel_requested_at, now())
		where id = any($1::uuid[]) and coalesce(finished_seq, 0) < 1 
		returning id, endpoint_id, user_endpoint_id, ${publicForm} as public_form, state`,
		[ids],
	);
	return rows;
}

/** Tasks asked to stop longer than `olderThanMs` ago that have not, and whom of ours to ask. */
export async function overdueCancellations(
	session: Session,
	olderThanMs: number,
	limit: number,
): Promise<{ id: TaskId; daemon_id: EndpointId }[]> {
	const { rows } = await session.query<{ id: TaskId; daemon_id: EndpointId }>(
		`select id, coalesce(user_endpoint_id, endpoint_id) as daemon_id from tasks
		where finished_seq is null and not (${publicForm}) and cancel_requested_at < now() - $1 * interval '1 millisecond'
		order by cancel_requested_at limit $2`,
		[olderThanMs, limit],
	);
	return rows;
}
