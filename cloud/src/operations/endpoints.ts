/** Endpoints: read, list, lock, delete, key. */
import { type EndpointId, Fault, parseId } from "@errand/proto";
import type { EndpointSummary, endpointRegistration } from "@errand/proto/rest";
import type * as z from "zod";
import type { Caller } from "../policy/caller.ts";
import { may } from "../policy/policy.ts";
import { insertAudit } from "../store/audit.ts";
import {
	countUnfinished,
	deleteEndpoint,
	type EndpointRow,
	endpointsOfOwner,
	findEndpoint,
	findEndpointByName,
	lockEndpoint,
} from "../store/endpoints.ts";
import { deleteSharesOfEndpoint, endpointsSharedWith } from "../store/shares.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { isOnline } from "./presence.ts";
import { type Standings, endpointThing as thingOf } from "./standing.ts";

type EndpointOperations = Pick<
	Operations,
	| "getEndpoint"
	| "getEndpointMetadata"
	| "listEndpoints"
	| "listSharedEndpoints"
	| "deleteEndpoint"
	| "lockEndpoint"
	| "allowedFunctions"
	| "makeEndpointKey"
>;

/** How long `POST …/lock` keeps registrations out. */
const lockMs = 60_000;
/** A list of endpoints without pages ends here. */
const sharedLimit = 1_000;

export function endpointOperations(ports: Ports, standings: Standings): EndpointOperations {
	const { database, broker, userEndpoints, keys, events } = ports;

	async function find(id: EndpointId): Promise<EndpointRow> {
		const row = await findEndpoint(database, id);
		if (row === undefined)
			throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
		return row;
	}

	/** The one of that name among those that others share with the caller; throws when there are several. */
	async function findShared(caller: Caller, name: string): Promise<EndpointRow | undefined> {
		if (caller.kind !== "account") return undefined;
		const [row, ...others] = await endpointsSharedWith(database, caller.accountId, name, 2);
		if (others.length === 0) return row;
		throw new Fault("RESOURCE_CONFLICT", `several endpoints named ${name} are shared with you; say the id of one`, {
			args: [name],
		});
	}

	return {
		async getEndpoint(caller, idOrName) {
			const id = parseId<EndpointId>(idOrName);
			const row =
				id === undefined
					? ((await findEndpointByName(database, caller.accountId, idOrName)) ?? (await findShared(caller, idOrName)))
					: await find(id);
			if (row === undefined)
				throw new Fault(
					"ENDPOINT_NOT_FOUND",
					`you have no endpoint named ${idOrName}, and none of that name is shared with you`,
					{ args: [idOrName] },
				);
			await standings.permitEndpoint(caller, "endpoint.read", row);
			const counts = await countUnfinished(database, [row.id]);
			return toSummary(row, counts.get(row.id) ?? 0, may(caller, "endpoint.delete", thingOf(row)));
		},

		async getEndpointMetadata(caller, id) {
			const row = await find(id);
			await standings.permitEndpoint(caller, "endpoint.read", row);
			return toMetadata(row, may(caller, "endpoint.delete", thingOf(row)));
		},

		async listEndpoints(caller, request) {
			permit(caller, "endpoint.create");
			const [afterName = ""] = partsOf(request.cursor, 1);
			const rows = await endpointsOfOwner(database, caller.accountId, afterName, request.limit + 1);
			const counts = await countUnfinished(
				database,
				rows.map((row) => row.id),
			);
			return toPage(
				rows,
				request.limit,
				(row) => toSummary(row, counts.get(row.id) ?? 0, true),
				(row) => cursorOf(row.name),
			);
		},

		async listSharedEndpoints(caller) {
			permit(caller, "endpoint.create");
			const rows = await endpointsSharedWith(database, caller.accountId, undefined, sharedLimit);
			const counts = await countUnfinished(
				database,
				rows.map((row) => row.id),
			);
			return rows.map((row) => toSummary(row, counts.get(row.id) ?? 0, false));
		},

		async deleteEndpoint(caller, id) {
			const row = await find(id);
			permit(caller, "endpoint.delete", thingOf(row), id);
			const open = (await countUnfinished(database, [id])).get(id) ?? 0;
			if (open > 0)
				throw new Fault(
					"RESOURCE_CONFLICT",
					`endpoint ${row.name} has ${open} unfinished tasks that nobody else can run; cancel them first (errand task cancel --endpoint ${row.name})`,
					{ args: [id] },
				);
			// Until it is gone from the list, too, its daemon must not register again. Its key stays for a while (sweep.ts): the
			// daemon is told by it that the endpoint was deleted, and ends its blocks.
			await lockEndpoint(database, id, lockMs);
			await broker.removeEndpoint(id);
			events.emit("endpoint:changed", { endpoint: id });
			await userEndpoints.remove(id);
			await database.transaction(async (session) => {
				await deleteEndpoint(session, id);
				// Whoever registers the id again invites anew.
				await deleteSharesOfEndpoint(session, id);
				await insertAudit(session, caller, "endpoint.delete", id, { name: row.name });
			});
		},

		async lockEndpoint(caller, id) {
			const row = await find(id);
			permit(caller, "endpoint.lock", thingOf(row), id);
			const until = await lockEndpoint(database, id, lockMs);
			await insertAudit(database, caller, "endpoint.lock", id, { name: row.name });
			await broker.revokeEndpoint(id);
			await userEndpoints.revoke(id);
			return until ?? new Date(Date.now() + lockMs);
		},

		async allowedFunctions(caller, id) {
			const row = await find(id);
			await standings.permitEndpoint(caller, "endpoint.read", row);
			return { restricted: row.allowed_functions !== null, functions: row.allowed_functions ?? [] };
		},

		async makeEndpointKey(caller, id) {
			const row = await find(id);
			permit(caller, "endpoint.make-key", thingOf(row), id);
			const { clientId, clientSecret } = await keys.createEndpointKey(id, row.owner_id);
			await insertAudit(database, caller, "endpoint.make-key", id, { name: row.name });
			return { client_id: clientId, client_secret: clientSecret, token_endpoint: ports.tokenEndpoint };
		},
	};
}

/** `whole`: also what only the owner and administrators see. */
function toSummary(row: EndpointRow, unfinished: number, whole: boolean): EndpointSummary {
	const host = metadataOf(row).hostname ?? row.details.hostname;
	return {
		id: row.id,
		name: row.name,
		display_name: row.display_name,
		owner_id: row.owner_id,
		status: isOnline(row, Date.now()) ? "online" : "offline",
		last_seen_at: row.last_seen_at?.toISOString() ?? null,
		host: whole && typeof host === "string" ? host : null,
		public: row.public,
		details: whole ? row.details : {},
		unfinished_tasks: unfinished,
		created_at: row.created_at.toISOString(),
	};
}

function metadataOf(row: EndpointRow): Record<string, unknown> {
	return (row.registration as z.output<typeof endpointRegistration>).metadata ?? {};
}

const publicMetadata = [
	"endpoint_config",
	"user_config_template",
	"user_config_schema",
	"description",
	"hostname",
	"local_user",
	"ip_address",
	"endpoint_version",
	"sdk_version",
	"python_version",
] as const;

/** Left out for everybody but those who run it: configurations hold paths, accounts and whatever people write there. */
const ownMetadata: readonly string[] = ["endpoint_config", "user_config_template", "local_user", "ip_address"];

/** `whole`: also what only the owner and administrators see. */
function toMetadata(row: EndpointRow, whole: boolean): Record<string, unknown> {
	const metadata = metadataOf(row);
	const registration = row.registration as z.output<typeof endpointRegistration>;
	const told = publicMetadata.filter(
		(key) => metadata[key] !== undefined && metadata[key] !== null && (whole || !ownMetadata.includes(key)),
	);
	return {
		uuid: row.id,
		name: row.name,
		display_name: row.display_name ?? row.name,
		multi_user: registration.multi_user ?? false,
		high_assurance: registration.high_assurance ?? false,
		public: row.public,
		...Object.fromEntries(told.map((key) => [key, metadata[key]])),
		subscription_uuid: registration.subscription_uuid ?? null,
		subscription_admin_verified: false,
	};
}
