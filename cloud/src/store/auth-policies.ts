/** Statements about authentication policies and the projects that they belong to. */
import type { AccountId, AuthPolicyId, AuthProjectId } from "@errand/proto";
import type { Session } from "./pool.ts";

export interface AuthPolicyRow {
	id: AuthPolicyId;
	owner_id: AccountId;
	project_id: AuthProjectId | null;
	name: string;
	description: string;
	include_domains: string[] | null;
	exclude_domains: string[] | null;
	session_age_s: number | null;
	created_at: Date;
	/** Whether the asking account administers its project. */
	project_admin: boolean;
	endpoints: bigint;
}

export interface AuthProjectRow {
	id: AuthProjectId;
	owner_id: AccountId;
	name: string;
	contact_email: string;
	admin_ids: string[];
	admin_group_ids: string[];
	/** Whether the asking account is among its administrators, by itself or by a group. */
	project_admin: boolean;
}

/** $1 is the asking account. */
const administers = (project: string): string => `(${project}.owner_id = $1 or $1 = any(${project}.admin_ids)
	or exists (select from account_group_members m where m.group_id = any(${project}.admin_group_ids) and m.account_id = $1))`;

const policies = `select p.id, p.owner_id, p.project_id, p.name, p.description, p.include_domains, p.exclude_domains,
		p.session_age_s, p.created_at, j.id is not null and ${administers("j")} as project_admin,
		(select count(*) from endpoints e where e.auth_policy_id = p.id) as endpoints
	from auth_policies p left join auth_projects j on j.id = p.project_id`;

/** `asking`: whose standing is told. */
export async function findAuthPolicy(
	session: Session,
	asking: AccountId,
	id: AuthPolicyId,
): Promise<AuthPolicyRow | undefined> {
	const { rows } = await session.query<AuthPolicyRow>(`${policies} where p.id = $2`, [asking, id]);
	return rows[0];
}

/** Those that the account owns or whose project it administers, by age, after one of them. */
export async function authPoliciesOf(
	session: Session,
	account: AccountId,
	after: { createdAt: Date; id: AuthPolicyId } | undefined,
	limit: number,
): Promise<AuthPolicyRow[]> {
	const { rows } = await session.query<AuthPolicyRow>(
		`${policies} where (p.owner_id = $1 or (j.id is not null and ${administers("j")}))
			and ($2::timestamptz is null or (date_trunc('milliseconds', p.created_at), p.id) > ($2, $3::uuid))
		order by date_trunc('milliseconds', p.created_at), p.id limit $4`,
		[account, after?.createdAt ?? null, after?.id ?? null, limit],
	);
	return rows;
}

export type NewAuthPolicy = Omit<AuthPolicyRow, "created_at" | "project_admin" | "endpoints">;

export async function insertAuthPolicy(session: Session, row: NewAuthPolicy): Promise<void> {
	await session.query(
		`insert into auth_policies (id, owner_id, project_id, name, description, include_domains, exclude_domains, session_age_s)
		values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do nothing`,
		[
			row.id,
			row.owner_id,
			row.project_id,
			row.name,
			row.description,
			row.include_domains,
			row.exclude_domains,
			row.session_age_s,
		],
	);
}

/** Owner and project stay. */
export async function updateAuthPolicy(session: Session, row: NewAuthPolicy): Promise<void> {
	await session.query(
		`update auth_policies set name = $2, description = $3, include_domains = $4, exclude_domains = $5, session_age_s = $6
		where id = $1`,
		[row.id, row.name, row.description, row.include_domains, row.exclude_domains, row.session_age_s],
	);
}

/** Names of endpoints that are registered with it, at most ten; keeps others from registering until the transaction ends. */
export async function lockAuthPolicy(session: Session, id: AuthPolicyId): Promise<string[]> {
	await session.query("select from auth_policies where id = $1 for update", [id]);
	const { rows } = await session.query<{ name: string }>(
		"select name from endpoints where auth_policy_id = $1 order by name limit 10",
		[id],
	);
	return rows.map((row) => row.name);
}

export async function deleteAuthPolicy(session: Session, id: AuthPolicyId): Promise<void> {
	await session.query("delete from auth_policies where id = $1", [id]);
}

/** Those that the account owns or administers; oldest first. */
export async function authProjectsOf(session: Session, account: AccountId, limit: number): Promise<AuthProjectRow[]> {
	const { rows } = await session.query<AuthProjectRow>(
		`select id, owner_id, name, contact_email, admin_ids, admin_group_ids, true as project_admin from auth_projects j
		where ${administers("j")} order by created_at, id limit $2`,
		[account, limit],
	);
	return rows;
}

/** `asking`: whose standing is told. */
export async function findAuthProject(
	session: Session,
	asking: AccountId,
	id: AuthProjectId,
): Promise<AuthProjectRow | undefined> {
	const { rows } = await session.query<AuthProjectRow>(
		`select id, owner_id, name, contact_email, admin_ids, admin_group_ids, ${administers("j")} as project_admin
		from auth_projects j where id = $2`,
		[asking, id],
	);
	return rows[0];
}

export async function insertAuthProject(session: Session, row: Omit<AuthProjectRow, "project_admin">): Promise<void> {
	await session.query(
		`insert into auth_projects (id, owner_id, name, contact_email, admin_ids, admin_group_ids)
		values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing`,
		[row.id, row.owner_id, row.name, row.contact_email, row.admin_ids, row.admin_group_ids],
	);
}
