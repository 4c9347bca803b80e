/** Statements about groups of accounts and who is in them. */
import type { AccountGroupId, AccountId } from "@errand/proto";
import type { Session } from "./pool.ts";

export interface AccountGroupRow {
	id: AccountGroupId;
	name: string;
	description: string;
	created_at: Date;
	members: bigint;
	/** How the asking account belongs to it; null: it does not. */
	membership: "member" | "admin" | null;
}

export interface MemberRow {
	account_id: AccountId;
	username: string;
	admin: boolean;
	added_at: Date;
}

const columns = `g.id, g.name, g.description, g.created_at,
	(select count(*) from account_group_members c where c.group_id = g.id) as members,
	(select case when m.admin then 'admin' else 'member' end from account_group_members m where m.group_id = g.id and m.account_id = $1) as membership`;

/** False when the name is taken, whatever its case. */
export async function insertAccountGroup(
	session: Session,
	group: { id: AccountGroupId; name: string; description: string },
): Promise<boolean> {
	const { rowCount } = await session.query(
		"insert into account_groups (id, name, description) values ($1, $2, $3) on conflict do nothing",
		[group.id, group.name, group.description],
	);
	return rowCount === 1;
}

/** `asking`: whose membership is told. */
export async function findAccountGroup(
	session: Session,
	asking: AccountId,
	id: AccountGroupId,
): Promise<AccountGroupRow | undefined> {
	const { rows } = await session.query<AccountGroupRow>(
		`select ${columns} from account_groups g where g.id = $2 and g.deleted_at is null`,
		[asking, id],
	);
	return rows[0];
}

export async function findAccountGroupByName(
	session: Session,
	asking: AccountId,
	name: string,
): Promise<AccountGroupRow | undefined> {
	const { rows } = await session.query<AccountGroupRow>(
		`select ${columns} from account_groups g where lower(g.name) = lower($2) and g.deleted_at is null`,
		[asking, name],
	);
	return rows[0];
}

/** By name, after a name. */
export async function accountGroupsOf(
	session: Session,
	account: AccountId,
	afterName: string,
	limit: number,
): Promise<AccountGroupRow[]> {
	const { rows } = await session.query<AccountGroupRow>(
		`select ${columns} from account_group_members own join account_groups g on g.id = own.group_id
		where own.account_id = $1 and g.deleted_at is null and lower(g.name) > $2 order by lower(g.name) limit $3`,
		[account, afterName, limit],
	);
	return rows;
}

/** By username. */
export async function membersOf(session: Session, group: AccountGroupId): Promise<MemberRow[]> {
	const { rows } = await session.query<MemberRow>(
		`select m.account_id, a.username, m.admin, m.added_at from account_group_members m join accounts a on a.id = m.account_id
		where m.group_id = $1 order by lower(a.username)`,
		[group],
	);
	return rows;
}

export async function membershipOf(
	session: Session,
	group: AccountGroupId,
	account: AccountId,
): Promise<"member" | "admin" | undefined> {
	const { rows } = await session.prepared<{ admin: boolean }>(
		"membership-of",
		"select admin from account_group_members where group_id = $1 and account_id = $2",
		[group, account],
	);
	return rows[0] && (rows[0].admin ? "admin" : "member");
}

/** Makes a member, or changes whether it may change the group. */
export async function upsertMember(
	session: Session,
	group: AccountGroupId,
	account: AccountId,
	admin: boolean,
): Promise<void> {
	await session.query(
		`insert into account_group_members (group_id, account_id, admin) values ($1, $2, $3)
		on conflict (group_id, account_id) do update set admin = excluded.admin`,
		[group, account, admin],
	);
}

export async function deleteMember(session: Session, group: AccountGroupId, account: AccountId): Promise<void> {
	await session.query("delete from account_group_members where group_id = $1 and account_id = $2", [group, account]);
}

/** Keeps changes of one group apart until the transaction ends. */
export async function lockAccountGroup(session: Session, group: AccountGroupId): Promise<void> {
	await session.query("select from account_groups where id = $1 for update", [group]);
}

export async function countGroupAdmins(session: Session, group: AccountGroupId): Promise<number> {
	const { rows } = await session.query<{ count: bigint }>(
		"select count(*) as count from account_group_members where group_id = $1 and admin",
		[group],
	);
	return Number(rows[0]?.count ?? 0);
}

/** Its members and what was shared with it go with it; functions registered for it are their owners' only. */
export async function deleteAccountGroup(session: Session, group: AccountGroupId): Promise<void> {
	await session.query("delete from endpoint_shares where group_id = $1", [group]);
	await session.query("delete from account_group_members where group_id = $1", [group]);
	await session.query("update account_groups set deleted_at = now() where id = $1", [group]);
}

/** An account that can log in, by id or by username; an id goes before a username that looks like one. */
export async function findAccount(
	session: Session,
	idOrName: string,
): Promise<{ id: AccountId; username: string; admin: boolean } | undefined> {
	const { rows } = await session.query<{ id: AccountId; username: string; admin: boolean }>(
		`select id, username, admin from accounts where (id::text = lower($1) or lower(username) = lower($1)) and disabled_at is null
		order by id::text = lower($1) desc limit 1`,
		[idOrName],
	);
	return rows[0];
}

/**
 * Changes who administers this cloud; call it in a transaction. False when nobody would be left who can log in: nothing
 * was changed.
 */
export async function setAdministrator(session: Session, account: AccountId, admin: boolean): Promise<boolean> {
	// Two who resign at the same time must see each other.
	await session.query("select from accounts where admin order by id for update");
	if (!admin) {
		const { rows } = await session.query<{ count: bigint }>(
			"select count(*) as count from accounts where admin and kind <> 'client' and disabled_at is null and id <> $1",
			[account],
		);
		if (Number(rows[0]?.count ?? 0) === 0) return false;
	}
	await session.query("update accounts set admin = $2 where id = $1", [account, admin]);
	return true;
}

/** The groups that an account is in. */
export async function groupIdsOf(session: Session, account: AccountId): Promise<AccountGroupId[]> {
	const { rows } = await session.prepared<{ group_id: AccountGroupId }>(
		"group-ids-of",
		"select group_id from account_group_members where account_id = $1",
		[account],
	);
	return rows.map((row) => row.group_id);
}
