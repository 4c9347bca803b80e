/** Statements about user endpoints: the processes of endpoints that speak only the public interface. */
import type { AccountId, EndpointId, TaskId } from "@errand/proto";
import type { Heartbeat } from "./endpoints.ts";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface UserEndpointRow {
	id: EndpointId;
	/** The manager. */
	endpoint_id: EndpointId;
	owner_id: AccountId;
	config: Record<string, unknown>;
	runtime: Record<string, unknown>;
	asked_at: Date | null;
	/** Why the last start failed; null while nobody knows. */
	start_error: string | null;
	last_seen_at: Date | null;
	heartbeat_period_ms: number | null;
	active: boolean;
}

const columns =
	"id, endpoint_id, owner_id, config, runtime, asked_at, start_error, last_seen_at, heartbeat_period_ms, active";

/** The row, made when it is new. Its id stands for everything else in it. */
export async function ensureUserEndpoint(
	session: Session,
	row: Pick<UserEndpointRow, "id" | "endpoint_id" | "owner_id" | "config" | "runtime">,
): Promise<UserEndpointRow> {
	await session.prepared(
		"ensure-user-endpoint",
		`insert into user_endpoints (id, endpoint_id, owner_id, config, runtime) values ($1, $2, $3, $4, $5)
		on conflict (id) do nothing`,
		[row.id, row.endpoint_id, row.owner_id, toJsonb(row.config), toJsonb(row.runtime)],
	);
	return (await findUserEndpoint(session, row.id)) as UserEndpointRow;
}

export async function findUserEndpoint(session: Session, id: EndpointId): Promise<UserEndpointRow | undefined> {
	const { rows } = await session.prepared<UserEndpointRow>(
		"find-user-endpoint",
		`select ${columns} from user_endpoints where id = $1`,
		[id],
	);
	return rows[0];
}

export async function userEndpointsOf(session: Session, endpoint: EndpointId): Promise<UserEndpointRow[]> {
	const { rows } = await session.query<UserEndpointRow>(
		`select ${columns} from user_endpoints where endpoint_id = $1`,
		[endpoint],
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

/** A command to start it is on its way: what was known of the process before holds no longer. */
export async function markAsked(session: Session, id: EndpointId): Promise<void> {
	await session.query("update user_endpoints set asked_at = now(), start_error = null, active = false where id = $1", [
		id,
	]);
}

/** What it said holds no longer: it is told again. */
export async function forgetStartError(session: Session, id: EndpointId): Promise<void> {
	await session.query("update user_endpoints set start_error = null where id = $1", [id]);
}

/** Its manager is new: whatever ran under the one before has ended with it. */
export async function markEnded(session: Session, endpoint: EndpointId): Promise<void> {
	await session.query("update user_endpoints set active = false where endpoint_id = $1", [endpoint]);
}

export async function recordStartError(session: Session, id: EndpointId, error: string): Promise<void> {
	await session.query("update user_endpoints set start_error = $2, active = false where id = $1", [id, error]);
}

/** Marks user endpoints as seen now; unknown ones are ignored. No user endpoint twice. */
export async function recordUserHeartbeats(session: Session, heartbeats: readonly Heartbeat[]): Promise<void> {
	await session.prepared(
		"record-user-heartbeats",
		`update user_endpoints u set last_seen_at = now(), heartbeat_period_ms = h.period_ms, active = h.active,
			details = h.details, start_error = null
		from unnest($1::uuid[], $2::int[], $3::boolean[], $4::jsonb[]) as h (id, period_ms, active, details)
		where u.id = h.id`,
		[
			heartbeats.map((h) => h.endpoint),
			heartbeats.map((h) => h.periodMs),
			heartbeats.map((h) => h.active),
			heartbeats.map((h) => toJsonb(h.details)),
		],
	);
}

export async function deleteUserEndpoints(session: Session, endpoint: EndpointId): Promise<void> {
	await session.query("delete from user_endpoints where endpoint_id = $1", [endpoint]);
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
