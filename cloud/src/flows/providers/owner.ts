/** The account in whose name the service's own providers act. */
import { Fault, faults } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import type { Caller } from "../../policy/caller.ts";
import { accountById } from "../../store/identity.ts";
import type { Database } from "../../store/pool.ts";
import { type Ask, Refusal, Silence } from "./provider.ts";

/** The run's owner, without what an administrator may do besides: the flow's author has not been given that. */
export async function ownerOf(database: Database, { owner, login }: Ask): Promise<Caller> {
	const account = await accountById(database, owner);
	if (account === undefined || account.disabled_at !== null)
		throw new Refusal("the account of the run's owner is disabled");
	return {
		kind: "account",
		accountId: owner,
		username: account.username,
		admin: false,
		operator: false,
		scopes: new Set([computeScope]),
		tokenExpiresAtMs: Number.POSITIVE_INFINITY,
		...(login && { login }),
	};
}

/** What will pass is a Silence, and everything else that a caller would be told a Refusal. */
export async function translated<T>(work: () => Promise<T>): Promise<T> {
	try {
		return await work();
	} catch (cause) {
		if (!(cause instanceof Fault)) throw cause;
		if (faults[cause.code].retry) throw new Silence(cause.message);
		throw new Refusal(`${cause.code}: ${cause.message}`);
	}
}
