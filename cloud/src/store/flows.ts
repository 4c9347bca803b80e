/** Statements about flows: what somebody wrote and others may start. */
import type { AccountId, FlowId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

/** Who may do what with a flow, as principals (`urn:globus:auth:identity:…`, `urn:globus:groups:id:…`, `public`, …). */
export interface FlowRoles {
	viewers: string[];
	starters: string[];
	administrators: string[];
	run_managers: string[];
	run_monitors: string[];
}

export interface FlowRow extends FlowRoles {
	id: FlowId;
	seq: bigint;
	owner_id: AccountId;
	title: string;
	subtitle: string;
	description: string;
	keywords: string[];
	definition: unknown;
	input_schema: unknown;
	created_at: Date;
	updated_at: Date;
	deleted_at: Date | null;
}

/** What an author may write. */
export type FlowContent = Omit<FlowRow, "id" | "seq" | "owner_id" | "created_at" | "updated_at" | "deleted_at">;

const columns = `id, seq, owner_id, title, subtitle, description, keywords, definition, input_schema,
	viewers, starters, administrators, run_managers, run_monitors, created_at, updated_at, deleted_at`;

const valuesOf = (content: FlowContent): unknown[] => [
	content.title,
	content.subtitle,
	content.description,
	content.keywords,
	toJsonb(content.definition),
	toJsonb(content.input_schema),
	content.viewers,
	content.starters,
	content.administrators,
	content.run_managers,
	content.run_monitors,
];

/** May be repeated: the first one stays. */
export async function insertFlow(
	session: Session,
	id: FlowId,
	owner: AccountId,
	content: FlowContent,
): Promise<FlowRow> {
	const { rows } = await session.query<FlowRow>(
		`insert into flows (id, owner_id, title, subtitle, description, keywords, definition, input_schema,
			viewers, starters, administrators, run_managers, run_monitors)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		on conflict (id) do update set id = excluded.id returning ${columns}`,
		[id, owner, ...valuesOf(content)],
	);
	return rows[0] as FlowRow;
}

/** Also a deleted one: its runs still go by its roles. */
export async function findFlow(session: Session, id: FlowId): Promise<FlowRow | undefined> {
	const { rows } = await session.query<FlowRow>(`select ${columns} from flows where id = $1`, [id]);
	return rows[0];
}

/** Undefined when it has been deleted. Runs under way keep the definition that they started with. */
export async function updateFlow(session: Session, id: FlowId, content: FlowContent): Promise<FlowRow | undefined> {
	const { rows } = await session.query<FlowRow>(
		`update flows set title = $2, subtitle = $3, description = $4, keywords = $5, definition = $6, input_schema = $7,
			viewers = $8, starters = $9, administrators = $10, run_managers = $11, run_monitors = $12, updated_at = now()
		where id = $1 and deleted_at is null returning ${columns}`,
		[id, ...valuesOf(content)],
	);
	return rows[0];
}

/** May be repeated. */
export async function deleteFlow(session: Session, id: FlowId): Promise<void> {
	await session.query("update flows set deleted_at = now() where id = $1 and deleted_at is null", [id]);
}

/** Newest first: those of an account, and those that name one of the principals. `before`: only older ones. */
export async function flowsFor(
	session: Session,
	asking: { account: AccountId; principals: readonly string[] },
	filter: { before: bigint | undefined; text: string | undefined; limit: number },
): Promise<FlowRow[]> {
	const { rows } = await session.query<FlowRow>(
		`select ${columns} from flows
		where deleted_at is null and (owner_id = $1 or readers && $2::text[]) and ($3::bigint is null or seq < $3)
			and ($4::text is null or title ilike $4 or subtitle ilike $4 or description ilike $4)
		order by seq desc limit $5`,
		[
			asking.account,
			asking.principals,
			filter.before ?? null,
			filter.text === undefined ? null : `%${filter.text.replace(/[\\%_]/g, "\\$&")}%`,
			filter.limit,
		],
	);
	return rows;
}
