/** Statements by which the engine carries threads of runs on: taken up, told things, put down again. */
import type { RunId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";
import type { RunStatus } from "./runs.ts";

export interface NewThread {
	readonly id: string;
	readonly parent: { readonly id: string; readonly turn: number; readonly nth: number } | null;
	readonly place: unknown;
	readonly record: unknown;
	readonly source: string | null;
}

/** Due at once. May be repeated: a thread that is there stays as it is. */
export async function insertThread(session: Session, run: RunId, thread: NewThread): Promise<void> {
	await session.prepared(
		"insert-thread",
		`insert into run_threads (id, run_id, parent_id, parent_turn, nth, place, record, due_at, source_id)
		values ($1, $2, $3, $4, $5, $6, $7, now(), $8) on conflict do nothing`,
		[
			thread.id,
			run,
			thread.parent?.id ?? null,
			thread.parent?.turn ?? null,
			thread.parent?.nth ?? null,
			toJsonb(thread.place),
			toJsonb(thread.record),
			thread.source,
		],
	);
}

/** A thread that has ended before it begins: what an earlier run did already. */
export async function insertEndedThread(
	session: Session,
	run: RunId,
	thread: NewThread,
	output: unknown,
): Promise<void> {
	await session.query(
		`insert into run_threads (id, run_id, parent_id, parent_turn, nth, place, record, source_id, succeeded, output)
		values ($1, $2, $3, $4, $5, $6, $7, $8, true, $9) on conflict do nothing`,
		[
			thread.id,
			run,
			thread.parent?.id ?? null,
			thread.parent?.turn ?? null,
			thread.parent?.nth ?? null,
			toJsonb(thread.place),
			toJsonb(thread.record),
			thread.source,
			toJsonb(output),
		],
	);
}

export interface ThreadRow {
	id: string;
	run_id: RunId;
	parent_id: string | null;
	parent_turn: number | null;
	nth: number | null;
	place: unknown;
	record: unknown;
	succeeded: boolean | null;
	output: unknown;
	source_id: string | null;
	/** The database's clock: the only one that decides. */
	now: Date;
}

const columns = `id, run_id, parent_id, parent_turn, nth, place, record, succeeded, output, source_id, clock_timestamp() as now`;

/**
 * Within a transaction: nobody else has it until the commit. `patient`: waits for whoever has it, who has not heard the
 * latest. Undefined: somebody has it, it is parked, or there is none.
 */
export async function takeUpThread(session: Session, id: string, patient: boolean): Promise<ThreadRow | undefined> {
	const { rows } = await session.prepared<ThreadRow>(
		patient ? "take-up-thread" : "take-up-free-thread",
		`select ${columns} from run_threads where id = $1 and parked_at is null for no key update ${patient ? "" : "skip locked"}`,
		[id],
	);
	return rows[0];
}

/** What the engine could not carry on is left alone until somebody resumes the run. */
export async function parkThread(session: Session, id: string, inactive: unknown): Promise<RunId | undefined> {
	const { rows } = await session.query<{ run_id: RunId }>(
		"update run_threads set parked_at = now(), inactive = $2 where id = $1 and succeeded is null returning run_id",
		[id, toJsonb(inactive)],
	);
	return rows[0]?.run_id;
}

/** Those that were parked go on. Their ids. */
export async function unparkThreads(session: Session, run: RunId): Promise<string[]> {
	const { rows } = await session.query<{ id: string }>(
		`update run_threads set parked_at = null, inactive = null, due_at = coalesce(due_at, now())
		where run_id = $1 and parked_at is not null returning id`,
		[run],
	);
	return rows.map((row) => row.id);
}

/** In the order of telling; they are gone when the transaction is. */
export async function takeEvents(session: Session, thread: string): Promise<unknown[]> {
	const { rows } = await session.prepared<{ id: bigint; event: unknown }>(
		"take-events",
		"delete from run_events where thread_id = $1 returning id, event",
		[thread],
	);
	return rows.sort((a, b) => (a.id < b.id ? -1 : 1)).map((row) => row.event);
}

export async function tellThread(session: Session, thread: string, event: unknown): Promise<void> {
	await session.prepared("tell-thread", "insert into run_events (thread_id, event) values ($1, $2)", [
		thread,
		toJsonb(event),
	]);
}

/** Tells all branches of a thread's turn that have not ended. Their ids. */
export async function tellBranches(session: Session, parent: string, turn: number, event: unknown): Promise<string[]> {
	const { rows } = await session.query<{ thread_id: string }>(
		`insert into run_events (thread_id, event)
		select id, $3 from run_threads where parent_id = $1 and parent_turn = $2 and succeeded is null returning thread_id`,
		[parent, turn, toJsonb(event)],
	);
	return rows.map((row) => row.thread_id);
}

export interface ThreadNews {
	readonly record: unknown;
	/** Unix milliseconds of the database's clock; null: only when it is told something. */
	readonly dueMs: number | null;
	readonly inactive: unknown;
	/** Null: it goes on. */
	readonly ended: { readonly succeeded: boolean; readonly output: unknown } | null;
}

export async function putDownThread(session: Session, id: string, news: ThreadNews): Promise<void> {
	await session.prepared(
		"put-down-thread",
		`update run_threads set record = $2, due_at = to_timestamp($3::float8 / 1000), inactive = $4, succeeded = $5, output = $6
		where id = $1`,
		[
			id,
			toJsonb(news.record),
			news.dueMs,
			toJsonb(news.inactive),
			news.ended?.succeeded ?? null,
			news.ended === null ? null : (toJsonb(news.ended.output) ?? "null"),
		],
	);
}

/** What the branches of a turn came to, by their number. */
export async function outputsOf(
	session: Session,
	parent: string,
	turn: number,
): Promise<{ nth: number; succeeded: boolean | null; output: unknown }[]> {
	const { rows } = await session.query<{ nth: number; succeeded: boolean | null; output: unknown }>(
		"select nth, succeeded, output from run_threads where parent_id = $1 and parent_turn = $2 order by nth",
		[parent, turn],
	);
	return rows;
}

/** The branch of this number that a thread had in its last turn. */
export async function lastBranchOf(session: Session, parent: string, nth: number): Promise<ThreadRow | undefined> {
	const { rows } = await session.query<ThreadRow>(
		`select ${columns} from run_threads b where b.parent_id = $1 and b.nth = $2
			and b.parent_turn = (select (p.record->>'turn')::integer from run_threads p where p.id = $1)`,
		[parent, nth],
	);
	return rows[0];
}

/** Threads that have something to do: told something, or their time has come. */
export async function dueThreads(session: Session, limit: number): Promise<string[]> {
	const { rows } = await session.prepared<{ id: string }>(
		"due-threads",
		`(select id from run_threads where due_at <= now() and parked_at is null order by due_at limit $1)
		union (select e.thread_id from run_events e join run_threads t on t.id = e.thread_id
			where t.parked_at is null order by e.id limit $1)`,
		[limit],
	);
	return rows.map((row) => row.id);
}

/** What every thread of a run goes by. */
export interface RunScript {
	definition: unknown;
	context: unknown;
}

export async function scriptOfRun(session: Session, run: RunId): Promise<RunScript | undefined> {
	const { rows } = await session.prepared<RunScript>(
		"script-of-run",
		"select definition, context from runs where id = $1",
		[run],
	);
	return rows[0];
}

/** The first thread of a run. */
export async function rootOf(session: Session, run: RunId): Promise<ThreadRow | undefined> {
	const { rows } = await session.query<ThreadRow>(
		`select ${columns} from run_threads where run_id = $1 and parent_id is null`,
		[run],
	);
	return rows[0];
}

/** Threads that wait for somebody to put something right. */
export async function inactiveThreads(session: Session, run: RunId): Promise<string[]> {
	const { rows } = await session.query<{ id: string }>(
		"select id from run_threads where run_id = $1 and inactive is not null",
		[run],
	);
	return rows.map((row) => row.id);
}

export async function endRun(session: Session, run: RunId, status: RunStatus, details: unknown): Promise<void> {
	await session.query(
		"update runs set status = $2, details = $3, completed_at = now() where id = $1 and completed_at is null",
		[run, status, toJsonb(details)],
	);
}

/** The run is inactive while one of its threads is. Within a transaction, after that thread was put down. */
export async function settleActivity(session: Session, run: RunId): Promise<void> {
	// Two statements: the second must see what another thread's transaction wrote while this one waited for the lock.
	await session.query("select from runs where id = $1 for no key update", [run]);
	await session.query(
		`update runs set
			status = case when w.inactive is null then 'ACTIVE' else 'INACTIVE' end,
			details = coalesce(w.inactive, '{"code":"FlowActive","description":"The run is under way","details":{}}'::json)
		from (select (select inactive from run_threads where run_id = $1 and inactive is not null limit 1) as inactive) w
		where id = $1 and completed_at is null`,
		[run],
	);
}
