/** Statements about endpoints: registration, heartbeat. */
import type { AccountId, AuthPolicyId, EndpointId, FunctionId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface EndpointRow {
	id: EndpointId;
	owner_id: AccountId;
	name: string;
	display_name: string | null;
	public: boolean;
	allowed_functions: FunctionId[] | null;
	registration: Record<string, unknown>;
	auth_policy_id: AuthPolicyId | null;
	journal_id: string | null;
	created_at: Date;
	locked_until: Date | null;
	lease_epoch: bigint;
	lease_holder: string | null;
	lease_host: string | null;
	lease_pid: number | null;
	lease_expires_at: Date | null;
	last_seen_at: Date | null;
	heartbeat_period_ms: number | null;
	active: boolean;
	details: Record<string, unknown>;
}

/** As {@link EndpointRow} has them. */
export const endpointColumns = `id, owner_id, name, display_name, public, allowed_functions, registration, auth_policy_id, journal_id, created_at, locked_until,
	lease_epoch, lease_holder, lease_host, lease_pid, lease_expires_at, last_seen_at, heartbeat_period_ms, active, details`;

export async function findEndpoint(session: Session, id: EndpointId): Promise<EndpointRow | undefined> {
	const { rows } = await session.prepared<EndpointRow>(
		"find-endpoint",
		`select ${endpointColumns} from endpoints where id = $1 and deleted_at is null`,
		[id],
	);
	return rows[0];
}

/** Whether the id was ever taken: an id belongs for ever to whoever registered it first. */
export async function ownerOfEndpoint(session: Session, id: EndpointId): Promise<AccountId | undefined> {
	const { rows } = await session.query<{ owner_id: AccountId }>("select owner_id from endpoints where id = $1", [id]);
	return rows[0]?.owner_id;
}

export async function findEndpointByName(
	session: Session,
	owner: AccountId,
	name: string,
): Promise<EndpointRow | undefined> {
	const { rows } = await session.query<EndpointRow>(
		`select ${endpointColumns} from endpoints where owner_id = $1 and name = $2 and deleted_at is null`,
		[owner, name],
	);
	return rows[0];
}

export interface Registration {
	id: EndpointId;
	owner: AccountId;
	name: string;
	displayName: string | null;
	public: boolean;
	allowedFunctions: readonly string[] | null;
	registration: Record<string, unknown>;
	authPolicy: AuthPolicyId | null;
}

/** Whether a statement failed because what it names has been deleted. */
export function isMissingReference(cause: unknown): boolean {
	return (cause as { code?: unknown } | undefined)?.code === "23503";
}

/** Makes or renews; false when the name is taken by another endpoint of this owner, or the id by another owner. */
export async function upsertEndpoint(session: Session, row: Registration): Promise<boolean> {
	const { rowCount } = await session.query(
		`insert into endpoints (id, owner_id, name, display_name, public, allowed_functions, registration, auth_policy_id)
		select $1, $2, $3, $4, $5, $6::uuid[], $7, $8
		where not exists (select from endpoints where owner_id = $2 and name = $3 and id <> $1 and deleted_at is null)
		on conflict (id) do update set name = excluded.name, display_name = excluded.display_name, public = excluded.public,
			allowed_functions = excluded.allowed_functions, registration = excluded.registration,
			auth_policy_id = excluded.auth_policy_id, deleted_at = null
		where endpoints.owner_id = excluded.owner_id`,
		[
			row.id,
			row.owner,
			row.name,
			row.displayName,
			row.public,
			row.allowedFunctions,
			toJsonb(row.registration),
			row.authPolicy,
		],
	);
	return rowCount === 1;
}

export async function setJournal(session: Session, id: EndpointId, journal: string | null): Promise<void> {
	await session.query("update endpoints set journal_id = $2 where id = $1", [id, journal]);
}

/** By name, after a name. */
export async function endpointsOfOwner(
	session: Session,
	owner: AccountId,
	afterName: string,
	limit: number,
): Promise<EndpointRow[]> {
	const { rows } = await session.query<EndpointRow>(
		`select ${endpointColumns} from endpoints where owner_id = $1 and name > $2 and deleted_at is null order by name limit $3`,
		[owner, afterName, limit],
	);
	return rows;
}

/** Counts stop at 100,001 for each: enough to say "many". */
export async function countUnfinished(session: Session, ids: readonly EndpointId[]): Promise<Map<EndpointId, number>> {
	const { rows } = await session.query<{ id: EndpointId; count: bigint }>(
		`select e.id, (select count(*) from (select from tasks t where t.endpoint_id = e.id and t.finished_seq is null limit 100001) counted) as count
		from unnest($1::uuid[]) as e (id)`,
		[ids],
	);
	return new Map(rows.map((row) => [row.id, Number(row.count)]));
}

export async function deleteEndpoint(session: Session, id: EndpointId): Promise<void> {
	await session.query(
		`update endpoints set deleted_at = now(), active = false, lease_holder = null, locked_until = null, auth_policy_id = null
		where id = $1`,
		[id],
	);
}

export async function lockEndpoint(session: Session, id: EndpointId, forMs: number): Promise<Date | undefined> {
	const { rows } = await session.query<{ locked_until: Date }>(
		`update endpoints set locked_until = now() + $2 * interval '1 millisecond', active = false
		where id = $1 and deleted_at is null returning locked_until`,
		[id, forMs],
	);
	return rows[0]?.locked_until;
}

export interface Heartbeat {
	readonly endpoint: EndpointId;
	readonly periodMs: number;
	readonly active: boolean;
	/** The heartbeat's `global_state` as it came. */
	readonly details: Record<string, unknown>;
}

/**
 * Marks endpoints as seen now, and returns which; unknown ones are ignored. No endpoint twice. A locked one is not active:
 * what it says was sent before its connections were ended.
 */
export async function recordHeartbeats(
	session: Session,
	heartbeats: readonly Heartbeat[],
): Promise<ReadonlySet<EndpointId>> {
	const { rows } = await session.prepared<{ id: EndpointId }>(
		"record-heartbeats",
		`update endpoints e set last_seen_at = now(), heartbeat_period_ms = h.period_ms,
			active = h.active and coalesce(e.locked_until < now(), true), details = h.details
		from unnest($1::uuid[], $2::int[], $3::boolean[], $4::jsonb[]) as h (id, period_ms, active, details)
		where e.id = h.id and e.deleted_at is null returning e.id`,
		[
			heartbeats.map((h) => h.endpoint),
			heartbeats.map((h) => h.periodMs),
			heartbeats.map((h) => h.active),
			heartbeats.map((h) => toJsonb(h.details)),
		],
	);
	return new Set(rows.map((row) => row.id));
}
