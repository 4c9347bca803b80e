/** How callers stand to flows and runs: principals that documents name, and the roles that follow from them. */
import type { AccountId } from "@errand/proto";
import type { Caller } from "../policy/caller.ts";
import type { FlowRole, Thing } from "../policy/policy.ts";
import { groupIdsOf } from "../store/account-groups.ts";
import type { FlowRow } from "../store/flows.ts";
import type { Session } from "../store/pool.ts";
import type { RunRow } from "../store/runs.ts";

export const identityUrn = (account: AccountId): string => `urn:globus:auth:identity:${account}`;

/** Everything that means the caller. An endpoint's key is nobody's principal. */
export async function principalsOf(session: Session, caller: Caller): Promise<string[]> {
	if (caller.kind !== "account") return [];
	const groups = await groupIdsOf(session, caller.accountId);
	return [
		identityUrn(caller.accountId),
		...groups.map((group) => `urn:globus:groups:id:${group}`),
		"public",
		"all_authenticated_users",
	];
}

type Lists = readonly (readonly [FlowRole, readonly string[]])[];

function rolesIn(principals: readonly string[], lists: Lists): Set<FlowRole> {
	return new Set(lists.flatMap(([role, list]) => (list.some((one) => principals.includes(one)) ? [role] : [])));
}

export function flowThing(row: FlowRow, principals: readonly string[]): Thing {
	const roles = rolesIn(principals, [
		["flow-viewer", row.viewers],
		["flow-starter", row.starters],
		["flow-administrator", row.administrators],
	]);
	return { ownerId: row.owner_id, roles };
}

/** The flow's owner looks after its runs as its administrators do. */
export function runThing(row: RunRow, caller: Caller, principals: readonly string[]): Thing {
	const { administrators, run_managers, run_monitors } = row.flow_roles;
	const roles = rolesIn(principals, [
		["run-manager", [...row.managers, ...run_managers]],
		["run-monitor", [...row.monitors, ...run_monitors]],
		["flow-administrator", administrators],
	]);
	if (caller.accountId === row.flow_owner_id) roles.add("flow-administrator");
	return { ownerId: row.owner_id, roles };
}
