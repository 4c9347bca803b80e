/** Statements about leases: of endpoints, and of user endpoints, which are daemons like them. */
import type { EndpointId } from "@errand/proto";
import type { Session } from "./pool.ts";

export interface LeaseRow {
	lease_epoch: bigint;
	lease_holder: string;
	lease_host: string;
	lease_pid: number;
	lease_expires_at: Date;
}

/** What can be leased, and when it cannot any more. */
const tables = {
	endpoint: { name: "endpoints", condition: "deleted_at is null" },
	"user endpoint": { name: "user_endpoints", condition: "access" },
} as const;
export type Leased = keyof typeof tables;

/**
 * Takes or renews, in one statement: free, run out, held by the same holder, or by the one that the caller knows dead.
 * Undefined when somebody else holds it. Only a new holder gets a new epoch.
 */
export async function takeLease(
	session: Session,
	what: Leased,
	id: EndpointId,
	claim: { holder: string; host: string; pid: number; replaces: string | null; ttlMs: number },
): Promise<LeaseRow | undefined> {
	const { name, condition } = tables[what];
	const { rows } = await session.query<LeaseRow>(
		`update ${name} set
			lease_epoch = lease_epoch + case when lease_holder = $2 then 0 else 1 end,
			lease_holder = $2, lease_host = $3, lease_pid = $4, lease_expires_at = now() + $6 * interval '1 millisecond'
		where id = $1 and ${condition}
			and (lease_holder is null or lease_holder = $2 or lease_holder = $5 or lease_expires_at < now())
		returning lease_epoch, lease_holder, lease_host, lease_pid, lease_expires_at`,
		[id, claim.holder, claim.host, claim.pid, claim.replaces, claim.ttlMs],
	);
	return rows[0];
}

export async function releaseLease(session: Session, what: Leased, id: EndpointId, holder: string): Promise<void> {
	await session.query(
		`update ${tables[what].name} set lease_holder = null, lease_expires_at = null where id = $1 and lease_holder = $2`,
		[id, holder],
	);
}
