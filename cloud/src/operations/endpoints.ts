/** Endpoints: register, read, list, lock, delete, key and lease. */
import {
	commandQueue,
	type EndpointId,
	exchanges,
	Fault,
	leaseTtlMs,
	newId,
	parseId,
	routingKey,
	taskQueue,
} from "@errand/proto";
import type { EndpointRegistered, EndpointSummary, endpointRegistration, Lease } from "@errand/proto/rest";
import type * as z from "zod";
import { endpointKindOf } from "../endpoint-kind.ts";
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
	type LeaseRow,
	lockEndpoint,
	ownerOfEndpoint,
	releaseLease,
	setJournal,
	takeLease,
	upsertEndpoint,
} from "../store/endpoints.ts";
import { deleteSharesOfEndpoint, endpointsSharedWith } from "../store/shares.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { type Standings, endpointThing as thingOf } from "./standing.ts";

type EndpointOperations = Pick<
	Operations,
	| "registerEndpoint"
	| "getEndpoint"
	| "getEndpointMetadata"
	| "listEndpoints"
	| "listSharedEndpoints"
	| "deleteEndpoint"
	| "lockEndpoint"
	| "allowedFunctions"
	| "makeEndpointKey"
	| "takeLease"
	| "releaseLease"
>;

/** How long `POST …/lock` keeps registrations out. */
const lockMs = 60_000;
/** Heartbeats that may be missed before an endpoint counts as offline. */
const missedHeartbeats = 3;
const defaultHeartbeatMs = 30_000;

/** Whether the endpoint was heard of lately and has not said farewell. */
export function isOnline(row: EndpointRow, nowMs: number): boolean {
	if (!row.active || row.last_seen_at === null) return false;
	return nowMs - row.last_seen_at.getTime() <= missedHeartbeats * (row.heartbeat_period_ms ?? defaultHeartbeatMs);
}

/** A list of endpoints without pages ends here. */
const sharedLimit = 1_000;

export function endpointOperations(ports: Ports, standings: Standings): EndpointOperations {
	const { database, broker, dispatch, userEndpoints, keys, events, log } = ports;

	const notFound = (id: EndpointId): Fault =>
		new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });

	async function find(id: EndpointId): Promise<EndpointRow> {
		const row = await findEndpoint(database, id);
		if (row === undefined) throw notFound(id);
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

	/** The row to renew, or the id of a new one; throws when the caller may not. */
	async function placeOf(
		caller: Caller,
		id: EndpointId | undefined,
		name: string,
	): Promise<{ id: EndpointId; earlier: EndpointRow | undefined }> {
		const earlier =
			id === undefined ? await findEndpointByName(database, caller.accountId, name) : await findEndpoint(database, id);
		if (earlier !== undefined) {
			permit(caller, "endpoint.register", thingOf(earlier), earlier.id);
			return { id: earlier.id, earlier };
		}
		// Deleted a moment ago, while its token is still remembered.
		if (id !== undefined && id === caller.endpointId) throw notFound(id);
		permit(caller, "endpoint.create");
		const owner = id === undefined ? undefined : await ownerOfEndpoint(database, id);
		if (id !== undefined && owner !== undefined)
			permit(caller, "endpoint.register", { ownerId: owner, endpointId: id }, id);
		return { id: id ?? newId<EndpointId>(), earlier: undefined };
	}

	return {
		async registerEndpoint(caller, wanted, input) {
			const { id, earlier } = await placeOf(caller, wanted, input.endpoint_name);
			const lockedMs = (earlier?.locked_until?.getTime() ?? 0) - Date.now();
			if (lockedMs > 0)
				throw new Fault("RESOURCE_LOCKED", `Endpoint ${id} is locked until ${earlier?.locked_until?.toISOString()}`, {
					args: [id],
					retryAfterS: Math.ceil(lockedMs / 1000),
				});
			// One that was deleted: whoever had its key then must not come back with it.
			if (earlier === undefined && wanted !== undefined) await keys.deleteEndpointKey(id);
			const owner = earlier?.owner_id ?? caller.accountId;
			const stored = await upsertEndpoint(database, {
				id,
				owner,
				name: input.endpoint_name,
				displayName: input.display_name ?? null,
				public: input.public ?? false,
				allowedFunctions: input.allowed_functions ?? null,
				registration: input,
			});
			if (!stored)
				throw new Fault(
					"RESOURCE_CONFLICT",
					`another endpoint of this account is named ${input.endpoint_name}; choose another name or delete that one`,
					{ args: [input.endpoint_name] },
				);
			const { url, queueExisted } = await broker.provisionEndpoint(id);
			const kind = endpointKindOf(input);
			if (kind === "manager") await userEndpoints.managerRegistered(id);
			const journal = input.metadata.errand_journal_id ?? null;
			if (kind !== "manager" && (!queueExisted || journal !== (earlier?.journal_id ?? null))) {
				// What was in the old queue or journal is gone. The journal's name is kept only when all is sent again.
				await dispatch.refill(id);
				await setJournal(database, id, journal);
			}
			await insertAudit(database, caller, "endpoint.register", id, {
				name: input.endpoint_name,
				public: input.public ?? false,
				...(input.multi_user && { multi_user: true }),
				...(input.admins && { admins: input.admins }),
			});
			events.emit("endpoint:changed", { endpoint: id });
			log.info({ endpoint: id, name: input.endpoint_name, queueExisted }, "an endpoint registered");
			return toRegistered(id, url);
		},

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

		async takeLease(caller, id, request) {
			const row = await find(id);
			permit(caller, "endpoint.lease", thingOf(row), id);
			const taken = await takeLease(database, id, {
				holder: request.holder_id,
				host: request.host,
				pid: request.pid,
				replaces: request.replaces_holder_id ?? null,
				ttlMs: leaseTtlMs,
			});
			if (taken !== undefined) return toLease(taken);
			const held = await find(id);
			const until = held.lease_expires_at ?? new Date();
			throw new Fault(
				"LEASE_HELD",
				`endpoint ${held.name} is served by process ${held.lease_pid} on ${held.lease_host}, whose lease runs until ` +
					`${until.toISOString()} unless renewed. Stop that daemon, or start this one there`,
				{
					args: [String(held.lease_host), String(held.lease_pid), until.toISOString()],
					retryAfterS: Math.max(1, Math.ceil((until.getTime() - Date.now()) / 1000)),
				},
			);
		},

		async releaseLease(caller, id, request) {
			const row = await find(id);
			permit(caller, "endpoint.lease", thingOf(row), id);
			await releaseLease(database, id, request.holder_id);
		},
	};
}

function toLease(row: LeaseRow): Lease {
	return {
		epoch: Number(row.lease_epoch),
		holder_id: row.lease_holder,
		host: row.lease_host,
		pid: row.lease_pid,
		expires_at: row.lease_expires_at.toISOString(),
		ttl_ms: leaseTtlMs,
	};
}

function toRegistered(id: EndpointId, connectionUrl: string): EndpointRegistered {
	const publishPlace = (queue: "results" | "heartbeats" | "reports") => ({
		connection_url: connectionUrl,
		exchange: exchanges[queue],
		queue,
		queue_publish_kwargs: {
			exchange: exchanges[queue],
			routing_key: routingKey(id, queue),
			mandatory: true as const,
			properties: { delivery_mode: 2 as const },
		},
	});
	return {
		endpoint_id: id,
		task_queue_info: { connection_url: connectionUrl, exchange: exchanges.tasks, queue: taskQueue(id) },
		command_queue_info: { connection_url: connectionUrl, exchange: exchanges.commands, queue: commandQueue(id) },
		result_queue_info: publishPlace("results"),
		heartbeat_queue_info: publishPlace("heartbeats"),
		report_queue_info: publishPlace("reports"),
		warnings: [],
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
