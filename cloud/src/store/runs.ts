/** Statements about runs as people see them. What the engine needs of them is in `run-threads.ts`. */
import type { AccountId, FlowId, RunId } from "@errand/proto";
import type { FlowRoles } from "./flows.ts";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export type RunStatus = "ACTIVE" | "INACTIVE" | "SUCCEEDED" | "FAILED";

export interface RunRow {
	id: RunId;
	seq: bigint;
	flow_id: FlowId;
	owner_id: AccountId;
	flow_title: string;
	label: string;
	tags: string[];
	managers: string[];
	monitors: string[];
	status: RunStatus;
	details: unknown;
	started_at: Date;
	completed_at: Date | null;
	rerun_of: RunId | null;
	/** Of the flow, deleted or not. */
	flow_owner_id: AccountId;
	flow_updated_at: Date;
	flow_roles: Pick<FlowRoles, "administrators" | "run_managers" | "run_monitors">;
}

const columns = `r.id, r.seq, r.flow_id, r.owner_id, r.flow_title, r.label, r.tags, r.managers, r.monitors, r.status, r.details,
	r.started_at, r.completed_at, r.rerun_of, f.owner_id as flow_owner_id, f.updated_at as flow_updated_at,
	json_build_object('administrators', f.administrators, 'run_managers', f.run_managers, 'run_monitors', f.run_monitors) as flow_roles`;

export interface NewRun {
	readonly id: RunId;
	readonly flow: FlowId;
	readonly owner: AccountId;
	readonly flowTitle: string;
	readonly definition: unknown;
	readonly inputSchema: unknown;
	readonly context: unknown;
	readonly login: unknown;
	readonly label: string;
	readonly tags: readonly string[];
	readonly managers: readonly string[];
	readonly monitors: readonly string[];
	readonly details: unknown;
	readonly rerunOf: RunId | null;
}

/** When it began, by the database's clock; undefined when it is there already: a repeat. */
export async function insertRun(session: Session, run: NewRun): Promise<Date | undefined> {
	const { rows } = await session.query<{ started_at: Date }>(
		`insert into runs (id, flow_id, owner_id, flow_title, definition, input_schema, context, login, label, tags, managers, monitors, details, rerun_of)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (id) do nothing returning started_at`,
		[
			run.id,
			run.flow,
			run.owner,
			run.flowTitle,
			toJsonb(run.definition),
			toJsonb(run.inputSchema),
			toJsonb(run.context),
			toJsonb(run.login),
			run.label,
			run.tags,
			run.managers,
			run.monitors,
			toJsonb(run.details),
			run.rerunOf,
		],
	);
	return rows[0]?.started_at;
}

export async function findRun(session: Session, id: RunId): Promise<RunRow | undefined> {
	const { rows } = await session.query<RunRow>(
		`select ${columns} from runs r join flows f on f.id = r.flow_id where r.id = $1`,
		[id],
	);
	return rows[0];
}

export async function definitionOfRun(
	session: Session,
	id: RunId,
): Promise<{ definition: unknown; input_schema: unknown } | undefined> {
	const { rows } = await session.query<{ definition: unknown; input_schema: unknown }>(
		"select definition, input_schema from runs where id = $1",
		[id],
	);
	return rows[0];
}

/** Newest first: an account's, those that name one of the principals, and those of flows that do. */
export async function runsFor(
	session: Session,
	asking: { account: AccountId; principals: readonly string[] },
	filter: {
		before: bigint | undefined;
		flows: readonly FlowId[] | undefined;
		statuses: readonly RunStatus[] | undefined;
		text: string | undefined;
		limit: number;
	},
): Promise<RunRow[]> {
	const { rows } = await session.query<RunRow>(
		`select ${columns} from runs r join flows f on f.id = r.flow_id
		where r.seq in (
			select seq from runs where (owner_id = $1 or readers && $2::text[]
				or flow_id = any(array(select id from flows where owner_id = $1 or run_readers && $2::text[])))
				and ($3::bigint is null or seq < $3) and ($4::uuid[] is null or flow_id = any($4))
				and ($5::text[] is null or status = any($5)) and ($6::text is null or label ilike $6)
			order by seq desc limit $7)
		order by r.seq desc`,
		[
			asking.account,
			asking.principals,
			filter.before ?? null,
			filter.flows ?? null,
			filter.statuses ?? null,
			filter.text === undefined ? null : `%${filter.text.replace(/[\\%_]/g, "\\$&")}%`,
			filter.limit,
		],
	);
	return rows;
}

/** Its owner has logged in anew, and says so by resuming it. */
export async function renewLogin(session: Session, id: RunId, login: unknown): Promise<void> {
	await session.query("update runs set login = $2 where id = $1", [id, toJsonb(login)]);
}

export interface RunNotes {
	label: string;
	tags: readonly string[];
	managers: readonly string[];
	monitors: readonly string[];
}

export async function updateRunNotes(session: Session, id: RunId, notes: RunNotes): Promise<void> {
	await session.query("update runs set label = $2, tags = $3, managers = $4, monitors = $5 where id = $1", [
		id,
		notes.label,
		notes.tags,
		notes.managers,
		notes.monitors,
	]);
}

/** Deletes runs with all that belongs to them. May be repeated. */
export async function deleteRuns(session: Session, ids: readonly RunId[]): Promise<void> {
	await session.query(
		`with gone as (select $1::uuid[] as ids),
		log as (delete from run_log where run_id in (select unnest(ids) from gone)),
		visits as (delete from run_visits where run_id in (select unnest(ids) from gone)),
		actions as (delete from run_actions where run_id in (select unnest(ids) from gone)),
		events as (delete from run_events where thread_id in (select id from run_threads where run_id = any($1::uuid[]))),
		threads as (delete from run_threads where run_id in (select unnest(ids) from gone))
		delete from runs where id in (select unnest(ids) from gone)`,
		[ids],
	);
}

/** Some of the runs that ended before `before`. */
export async function runsEndedBefore(session: Session, before: Date, limit: number): Promise<RunId[]> {
	const { rows } = await session.query<{ id: RunId }>(
		`select id from runs where completed_at < $1
			and not exists (select from run_actions a where a.run_id = runs.id and a.next_at is not null)
		order by completed_at limit $2`,
		[before, limit],
	);
	return rows.map((row) => row.id);
}
