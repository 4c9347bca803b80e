/** Statements about task groups. */
import type { AccountId, TaskGroupId } from "@errand/proto";
import type { Session } from "./pool.ts";

export interface GroupRow {
	id: TaskGroupId;
	owner_id: AccountId;
	result_queue: boolean;
}

/** Makes the group unless it is there; returns it as it is. May be repeated. */
export async function ensureGroup(
	session: Session,
	id: TaskGroupId,
	owner: AccountId,
	resultQueue: boolean,
): Promise<GroupRow> {
	const { rows } = await session.query<GroupRow>(
		`insert into task_groups (id, owner_id, result_queue) values ($1, $2, $3)
		on conflict (id) do update set result_queue = task_groups.result_queue or (excluded.result_queue and task_groups.owner_id = $2)
		returning id, owner_id, result_queue`,
		[id, owner, resultQueue],
	);
	return rows[0] as GroupRow;
}

export async function findGroup(session: Session, id: TaskGroupId): Promise<GroupRow | undefined> {
	const { rows } = await session.query<GroupRow>("select id, owner_id, result_queue from task_groups where id = $1", [
		id,
	]);
	return rows[0];
}
