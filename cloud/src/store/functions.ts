/** Statements about registered functions. A function never changes; deleting hides it. */
import type { AccountGroupId, AccountId, FunctionId } from "@errand/proto";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface FunctionRow {
	id: FunctionId;
	owner_id: AccountId;
	name: string;
	/** The wire's number. */
	runtime: number;
	/** Packed. */
	code: string;
	description: string | null;
	public: boolean;
	/** Its members may use it. */
	group_id: AccountGroupId | null;
	metadata: Record<string, unknown>;
	created_at: Date;
}

const columns = "id, owner_id, name, runtime, code, description, public, group_id, metadata, created_at";

export async function insertFunction(session: Session, row: Omit<FunctionRow, "created_at">): Promise<void> {
	await session.query(
		`insert into functions (id, owner_id, name, runtime, code, description, public, group_id, metadata)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing`,
		[
			row.id,
			row.owner_id,
			row.name,
			row.runtime,
			row.code,
			row.description,
			row.public,
			row.group_id,
			toJsonb(row.metadata),
		],
	);
}

/** In no order. `deleted`: also those deleted since, for tasks that named them before. */
export async function findFunctions(
	session: Session,
	ids: readonly FunctionId[],
	deleted: "deleted too" | "living",
): Promise<FunctionRow[]> {
	const { rows } = await session.query<FunctionRow>(
		`select ${columns} from functions where id = any($1::uuid[]) ${deleted === "living" ? "and deleted_at is null" : ""}`,
		[ids],
	);
	return rows;
}

/** Newest first, after a position in that order. */
export async function functionsOfOwner(
	session: Session,
	owner: AccountId,
	after: { createdAt: Date; id: FunctionId } | undefined,
	limit: number,
): Promise<Omit<FunctionRow, "code">[]> {
	const { rows } = await session.query<Omit<FunctionRow, "code">>(
		`select id, owner_id, name, runtime, description, public, group_id, metadata, created_at from functions
		where owner_id = $1 and deleted_at is null
			and ($2::timestamptz is null or (date_trunc('milliseconds', created_at), id) < ($2, $3::uuid))
		order by date_trunc('milliseconds', created_at) desc, id desc limit $4`,
		[owner, after?.createdAt ?? null, after?.id ?? null, limit],
	);
	return rows;
}

export async function deleteFunction(session: Session, id: FunctionId): Promise<void> {
	await session.query("update functions set deleted_at = now() where id = $1 and deleted_at is null", [id]);
}
