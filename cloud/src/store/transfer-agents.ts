/** Statements about the agents that move files. */
import type { AccountId, EndpointId } from "@errand/proto";
import type { AgentCollection } from "@errand/proto/rest";
import { toJsonb } from "./json.ts";
import type { Session } from "./pool.ts";

export interface TransferAgentRow {
	/** The endpoint's; of a person's own command one that no endpoint has. */
	id: EndpointId;
	owner_id: AccountId;
	endpoint: boolean;
	/** PEM. */
	certificate: string;
	addresses: string[];
	collections: AgentCollection[];
	last_seen_at: Date | null;
}

const columns = "id, owner_id, endpoint, certificate, addresses, collections, last_seen_at";

export async function findTransferAgent(session: Session, id: EndpointId): Promise<TransferAgentRow | undefined> {
	const { rows } = await session.prepared<TransferAgentRow>(
		"find-transfer-agent",
		`select ${columns} from transfer_agents where id = $1`,
		[id],
	);
	return rows[0];
}

export async function transferAgents(session: Session, ids: readonly EndpointId[]): Promise<TransferAgentRow[]> {
	const { rows } = await session.prepared<TransferAgentRow>(
		"transfer-agents",
		`select ${columns} from transfer_agents where id = any($1::uuid[])`,
		[ids],
	);
	return rows;
}

/** Seen now, or gone: `leaving`. */
export async function upsertTransferAgent(
	session: Session,
	agent: Omit<TransferAgentRow, "last_seen_at">,
	leaving: boolean,
): Promise<void> {
	await session.prepared(
		"upsert-transfer-agent",
		`insert into transfer_agents (id, owner_id, endpoint, certificate, addresses, collections, last_seen_at)
		values ($1, $2, $3, $4, $5::jsonb, $6::jsonb, case when $7 then null else now() end)
		on conflict (id) do update set certificate = excluded.certificate, addresses = excluded.addresses,
			collections = excluded.collections, last_seen_at = excluded.last_seen_at, owner_id = excluded.owner_id`,
		[
			agent.id,
			agent.owner_id,
			agent.endpoint,
			agent.certificate,
			toJsonb(agent.addresses),
			toJsonb(agent.collections),
			leaving,
		],
	);
}

/** Agents of commands that ended long ago, and that no transfer waits for. */
export async function deleteOldTransferAgents(session: Session, before: Date): Promise<void> {
	await session.query(
		`delete from transfer_agents a where not endpoint and (last_seen_at is null or last_seen_at < $1)
			and not exists (select from transfers t where t.completed_at is null and (t.source_id = a.id or t.destination_id = a.id))`,
		[before],
	);
}
