/** Transfers, for people: asking for one, reading, cancelling. */
import { createHash } from "node:crypto";
import {
	type EndpointId,
	Fault,
	idFromBytes,
	isTransferOver,
	newId,
	parseCollectionPath,
	type TransferId,
} from "@errand/proto";
import {
	type EndpointRegistration,
	noTransferCounters,
	type TransferDocument,
	type TransferEvent,
	type TransferEventCode,
	type TransferFile,
	type transferSubmission,
} from "@errand/proto/rest";
import type * as z from "zod";
import type { Caller } from "../policy/caller.ts";
import { insertAudit } from "../store/audit.ts";
import { findEndpoint } from "../store/endpoints.ts";
import type { Session } from "../store/pool.ts";
import { findTransferAgent, type TransferAgentRow } from "../store/transfer-agents.ts";
import {
	countOpenTransfers,
	eventsOfTransfer,
	filesOfTransfer,
	findTransfer,
	findTransferByKey,
	insertTransfer,
	insertTransferEvents,
	lockTransfer,
	type TransferRow,
	transfersOfOwner,
	updateTransfer,
} from "../store/transfers.ts";
import { chooseRoute } from "../transfers/route.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import type { Standings } from "./standing.ts";

type TransferOperations = Pick<
	Operations,
	"submitTransfer" | "getTransfer" | "listTransfers" | "cancelTransfer" | "transferEvents" | "transferFiles"
>;

/** Of one account, that are not over. */
const openLimit = 100;

type Submission = z.output<typeof transferSubmission>;

/** An event that the cloud itself tells. */
export const cloudEvent = (code: TransferEventCode, description: string, details: Record<string, unknown> = {}) => ({
	id: newId<never>() as string,
	code,
	is_error: code === "FAILED" || code === "EXPIRED" || code === "ENDPOINT_OFFLINE",
	description,
	details,
	at: new Date(),
});

/** Ends a transfer for another reason than that it is done. In the session that has locked it. */
export async function endTransfer(
	session: Session,
	row: TransferRow,
	code: "CANCELED" | "EXPIRED",
	description: string,
): Promise<void> {
	await updateTransfer(session, row.id, {
		status: "FAILED",
		nice_status: code,
		nice_status_description: description,
		fatal_error: { code, description },
	});
	await insertTransferEvents(session, row.id, [cloudEvent(code, description)]);
}

export function transferOperations(
	{ database, events, log }: Pick<Ports, "database" | "events" | "log">,
	standings: Standings,
): TransferOperations {
	async function find(caller: Caller, id: TransferId, action: "transfer.read" | "transfer.cancel") {
		const row = await findTransfer(database, id);
		if (row === undefined)
			throw new Fault("TRANSFER_NOT_FOUND", `Transfer ${id} could not be resolved`, { args: [id] });
		permit(caller, action, { ownerId: row.owner_id }, id);
		return row;
	}

	/** The agent at one end, if the caller may use what the items name there. */
	async function endOf(
		caller: Caller,
		id: EndpointId,
		paths: readonly string[],
		action: "collection.read" | "collection.write",
	): Promise<TransferAgentRow> {
		const endpoint = await findEndpoint(database, id);
		const agent = await findTransferAgent(database, id);
		if (endpoint === undefined && (agent === undefined || agent.endpoint))
			throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
		const name = endpoint?.name ?? "your own computer";
		if (endpoint === undefined)
			permit(caller, action, { ownerId: agent?.owner_id as TransferAgentRow["owner_id"] }, id);
		const invitation = endpoint === undefined ? undefined : await standings.permitEndpoint(caller, action, endpoint);
		const metadata = endpoint?.registration.metadata as EndpointRegistration["metadata"];
		if (agent === undefined && metadata?.errand_collections === true)
			throw new Fault("NOT_READY", `endpoint ${name} has just been started and does not move files yet: try again`, {
				retryAfterS: 1,
			});
		if (agent === undefined)
			throw new Fault(
				"COLLECTION_NOT_FOUND",
				`endpoint ${name} has no collections: declare one in its config.yaml (collections) and start it again`,
				{ args: [id] },
			);
		for (const text of paths) {
			const wanted = parseCollectionPath(text)?.collection;
			const collection = agent.collections.find((one) => one.name === wanted);
			if (collection === undefined)
				throw new Fault(
					"COLLECTION_NOT_FOUND",
					`endpoint ${name} has no collection ${wanted}; it has: ${agent.collections.map((one) => one.name).join(", ") || "none"}`,
					{ args: [id, String(wanted)] },
				);
			const open = action === "collection.read" ? ["read", "write"] : ["write"];
			if (invitation !== undefined && !open.includes(collection.guests))
				throw new Fault(
					"COLLECTION_ACCESS_FORBIDDEN",
					`collection ${collection.name} of endpoint ${name} is not for guests to ${action === "collection.read" ? "read" : "write"}; ask its owner (guests, in config.yaml)`,
					{ args: [id, collection.name] },
				);
			if (action === "collection.write" && collection.read_only)
				throw new Fault(
					"COLLECTION_ACCESS_FORBIDDEN",
					`collection ${collection.name} of endpoint ${name} is read-only`,
					{
						args: [id, collection.name],
					},
				);
		}
		return agent;
	}

	return {
		async submitTransfer(caller, input, key) {
			permit(caller, "transfer.create");
			const body = createHash("sha256").update(JSON.stringify(input)).digest();
			const submissionKey =
				key === undefined
					? null
					: idFromBytes<never>(
							createHash("sha256").update(`transfer\0${caller.accountId}\0${key}`).digest().subarray(0, 16),
						);
			const earlier = submissionKey === null ? undefined : await findTransferByKey(database, submissionKey);
			if (earlier !== undefined) return repeated(earlier, body, key);
			const { source_endpoint, destination_endpoint, items, deadline, ...options } = input;
			refuseOverlaps(input);
			const sourcePaths = items.map((item) => item.source_path);
			const source = await endOf(caller, source_endpoint as EndpointId, sourcePaths, "collection.read");
			const destinationPaths = items.map((item) => item.destination_path);
			const destination = await endOf(caller, destination_endpoint as EndpointId, destinationPaths, "collection.write");
			if ((await countOpenTransfers(database, caller.accountId)) >= openLimit)
				throw new Fault(
					"QUOTA_EXCEEDED",
					`you have ${openLimit} transfers that are not over, as many as one may; put more items into one (up to 1,000), or wait`,
					{ args: [String(openLimit)] },
				);
			const until = deadline === undefined ? null : new Date(deadline);
			if (until !== null && until.getTime() <= Date.now())
				throw new Fault("SEMANTICALLY_INVALID", `the deadline ${deadline} has passed already`, {
					args: [String(deadline)],
				});
			if (input.route === "direct" && source.id !== destination.id && source.addresses.length === 0)
				throw new Fault(
					"SEMANTICALLY_INVALID",
					"the source takes no connections, so there is no direct way: leave out the route, or set transfer_port in its config.yaml",
				);
			const route = chooseRoute({ source, destination, wanted: input.route });
			const id = newId<TransferId>();
			const stored = await database.transaction(async (session) => {
				const isNew = await insertTransfer(session, {
					id,
					owner_id: caller.accountId,
					source_id: source.id,
					destination_id: destination.id,
					items,
					options,
					deadline: until,
					route,
					counters: noTransferCounters,
					submissionKey,
					body_sha256: body,
				});
				if (!isNew) return false;
				await insertTransferEvents(session, id, [cloudEvent("ROUTE_SELECTED", routeWords[route], { route })]);
				await insertAudit(session, caller, "transfer.create", id, {
					source: source.id,
					destination: destination.id,
					items: items.slice(0, 10),
				});
				return true;
			});
			if (!stored)
				return repeated((await findTransferByKey(database, String(submissionKey))) as TransferRow, body, key);
			log.info({ transfer: id, source: source.id, destination: destination.id, route }, "a transfer was asked for");
			events.emit("transfers:changed", { agents: [source.id, destination.id] });
			return toDocument((await findTransfer(database, id)) as TransferRow);
		},

		async getTransfer(caller, id) {
			return toDocument(await find(caller, id, "transfer.read"));
		},

		async listTransfers(caller, request) {
			permit(caller, "transfer.list");
			const [before] = partsOf(request.cursor, 1);
			const filter = {
				statuses: request.statuses,
				idPrefix: request.idPrefix,
				before: before === undefined ? undefined : BigInt(before),
			};
			const rows = await transfersOfOwner(database, caller.accountId, filter, request.limit + 1);
			return toPage(rows, request.limit, toDocument, (row) => cursorOf(String(row.seq)));
		},

		async cancelTransfer(caller, id) {
			const row = await find(caller, id, "transfer.cancel");
			await database.transaction(async (session) => {
				const locked = await lockTransfer(session, id);
				if (locked === undefined || isTransferOver(locked.status)) return;
				await endTransfer(session, locked, "CANCELED", `cancelled by ${caller.username}`);
			});
			events.emit("transfers:changed", { agents: [row.source_id, row.destination_id] });
			events.emit("transfer:ended", { transfer: id });
			return toDocument((await findTransfer(database, id)) as TransferRow);
		},

		async transferEvents(caller, id, request) {
			await find(caller, id, "transfer.read");
			const [after = "0"] = partsOf(request.cursor, 1);
			const rows = await eventsOfTransfer(database, id, BigInt(after), request.limit + 1);
			return toPage(
				rows,
				request.limit,
				(row): TransferEvent => ({
					code: row.code as TransferEventCode,
					is_error: row.is_error,
					description: row.description,
					details: row.details,
					time: row.at.toISOString(),
				}),
				(row) => cursorOf(String(row.seq)),
			);
		},

		async transferFiles(caller, id, request) {
			await find(caller, id, "transfer.read");
			const [after = "-1"] = partsOf(request.cursor, 1);
			const rows = await filesOfTransfer(database, id, BigInt(after), request.outcome, request.limit + 1);
			return toPage(
				rows,
				request.limit,
				({ index: _, bytes, took_ms, ...row }): TransferFile => ({
					...row,
					bytes: Number(bytes),
					took_ms: Number(took_ms),
				}),
				(row) => cursorOf(String(row.index)),
			);
		},
	};
}

const routeWords = {
	local: "one agent has both ends",
	direct: "the destination connects to the source",
	relay: "both ends connect to the cloud, which joins their connections",
} as const;

function repeated(row: TransferRow, body: Buffer, key: string | undefined): TransferDocument {
	if (row.body_sha256.equals(body)) return toDocument(row);
	throw new Fault(
		"IDEMPOTENCY_KEY_REUSED",
		`Idempotency-Key ${key} was used for another transfer; take a new key for each request that is not a repeat`,
		{ args: [String(key)] },
	);
}

/** A tree that is copied into itself never ends, and a file onto itself is nothing. */
function refuseOverlaps({ source_endpoint, destination_endpoint, items }: Submission): void {
	const taken = new Set<string>();
	for (const { source_path, destination_path, recursive } of items) {
		const [from, to] = [parseCollectionPath(source_path), parseCollectionPath(destination_path)];
		if (from === undefined || to === undefined) continue; // the schema has refused it
		const [fromText, toText] = [`${from.collection}/${from.path}`, `${to.collection}/${to.path}`];
		if (!recursive && (from.path === "" || to.path === ""))
			throw new Fault(
				"SEMANTICALLY_INVALID",
				`${source_path} → ${destination_path}: name a file at both ends, or ask for recursive`,
			);
		const isInside =
			source_endpoint === destination_endpoint && `${toText}/`.startsWith(`${fromText.replace(/\/$/, "")}/`);
		if (isInside)
			throw new Fault(
				"SEMANTICALLY_INVALID",
				`${source_path} cannot be copied onto or into itself (${destination_path})`,
			);
		if (taken.has(toText))
			throw new Fault("SEMANTICALLY_INVALID", `two items have the same destination ${destination_path}`);
		taken.add(toText);
	}
}

function toDocument(row: TransferRow): TransferDocument {
	const tookMs = (row.completed_at?.getTime() ?? Date.now()) - (row.started_at?.getTime() ?? Date.now());
	return {
		...row.options,
		id: row.id,
		owner_id: row.owner_id,
		source_endpoint: row.source_id,
		destination_endpoint: row.destination_id,
		items: row.items,
		deadline: row.deadline?.toISOString() ?? null,
		status: row.status,
		nice_status: row.nice_status,
		nice_status_description: row.nice_status_description,
		used_route: row.route,
		counters: row.counters,
		effective_bytes_per_second: tookMs > 0 ? Math.round((row.counters.bytes_transferred * 1000) / tookMs) : 0,
		fatal_error: row.fatal_error,
		created_at: row.created_at.toISOString(),
		started_at: row.started_at?.toISOString() ?? null,
		completed_at: row.completed_at?.toISOString() ?? null,
	};
}
