/** Statements about what happens to a task before its end: states and output. */
import type { EndpointId, TaskGroupId, TaskId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface ReportedTask {
	id: TaskId;
	group_id: TaskGroupId;
	/** Who may report on it: its endpoint, or its user endpoint. */
	sender_id: EndpointId;
	state: number;
	finished: boolean;
}

const columns =
	"id, group_id, coalesce(user_endpoint_id, endpoint_id) as sender_id, state, finished_seq is not null as finished";

/** Locks the tasks' rows until the transaction ends; in the order of ids, so that two cannot wait for each other. */
export async function lockTasks(session: Session, ids: readonly TaskId[]): Promise<ReportedTask[]> {
	const { rows } = await session.prepared<ReportedTask>(
		"lock-tasks",
		`select ${columns} from tasks
		where id = any($1::uuid[]) order by id for no key update`,
		[ids],
	);
	return rows;
}

/** Who owns these tasks' groups and endpoints; unknown ids are left out. */
export async function whereTasksAre(session: Session, ids: readonly TaskId[]): Promise<ReportedTask[]> {
	const { rows } = await session.prepared<ReportedTask>(
		"where-tasks-are",
		`select ${columns} from tasks where id = any($1::uuid[])`,
		[ids],
	);
	return rows;
}

export interface Moves {
	readonly id: TaskId;
	readonly state: number;
	/** Appended to the task's transitions: `[state, unix ms, actor, reason]`. */
	readonly transitions: readonly (readonly [number, number, string, string])[];
}

/** After {@link lockTasks} in the same transaction. Joined by a hash for the reasons given at `recordEndings`. */
export async function moveTasks(session: Session, moves: readonly Moves[]): Promise<void> {
	await session.prepared(
		"move-tasks",
		`update tasks t set state = m.state, transitions = t.transitions || m.transitions
		from rows from (unnest($1::uuid[]), unnest($2::smallint[]), unnest($3::jsonb[]), generate_series(1, cardinality($1::uuid[])))
			as m (id, state, transitions, nth)
		where t.id = any($1::uuid[]) and t.id = m.id and coalesce(t.finished_seq, 0) < 1`,
		[moves.map((m) => m.id), moves.map((m) => m.state), moves.map((m) => toJsonb(m.transitions))],
	);
}

export interface OutputRow {
	readonly task: TaskId;
	/** The wire's number. */
	readonly stream: number;
	readonly offsetBytes: number;
	readonly data: Uint8Array;
	readonly truncated: boolean;
}

/** Keeps output; a chunk at an offset that is there already is left out of what is returned (indices into `chunks`). */
export async function insertOutput(session: Session, chunks: readonly OutputRow[]): Promise<Set<number>> {
	const ats: number[] = [];
	let at = 0;
	for (const chunk of chunks) {
		ats.push(at);
		at += chunk.data.length;
	}
	const { rows } = await session.prepared<{ task_id: string; stream: number; offset_bytes: bigint }>(
		"insert-output",
		`insert into task_output (task_id, stream, offset_bytes, data, truncated)
		select o.task_id, o.stream, o.offset_bytes, substring($6::bytea from o.at + 1 for o.size), o.truncated
		from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::int[], $5::int[], $7::boolean[])
			as o (task_id, stream, offset_bytes, at, size, truncated)
		on conflict do nothing returning task_id, stream, offset_bytes`,
		[
			chunks.map((c) => c.task),
			chunks.map((c) => c.stream),
			chunks.map((c) => c.offsetBytes),
			ats,
			chunks.map((c) => c.data.length),
			Buffer.concat(
				chunks.map((c) => c.data),
				at,
			),
			chunks.map((c) => c.truncated),
		],
	);
	const kept = new Set(rows.map((row) => `${row.task_id} ${row.stream} ${row.offset_bytes}`));
	const indices = new Set<number>();
	for (const [index, chunk] of chunks.entries())
		if (kept.delete(`${chunk.task} ${chunk.stream} ${chunk.offsetBytes}`)) indices.add(index);
	return indices;
}

/** The kept chunks that reach past an offset, in order, at most `limit`. */
export async function readOutput(
	session: Session,
	task: TaskId,
	stream: number,
	offsetBytes: number,
	limit: number,
): Promise<{ offset_bytes: bigint; data: Buffer; truncated: boolean }[]> {
	const { rows } = await session.query<{ offset_bytes: bigint; data: Buffer; truncated: boolean }>(
		`select offset_bytes, data, truncated from task_output
		where task_id = $1 and stream = $2 and offset_bytes + length(data) >= $3 order by offset_bytes limit $4`,
		[task, stream, offsetBytes, limit],
	);
	return rows;
}
