/** Statements about what a run did: its log, and its visits to states. */
import type { RunId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface LogEntry {
	readonly code: string;
	readonly description: string;
	readonly details: unknown;
}

export interface LogRow extends LogEntry {
	id: bigint;
	at: Date;
}

export async function insertLog(session: Session, run: RunId, entries: readonly LogEntry[]): Promise<void> {
	await session.prepared(
		"insert-run-log",
		`insert into run_log (run_id, at, code, description, details)
		select $1, clock_timestamp(), code, description, details
		from unnest($2::text[], $3::text[], $4::json[]) as e (code, description, details)`,
		[
			run,
			entries.map((entry) => entry.code),
			entries.map((entry) => entry.description),
			entries.map((entry) => toJsonb(entry.details)),
		],
	);
}

/** In the order of writing, or the reverse; `after`: beyond this entry. */
export async function readLog(
	session: Session,
	run: RunId,
	filter: { after: bigint | undefined; reverse: boolean; limit: number },
): Promise<LogRow[]> {
	const { rows } = await session.query<LogRow>(
		filter.reverse
			? `select id, at, code, description, details from run_log
				where run_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3`
			: `select id, at, code, description, details from run_log
				where run_id = $1 and ($2::bigint is null or id > $2) order by id limit $3`,
		[run, filter.after ?? null, filter.limit],
	);
	return rows;
}

export interface Visit {
	readonly visit: number;
	readonly state: string;
	readonly type: string;
	readonly input: unknown;
}

/** Null: what was not left yet. */
export interface VisitRow extends Visit {
	thread_id: string;
	/** "" for the run itself. */
	branch: string;
	attempts: number;
	entered_at: Date;
	left_at: Date | null;
	outcome: "succeeded" | "failed" | "cancelled" | null;
	output: unknown;
	error: unknown;
}

export async function insertVisit(session: Session, run: RunId, thread: string, visit: Visit): Promise<void> {
	await session.prepared(
		"insert-visit",
		`insert into run_visits (thread_id, visit, run_id, state, type, input, entered_at)
		values ($1, $2, $3, $4, $5, $6, clock_timestamp()) on conflict do nothing`,
		[thread, visit.visit, run, visit.state, visit.type, toJsonb(visit.input)],
	);
}

export interface VisitEnd {
	readonly visit: number;
	readonly attempts: number;
	readonly outcome: "succeeded" | "failed" | "cancelled";
	readonly output: unknown;
	readonly error: unknown;
}

export async function endVisit(session: Session, thread: string, end: VisitEnd): Promise<void> {
	await session.prepared(
		"end-visit",
		`update run_visits set left_at = clock_timestamp(), outcome = $3, output = $4, error = $5, attempts = $6
		where thread_id = $1 and visit = $2 and left_at is null`,
		[thread, end.visit, end.outcome, toJsonb(end.output), toJsonb(end.error), end.attempts],
	);
}

/** In the order of their beginning. */
export async function visitsOf(session: Session, run: RunId, limit: number): Promise<VisitRow[]> {
	const { rows } = await session.query<VisitRow>(
		`select v.thread_id, coalesce(t.record->>'label', '') as branch, v.visit, v.state, v.type, v.attempts, v.entered_at, v.left_at, v.outcome, v.input, v.output, v.error
		from run_visits v left join run_threads t on t.id = v.thread_id
		where v.run_id = $1 order by v.entered_at, v.thread_id, v.visit limit $2`,
		[run, limit],
	);
	return rows;
}
