/** Transfers, for the agents that carry them out: what to do, and what was done. */
import { createHash, X509Certificate } from "node:crypto";
import { agentSilenceMs, type EndpointId, Fault, isTransferOver } from "@errand/proto";
import type { AgentAssignments, agentPoll } from "@errand/proto/rest";
import type * as z from "zod";
import type { Caller } from "../policy/caller.ts";
import { findEndpoint } from "../store/endpoints.ts";
import {
	findTransferAgent,
	type TransferAgentRow,
	transferAgents,
	upsertTransferAgent,
} from "../store/transfer-agents.ts";
import {
	findTransfer,
	insertTransferEvents,
	lockTransfer,
	openTransfers,
	type TransferRow,
	updateTransfer,
	upsertTransferFiles,
	workOfAgent,
} from "../store/transfers.ts";
import type { Capabilities } from "../transfers/capability.ts";
import type { Operations } from "./operations.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { cloudEvent, endTransfer } from "./transfers.ts";

type AgentOperations = Pick<Operations, "pollTransferAgent" | "reportTransfer">;
type AgentPorts = Pick<Ports, "database" | "events" | "log" | "capabilities">;

/** At a time between the same two ends; the others wait for their turn. */
const perPairLimit = 3;
/** Changes that another process of the cloud made are seen after this. */
const lookAgainMs = 3_000;
const watchEveryMs = 5_000;
const watchedTransfers = 10_000;

export function transferAgentOperations({ database, events, log, capabilities }: AgentPorts): AgentOperations {
	let stopping = false;
	events.setMaxListeners(0);
	events.once("cloud:stopping", () => {
		stopping = true;
	});

	/** The owner of the agent that the caller speaks for. */
	async function serve(
		caller: Caller,
		id: EndpointId,
	): Promise<{ owner: TransferAgentRow["owner_id"]; endpoint: boolean }> {
		const endpoint = await findEndpoint(database, id);
		if (endpoint !== undefined) {
			permit(caller, "transfer-agent.serve", { endpointId: id }, id);
			return { owner: endpoint.owner_id, endpoint: true };
		}
		const known = await findTransferAgent(database, id);
		// An endpoint's that was deleted is nobody's.
		const thing =
			known === undefined ? { ownerId: caller.accountId } : known.endpoint ? {} : { ownerId: known.owner_id };
		permit(caller, "transfer-agent.serve", thing, id);
		return { owner: caller.accountId, endpoint: false };
	}

	async function assignmentsOf(id: EndpointId): Promise<AgentAssignments> {
		const rows = await workOfAgent(database, id, perPairLimit);
		const ids = [...new Set(rows.flatMap((row) => [row.source_id, row.destination_id]))];
		const peers = new Map((await transferAgents(database, ids)).map((row) => [row.id, row]));
		const assignments = rows.flatMap((row) => assignmentsFor(id, row, peers, capabilities));
		const revision = createHash("sha256").update(JSON.stringify(assignments)).digest("base64url");
		return { revision, assignments };
	}

	/** Resolves when there may be something else to say. */
	function change(id: EndpointId, withinMs: number): Promise<void> {
		return new Promise((resolve) => {
			const done = (): void => {
				clearTimeout(timer);
				events.off("transfers:changed", look).off("cloud:stopping", done);
				resolve();
			};
			const look = ({ agents }: { agents: readonly string[] }): void => {
				if (agents.includes(id)) done();
			};
			const timer = setTimeout(done, Math.min(withinMs, lookAgainMs)).unref();
			events.on("transfers:changed", look).once("cloud:stopping", done);
		});
	}

	return {
		async pollTransferAgent(caller, id, poll) {
			refuseCertificate(poll);
			const { owner, endpoint } = await serve(caller, id);
			const before = await findTransferAgent(database, id);
			const { certificate, addresses, collections, leaving } = poll;
			await upsertTransferAgent(
				database,
				{ id, owner_id: owner, endpoint, certificate, addresses, collections },
				leaving,
			);
			if (JSON.stringify(before?.addresses) !== JSON.stringify(addresses) || before?.certificate !== certificate) {
				const others = (await workOfAgent(database, id, perPairLimit)).flatMap((row) => [
					row.source_id,
					row.destination_id,
				]);
				events.emit("transfers:changed", { agents: others });
			}
			const wasAway = before?.last_seen_at === undefined || isSilent(before, Date.now());
			if (wasAway || leaving || before?.certificate !== certificate) {
				log.info({ agent: id, collections: collections.map((one) => one.name), leaving }, "a transfer agent");
				await watchTransfers({ database, events });
			}
			const untilMs = Date.now() + (leaving ? 0 : poll.wait_ms);
			for (;;) {
				const now = await assignmentsOf(id);
				const leftMs = untilMs - Date.now();
				if (now.revision !== poll.revision || leftMs <= 0 || stopping) return now;
				await change(id, leftMs);
			}
		},

		async reportTransfer(caller, id, report) {
			const found = await findTransfer(database, id);
			if (found === undefined)
				throw new Fault("TRANSFER_NOT_FOUND", `Transfer ${id} could not be resolved`, { args: [id] });
			await serve(caller, found.destination_id);
			if (!capabilities.holds("write", id, report.write_token, Date.now()))
				throw new Fault(
					"INVALID_AUTH_TOKEN",
					`the write token of transfer ${id} is not good, or has ended: ask for a new one`,
					{
						args: [id],
					},
				);
			const status = await database.transaction(async (session) => {
				const row = await lockTransfer(session, id);
				if (row === undefined)
					throw new Fault("TRANSFER_NOT_FOUND", `Transfer ${id} could not be resolved`, { args: [id] });
				if (isTransferOver(row.status)) return row.status;
				await insertTransferEvents(
					session,
					id,
					report.events.map(({ time, ...event }) => ({ ...event, at: new Date(time) })),
				);
				await upsertTransferFiles(session, id, report.files);
				const { counters, outcome } = report;
				const reroute = report.direct_failed !== undefined && row.route === "direct" && row.options.route !== "direct";
				if (reroute)
					await insertTransferEvents(session, id, [
						cloudEvent("ROUTE_CHANGED", `by the relay: ${report.direct_failed}`, { route: "relay" }),
					]);
				const failed = outcome?.status === "FAILED" ? outcome.fatal_error : undefined;
				const status = outcome?.status ?? (row.status === "INACTIVE" ? row.status : "ACTIVE");
				await updateTransfer(session, id, {
					counters,
					started_at: new Date(),
					status,
					...(reroute && { route: "relay" as const }),
					...(status !== "INACTIVE" && {
						nice_status: failed?.code ?? "OK",
						nice_status_description: failed?.description ?? (outcome ? "done" : "under way"),
					}),
					...(failed && { fatal_error: failed }),
				});
				if (outcome !== undefined)
					await insertTransferEvents(session, id, [
						cloudEvent(outcome.status, failed?.description ?? "all files are there", { ...counters }),
					]);
				return status;
			});
			const isOver = report.outcome !== undefined;
			if (isOver) {
				log.info({ transfer: id, status }, "a transfer is over");
				events.emit("transfer:ended", { transfer: id });
			}
			if (isOver || report.direct_failed !== undefined)
				events.emit("transfers:changed", { agents: [found.source_id, found.destination_id] });
			return { status };
		},
	};
}

function refuseCertificate({ certificate }: z.output<typeof agentPoll>): void {
	try {
		new X509Certificate(certificate);
	} catch (cause) {
		throw new Fault("SEMANTICALLY_INVALID", "the agent's certificate is not an X.509 certificate in PEM", { cause });
	}
}

function isSilent({ last_seen_at: seen }: Pick<TransferAgentRow, "last_seen_at">, nowMs: number): boolean {
	return seen === null || nowMs - seen.getTime() > agentSilenceMs;
}

/** None where an end has never been heard of. */
function assignmentsFor(
	agent: EndpointId,
	row: TransferRow,
	peers: ReadonlyMap<EndpointId, TransferAgentRow>,
	capabilities: Capabilities,
): AgentAssignments["assignments"] {
	const nowMs = Date.now();
	const [source, destination] = [peers.get(row.source_id), peers.get(row.destination_id)];
	if (source === undefined || destination === undefined) return [];
	const { id, items, options, route } = row;
	const both = {
		transfer_id: id,
		used_route: route,
		items,
		recursive_symlinks: options.recursive_symlinks,
		filter_rules: options.filter_rules,
	};
	const list: AgentAssignments["assignments"] = [];
	if (row.source_id === agent && route !== "local")
		list.push({
			...both,
			role: "source",
			relay_token: capabilities.issue("relay-source", id, nowMs).token,
			read_tokens: capabilities.valid("read", id, nowMs).map(({ token, endsAtMs }) => ({
				sha256: createHash("sha256").update(token).digest("hex"),
				ends_at: new Date(endsAtMs).toISOString(),
			})),
			peer_certificate: destination.certificate,
		});
	if (row.destination_id === agent) {
		const read = capabilities.issue("read", id, nowMs);
		const { sync_level, verify, preserve_timestamp, delete_destination_extra, skip_source_errors } = options;
		list.push({
			...both,
			role: "destination",
			...(sync_level !== undefined && { sync_level }),
			verify,
			preserve_timestamp,
			delete_destination_extra,
			skip_source_errors,
			relay_token: capabilities.issue("relay-destination", id, nowMs).token,
			read_token: read.token,
			write_token: capabilities.issue("write", id, nowMs).token,
			tokens_end_at: new Date(read.endsAtMs).toISOString(),
			peer_certificate: source.certificate,
			peer_addresses: source.addresses,
		});
	}
	return list;
}

/** Ends what is past its deadline, sets INACTIVE what has lost an end, and ACTIVE what has it back. */
async function watchTransfers(
	{ database, events }: Pick<Ports, "database" | "events">,
	nowMs = Date.now(),
): Promise<void> {
	const rows = await openTransfers(database, watchedTransfers);
	const ids = [...new Set(rows.flatMap((row) => [row.source_id, row.destination_id]))];
	const agents = new Map((await transferAgents(database, ids)).map((row) => [row.id, row]));
	const isAway = (id: EndpointId): boolean => {
		const agent = agents.get(id);
		return agent === undefined || isSilent(agent, nowMs);
	};
	for (const row of rows) {
		const expired = row.deadline !== null && row.deadline.getTime() <= nowMs;
		const away = [row.source_id, row.destination_id].filter(isAway);
		const wrong = row.status === "ACTIVE" ? away.length > 0 : away.length === 0;
		if (!expired && !wrong) continue;
		await database.transaction(async (session) => {
			const locked = await lockTransfer(session, row.id);
			if (locked === undefined || locked.status !== row.status) return;
			if (expired) {
				await endTransfer(session, locked, "EXPIRED", `not done by its deadline ${row.deadline?.toISOString()}`);
				return;
			}
			if (away.length === 0) {
				const begun = locked.started_at !== null;
				await updateTransfer(session, row.id, {
					status: "ACTIVE",
					nice_status: begun ? "OK" : "QUEUED",
					nice_status_description: begun ? "under way" : "waits to be begun",
				});
				await insertTransferEvents(session, row.id, [cloudEvent("RESUMED", "both ends are there again")]);
				return;
			}
			const which = away.map((id) => (id === row.source_id ? "source" : "destination")).join(" and the ");
			const words = `the ${which} does not answer; it goes on when that is back`;
			await updateTransfer(session, row.id, {
				status: "INACTIVE",
				nice_status: "OFFLINE",
				nice_status_description: words,
			});
			await insertTransferEvents(session, row.id, [cloudEvent("ENDPOINT_OFFLINE", words, { agents: away })]);
		});
		events.emit("transfers:changed", { agents: [row.source_id, row.destination_id] });
		if (expired) events.emit("transfer:ended", { transfer: row.id });
	}
}

export interface TransferWatch {
	close(): Promise<void>;
}

/** {@link watchTransfers}, again and again. */
export function openTransferWatch(ports: Pick<Ports, "database" | "events" | "log">): TransferWatch {
	let round = Promise.resolve();
	const timer = setInterval(() => {
		round = round
			.then(() => watchTransfers(ports))
			.catch((cause: unknown) =>
				ports.log.warn({ reason: String(cause) }, "could not look after transfers; trying again"),
			);
	}, watchEveryMs).unref();
	return {
		async close() {
			clearInterval(timer);
			await round;
		},
	};
}
