/** The right to be an endpoint's, or a user endpoint's, one daemon. */
import { type EndpointId, Fault, leaseTtlMs } from "@errand/proto";
import type { Lease } from "@errand/proto/rest";
import type { Caller } from "../policy/caller.ts";
import { findEndpoint } from "../store/endpoints.ts";
import { type Leased, type LeaseRow, releaseLease, takeLease } from "../store/leases.ts";
import { findUserEndpoint } from "../store/user-endpoints.ts";
import type { Operations } from "./operations.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { endpointThing } from "./standing.ts";
import { requireAccess } from "./user-endpoint-registration.ts";

/** What is leased, and who holds it now. */
interface Place {
	readonly what: Leased;
	/** For sentences. */
	readonly name: string;
	readonly holder: Pick<LeaseRow, "lease_host" | "lease_pid" | "lease_expires_at"> | undefined;
}

export function leaseOperations({ database }: Pick<Ports, "database">): Pick<Operations, "takeLease" | "releaseLease"> {
	async function find(caller: Caller, id: EndpointId): Promise<Place> {
		const row = await findEndpoint(database, id);
		if (row !== undefined) {
			permit(caller, "endpoint.lease", endpointThing(row), id);
			return { what: "endpoint", name: `endpoint ${row.name}`, holder: holderOf(row) };
		}
		const own = await findUserEndpoint(database, id);
		if (own === undefined)
			throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
		permit(caller, "user-endpoint.lease", { endpointId: id }, id);
		requireAccess(own);
		return { what: "user endpoint", name: `user endpoint ${id}`, holder: holderOf(own) };
	}

	return {
		async takeLease(caller, id, request) {
			const { what } = await find(caller, id);
			const taken = await takeLease(database, what, id, {
				holder: request.holder_id,
				host: request.host,
				pid: request.pid,
				replaces: request.replaces_holder_id ?? null,
				ttlMs: leaseTtlMs,
			});
			if (taken !== undefined) return toLease(taken);
			const { name, holder } = await find(caller, id);
			const until = holder?.lease_expires_at ?? new Date();
			throw new Fault(
				"LEASE_HELD",
				`${name} is served by process ${holder?.lease_pid} on ${holder?.lease_host}, whose lease runs until ` +
					`${until.toISOString()} unless renewed. Stop that daemon, or start this one there`,
				{
					args: [String(holder?.lease_host), String(holder?.lease_pid), until.toISOString()],
					retryAfterS: Math.max(1, Math.ceil((until.getTime() - Date.now()) / 1000)),
				},
			);
		},

		async releaseLease(caller, id, request) {
			const { what } = await find(caller, id);
			await releaseLease(database, what, id, request.holder_id);
		},
	};
}

function holderOf(row: {
	lease_host: string | null;
	lease_pid: number | null;
	lease_expires_at: Date | null;
}): Place["holder"] {
	const { lease_host, lease_pid, lease_expires_at } = row;
	if (lease_host === null || lease_pid === null || lease_expires_at === null) return undefined;
	return { lease_host, lease_pid, lease_expires_at };
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
