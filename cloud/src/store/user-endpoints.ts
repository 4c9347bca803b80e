/** Statements about user endpoints: the processes that managers start, one for each account and configuration. */
import type { AccountId, EndpointId, StartError, TaskId } from "@errand/proto";
import type { Heartbeat } from "./endpoints.ts";
import { toJsonb } from "./json.ts";
import type { LeaseRow } from "./leases.ts";
import type { Session } from "./pool.ts";

export interface UserEndpointRow {
	id: EndpointId;
	/** The manager. */
	endpoint_id: EndpointId;
	owner_id: AccountId;
	config: Record<string, unknown>;
	runtime: Record<string, unknown>;
	created_at: Date;
	/** Speaks our protocol, not the public interface's. */
	native: boolean;
	/** Its broker user and its key are valid. */
	access: boolean;
	journal_id: string | null;
	asked_at: Date | null;
	/** Why the last start failed; null while nobody knows. */
	start_error: string | null;
	/** It may pass. */
	start_error_transient: boolean;
	last_seen_at: Date | null;
	heartbeat_period_ms: number | null;
	active: boolean;
	/** The last heartbeat's `global_state`. */
	details: Record<string, unknown>;
	lease_host: LeaseRow["lease_host"] | null;
	lease_pid: LeaseRow["lease_pid"] | null;
	lease_expires_at: Date | null;
}

const columns = `u.id, u.endpoint_id, u.owner_id, u.config, u.runtime, u.created_at, u.native, u.access, u.journal_id, u.asked_at,
	u.start_error, u.start_error_transient, u.last_seen_at, u.heartbeat_period_ms, u.active, u.details, u.lease_host, u.lease_pid, u.lease_expires_at`;

/** The row, made with the given id when its key is new. The key stands for everything else in it. */
export async function ensureUserEndpoint(
	session: Session,
	key: string,
	row: Pick<UserEndpointRow, "id" | "endpoint_id" | "owner_id" | "config" | "runtime" | "native">,
): Promise<UserEndpointRow> {
	const known = await findByKey(session, key);
	if (known !== undefined) return known;
	await session.query(
		`insert into user_endpoints (id, key, endpoint_id, owner_id, config, runtime, native) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (key) do nothing`,
		[row.id, key, row.endpoint_id, row.owner_id, toJsonb(row.config), toJsonb(row.runtime), row.native],
	);
	return (await findByKey(session, key)) as UserEndpointRow;
}

async function findByKey(session: Session, key: string): Promise<UserEndpointRow | undefined> {
	const { rows } = await session.prepared<UserEndpointRow>(
		"find-user-endpoint-by-key",
		`select ${columns} from user_endpoints u where u.key = $1`,
		[key],
	);
	return rows[0];
}

export async function findUserEndpoint(session: Session, id: EndpointId): Promise<UserEndpointRow | undefined> {
	const { rows } = await session.prepared<UserEndpointRow>(
		"find-user-endpoint",
		`select ${columns} from user_endpoints u where u.id = $1`,
		[id],
	);
	return rows[0];
}

export async function userEndpointsOf(session: Session, endpoint: EndpointId): Promise<UserEndpointRow[]> {
	const { rows } = await session.query<UserEndpointRow>(
		`select ${columns} from user_endpoints u where u.endpoint_id = $1`,
		[endpoint],
	);
	return rows;
}

/** One row of a manager's list. */
export interface ListedUserEndpoint extends UserEndpointRow {
	username: string;
	/** Counting stops at 100,001. */
	unfinished: bigint;
}

/** The newest first, of one account or of all, after a place in that order. */
export async function listUserEndpoints(
	session: Session,
	search: {
		endpoint: EndpointId;
		owner: AccountId | undefined;
		after: { createdAt: Date; id: EndpointId } | undefined;
		limit: number;
	},
): Promise<ListedUserEndpoint[]> {
	const { rows } = await session.query<ListedUserEndpoint>(
		`select ${columns}, coalesce(a.username, '') as username, (
			select count(*) from (
				select from tasks t where t.user_endpoint_id = u.id and t.finished_seq is null limit 100001
			) counted
		) as unfinished
		from user_endpoints u left join accounts a on a.id = u.owner_id
		where u.endpoint_id = $1 and ($2::uuid is null or u.owner_id = $2)
			and ($3::timestamptz is null or (date_trunc('milliseconds', u.created_at), u.id) < ($3, $4::uuid))
		order by date_trunc('milliseconds', u.created_at) desc, u.id desc limit $5`,
		[search.endpoint, search.owner ?? null, search.after?.createdAt ?? null, search.after?.id ?? null, search.limit],
	);
	return rows;
}

/** User endpoints that have unfinished tasks, of one manager or of all. */
export async function wantedUserEndpoints(session: Session, endpoint?: EndpointId): Promise<UserEndpointRow[]> {
	const { rows } = await session.query<UserEndpointRow>(
		`select ${columns} from user_endpoints u where ($1::uuid is null or endpoint_id = $1) and exists (
			select from tasks t where t.user_endpoint_id = u.id and t.finished_seq is null)`,
		[endpoint ?? null],
	);
	return rows;
}

/**
 * A command to start it is on its way, with new access: what was known of the process before holds no longer, and the
 * next one need not wait for its lease.
 */
export async function markAsked(session: Session, id: EndpointId): Promise<void> {
	await session.query(
		`update user_endpoints set asked_at = now(), start_error = null, start_error_transient = false, active = false, access = true,
			lease_holder = null, lease_expires_at = null
		where id = $1`,
		[id],
	);
}

/** Its process has ended, or must: it has no access any more, and nothing is awaited of it. */
export async function markEnded(session: Session, id: EndpointId): Promise<void> {
	await session.query(
		"update user_endpoints set active = false, access = false, asked_at = null, lease_holder = null where id = $1",
		[id],
	);
}

/** Null: what was in the journal, or in the queue, is gone, and everything unfinished is to be sent again. */
export async function setUserJournal(session: Session, id: EndpointId, journal: string | null): Promise<void> {
	await session.query("update user_endpoints set journal_id = $2 where id = $1", [id, journal]);
}

/**
 * `manager`: who says so, when it is not the user endpoint itself. False when there is no such user endpoint of it. Only
 * managers of ours know of reasons that may pass.
 */
export async function recordStartError(
	session: Session,
	id: EndpointId,
	{ error, transient }: StartError,
	manager?: EndpointId,
): Promise<boolean> {
	const { rowCount } = await session.query(
		`update user_endpoints set start_error = $2, start_error_transient = $4 and native, active = false
		where id = $1 and ($3::uuid is null or endpoint_id = $3)`,
		[id, error, manager ?? null, transient],
	);
	return rowCount === 1;
}

/** What it said holds no longer: it is told again. */
export async function forgetStartError(session: Session, id: EndpointId): Promise<void> {
	await session.query("update user_endpoints set start_error = null, start_error_transient = false where id = $1", [
		id,
	]);
}

/** Marks user endpoints as seen now, and returns which; unknown ones, and those without access, are ignored. No user endpoint twice. */
export async function recordUserHeartbeats(
	session: Session,
	heartbeats: readonly Heartbeat[],
): Promise<ReadonlySet<EndpointId>> {
	const { rows } = await session.prepared<{ id: EndpointId }>(
		"record-user-heartbeats",
		`update user_endpoints u set last_seen_at = now(), heartbeat_period_ms = h.period_ms, active = h.active,
			details = h.details, start_error = null, start_error_transient = false
		from unnest($1::uuid[], $2::int[], $3::boolean[], $4::jsonb[]) as h (id, period_ms, active, details)
		where u.id = h.id and u.access returning u.id`,
		[
			heartbeats.map((h) => h.endpoint),
			heartbeats.map((h) => h.periodMs),
			heartbeats.map((h) => h.active),
			heartbeats.map((h) => toJsonb(h.details)),
		],
	);
	return new Set(rows.map((row) => row.id));
}

export async function deleteUserEndpoints(session: Session, endpoint: EndpointId): Promise<void> {
	await session.query("delete from user_endpoints where endpoint_id = $1", [endpoint]);
}

const isIdle = `greatest(created_at, asked_at, last_seen_at) < $1
	and not exists (select from tasks t where t.user_endpoint_id = u.id and t.finished_seq is null)`;

/** Without a process and without anything to do since then, at most so many. */
export async function idleUserEndpoints(session: Session, before: Date, limit: number): Promise<UserEndpointRow[]> {
	const { rows } = await session.query<UserEndpointRow>(
		`select ${columns} from user_endpoints u where ${isIdle} limit $2`,
		[before, limit],
	);
	return rows;
}

/** Unless it has got something to do since then. */
export async function deleteIdleUserEndpoint(session: Session, before: Date, id: EndpointId): Promise<void> {
	await session.query(`delete from user_endpoints u where ${isIdle} and id = $2`, [before, id]);
}

/** Bounded: whoever has ended these asks again. */
export async function unfinishedIdsOfUserEndpoint(session: Session, id: EndpointId, limit: number): Promise<TaskId[]> {
	const { rows } = await session.query<{ id: TaskId }>(
		"select id from tasks where user_endpoint_id = $1 and finished_seq is null order by seq limit $2",
		[id, limit],
	);
	return rows.map((row) => row.id);
}

/** Notes at each unfinished task that the process under it is gone, and returns those that this has happened to `limit` times. */
export async function noteLosses(session: Session, id: EndpointId, reason: string, limit: number): Promise<TaskId[]> {
	const { rows } = await session.query<{ id: TaskId; losses: number }>(
		`update tasks set transitions = transitions ||
			jsonb_build_array(jsonb_build_array(state, floor(extract(epoch from now()) * 1000), 'web-service', $2::text))
		where user_endpoint_id = $1 and finished_seq is null
		returning id, jsonb_array_length(transitions) as losses`,
		[id, reason],
	);
	return rows.filter((row) => row.losses >= limit).map((row) => row.id);
}
