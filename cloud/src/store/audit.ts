/** Statements about the audit log. There is none that changes or removes an entry; the database refuses those. */
import type { AccountId } from "@errand/proto";
import type { Caller } from "../policy/caller.ts";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface AuditRow {
	id: bigint;
	at: Date;
	actor_id: AccountId;
	actor: string;
	acting_as: "account" | "endpoint" | "operator";
	action: string;
	thing: string;
	details: Record<string, unknown>;
}

/** What is written down. Reading is not, nor submitting (each task says itself whose it is), but for logins that a policy refused. */
export type AuditAction =
	| "account.create"
	| "account.admin"
	| "client.create"
	| "device.approve"
	| "function.open"
	| "function.delete"
	| "endpoint.register"
	| "endpoint.delete"
	| "endpoint.lock"
	| "endpoint.make-key"
	| "endpoint.clear"
	| "endpoint.share"
	| "endpoint.unshare"
	| "flow.change"
	| "flow.delete"
	| "run.cancel"
	| "run.release"
	| "transfer.create"
	| "project.create"
	| "policy.create"
	| "policy.change"
	| "policy.delete"
	| "policy.refuse"
	| "group.create"
	| "group.member"
	| "group.remove"
	| "group.delete";

/**
 * In the session of the change it tells of, where that has one: both are committed, or neither. `thing` is an id;
 * `details` hold no secret.
 */
export async function insertAudit(
	session: Pick<Session, "query">,
	caller: Caller,
	action: AuditAction,
	thing: string,
	details: Record<string, unknown> = {},
): Promise<void> {
	const actingAs = caller.operator ? "operator" : caller.kind;
	await session.query(
		"insert into audit (actor_id, actor, acting_as, action, thing, details) values ($1, $2, $3, $4, $5, $6::jsonb)",
		[caller.accountId, caller.username, actingAs, action, thing, toJsonb(details)],
	);
}

export interface AuditSearch {
	readonly actor?: AccountId | undefined;
	readonly thing?: string | undefined;
	/** The beginning of the action: `endpoint`, or `endpoint.share`. */
	readonly action?: string | undefined;
	readonly since?: Date | undefined;
	readonly until?: Date | undefined;
	readonly before?: bigint | undefined;
}

/** Newest first. */
export async function auditEntries(session: Session, search: AuditSearch, limit: number): Promise<AuditRow[]> {
	const { rows } = await session.query<AuditRow>(
		`select id, at, actor_id, actor, acting_as, action, thing, details from audit
		where ($1::uuid is null or actor_id = $1) and ($2::text is null or thing = $2)
			and ($3::text is null or action = $3 or starts_with(action, $3 || '.'))
			and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
			and ($6::bigint is null or id < $6)
		order by id desc limit $7`,
		[
			search.actor ?? null,
			search.thing ?? null,
			search.action ?? null,
			search.since ?? null,
			search.until ?? null,
			search.before ?? null,
			limit,
		],
	);
	return rows;
}
