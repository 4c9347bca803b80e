/** Which user endpoints a manager has, for whoever may know. */
import { type EndpointId, Fault, parseId } from "@errand/proto";
import type { UserEndpointSummary } from "@errand/proto/rest";
import { may } from "../policy/policy.ts";
import { findEndpoint } from "../store/endpoints.ts";
import { type ListedUserEndpoint, listUserEndpoints } from "../store/user-endpoints.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import type { Ports } from "./ports.ts";
import { isOnline } from "./presence.ts";
import { endpointThing, type Standings } from "./standing.ts";

export function userEndpointOperations(
	{ database }: Pick<Ports, "database">,
	standings: Standings,
): Pick<Operations, "listUserEndpoints"> {
	return {
		async listUserEndpoints(caller, id, request) {
			const row = await findEndpoint(database, id);
			if (row === undefined)
				throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
			await standings.permitEndpoint(caller, "user-endpoint.list", row);
			const all = may(caller, "user-endpoint.list-all", endpointThing(row));
			const rows = await listUserEndpoints(database, {
				endpoint: id,
				owner: all ? undefined : caller.accountId,
				after: placeOf(request.cursor),
				limit: request.limit + 1,
			});
			const nowMs = Date.now();
			return toPage(
				rows,
				request.limit,
				(one) => toSummary(one, nowMs),
				(one) => cursorOf(one.created_at.toISOString(), one.id),
			);
		},
	};
}

/** Undefined without a cursor. */
function placeOf(cursor: string | undefined): { createdAt: Date; id: EndpointId } | undefined {
	const [time, last] = partsOf(cursor, 2);
	if (time === undefined || last === undefined) return undefined;
	const createdAt = new Date(time);
	const id = parseId<EndpointId>(last);
	if (id === undefined || Number.isNaN(createdAt.getTime()))
		throw new Fault("REQUEST_MALFORMED", "this cursor did not come from this list");
	return { createdAt, id };
}

function toSummary(row: ListedUserEndpoint, nowMs: number): UserEndpointSummary {
	const absent = row.start_error === null ? "offline" : "failed";
	return {
		id: row.id,
		owner: { id: row.owner_id, username: row.username },
		config: row.config,
		runtime: row.runtime,
		status: isOnline(row, nowMs) ? "online" : absent,
		start_error: row.start_error,
		last_seen_at: row.last_seen_at?.toISOString() ?? null,
		unfinished_tasks: Number(row.unfinished),
	};
}
