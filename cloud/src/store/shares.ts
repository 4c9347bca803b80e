/** Statements about endpoints that are shared, and how much guests have used. */
import type { AccountGroupId, AccountId, EndpointId, FunctionId, ShareId } from "@errand/proto";
import { type EndpointRow, endpointColumns } from "./endpoints.ts";
import type { Session } from "./pool.ts";

export interface ShareRow {
	id: ShareId;
	endpoint_id: EndpointId;
	account_id: AccountId | null;
	username: string | null;
	group_id: AccountGroupId | null;
	group_name: string | null;
	tasks_per_day: number | null;
	functions: FunctionId[] | null;
	container_image: string | null;
	shared_by: AccountId;
	created_at: Date;
}

export type NewShare = Omit<ShareRow, "username" | "group_name" | "created_at">;

/** Makes it, or changes the one with the same account or group; returns its id. */
export async function upsertShare(session: Session, share: NewShare): Promise<ShareId> {
	const target = share.account_id === null ? "group_id" : "account_id";
	const { rows } = await session.query<{ id: ShareId }>(
		`insert into endpoint_shares (id, endpoint_id, account_id, group_id, tasks_per_day, functions, container_image, shared_by)
		values ($1, $2, $3, $4, $5, $6::uuid[], $7, $8)
		on conflict (endpoint_id, ${target}) where ${target} is not null do update set tasks_per_day = excluded.tasks_per_day,
			functions = excluded.functions, container_image = excluded.container_image, shared_by = excluded.shared_by
		returning id`,
		[
			share.id,
			share.endpoint_id,
			share.account_id,
			share.group_id,
			share.tasks_per_day,
			share.functions,
			share.container_image,
			share.shared_by,
		],
	);
	return (rows[0] as { id: ShareId }).id;
}

/** The oldest first. */
export async function sharesOfEndpoint(session: Session, endpoint: EndpointId): Promise<ShareRow[]> {
	const { rows } = await session.query<ShareRow>(
		`select s.id, s.endpoint_id, s.account_id, a.username, s.group_id, g.name as group_name, s.tasks_per_day, s.functions,
			s.container_image, s.shared_by, s.created_at
		from endpoint_shares s left join accounts a on a.id = s.account_id left join account_groups g on g.id = s.group_id
		where s.endpoint_id = $1 order by s.created_at, s.id`,
		[endpoint],
	);
	return rows;
}

export async function countShares(session: Session, endpoint: EndpointId): Promise<number> {
	const { rows } = await session.query<{ count: bigint }>(
		"select count(*) as count from endpoint_shares where endpoint_id = $1",
		[endpoint],
	);
	return Number(rows[0]?.count ?? 0);
}

export async function deleteShare(session: Session, endpoint: EndpointId, share: ShareId): Promise<void> {
	await session.query("delete from endpoint_shares where endpoint_id = $1 and id = $2", [endpoint, share]);
}

export async function deleteSharesOfEndpoint(session: Session, endpoint: EndpointId): Promise<void> {
	await session.query("delete from endpoint_shares where endpoint_id = $1", [endpoint]);
}

/** Every way in which the endpoint is shared with the account, the oldest first. */
export async function invitationsTo(
	session: Session,
	endpoint: EndpointId,
	account: AccountId,
): Promise<Pick<ShareRow, "account_id" | "tasks_per_day" | "functions" | "container_image">[]> {
	const { rows } = await session.prepared<
		Pick<ShareRow, "account_id" | "tasks_per_day" | "functions" | "container_image">
	>(
		"invitations-to",
		`select account_id, tasks_per_day, functions, container_image from endpoint_shares s where endpoint_id = $1
			and (account_id = $2 or exists (
				select from account_group_members m where m.group_id = s.group_id and m.account_id = $2
			))
		order by created_at, id`,
		[endpoint, account],
	);
	return rows;
}

/** Endpoints that are shared with the account, by name; of one name, or all. Not its own. */
export async function endpointsSharedWith(
	session: Session,
	account: AccountId,
	name: string | undefined,
	limit: number,
): Promise<EndpointRow[]> {
	const { rows } = await session.query<EndpointRow>(
		`select ${endpointColumns} from endpoints where deleted_at is null and owner_id <> $1 and ($2::text is null or name = $2)
			and id in (
				select endpoint_id from endpoint_shares where account_id = $1
				union select s.endpoint_id from account_group_members m join endpoint_shares s on s.group_id = m.group_id
					where m.account_id = $1
			)
		order by name, id limit $3`,
		[account, name ?? null, limit],
	);
	return rows;
}

/** Counts a guest's tasks of today (UTC); false when they would be more than the limit: then none is counted. */
export async function takeTasks(
	session: Session,
	endpoint: EndpointId,
	account: AccountId,
	count: number,
	limit: number,
): Promise<boolean> {
	const { rowCount } = await session.prepared(
		"take-tasks",
		`insert into endpoint_usage as u (endpoint_id, account_id, day, tasks)
		select $1, $2, (now() at time zone 'utc')::date, $3::bigint where $3::bigint <= $4::bigint
		on conflict (endpoint_id, account_id, day) do update set tasks = u.tasks + excluded.tasks
		where u.tasks + excluded.tasks <= $4::bigint`,
		[endpoint, account, count, limit],
	);
	return rowCount === 1;
}

/** Takes back what {@link takeTasks} counted for tasks that were not recorded. */
export async function giveBackTasks(
	session: Session,
	endpoint: EndpointId,
	account: AccountId,
	count: number,
): Promise<void> {
	await session.query(
		`update endpoint_usage set tasks = greatest(0, tasks - $3::bigint)
		where endpoint_id = $1 and account_id = $2 and day = (now() at time zone 'utc')::date`,
		[endpoint, account, count],
	);
}

/** How many of today's tasks are counted. */
export async function tasksTaken(session: Session, endpoint: EndpointId, account: AccountId): Promise<number> {
	const { rows } = await session.query<{ tasks: bigint }>(
		`select tasks from endpoint_usage where endpoint_id = $1 and account_id = $2 and day = (now() at time zone 'utc')::date`,
		[endpoint, account],
	);
	return Number(rows[0]?.tasks ?? 0);
}
