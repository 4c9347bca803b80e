/** How callers stand to endpoints and functions of others: what the rules need beyond the rows, remembered for a moment. */
import type { AccountGroupId } from "@errand/proto";
import type { EndpointRegistration } from "@errand/proto/rest";
import type { Caller } from "../policy/caller.ts";
import { type Action, type Membership, may, type Thing } from "../policy/policy.ts";
import { type Invitation, invitationOf } from "../policy/share.ts";
import { membershipOf } from "../store/account-groups.ts";
import type { EndpointRow } from "../store/endpoints.ts";
import type { FunctionRow } from "../store/functions.ts";
import type { Session } from "../store/pool.ts";
import { invitationsTo } from "../store/shares.ts";
import { permit } from "./permission.ts";
import { Recent } from "./recent.ts";

/** Who was let in is let in for this long without another look. Refusals are not remembered: an invitation counts at once. */
const standingLagMs = 3_000;
const rememberedStandings = 20_000;

/** What the rules read off an endpoint's row. */
export function endpointThing(row: EndpointRow): Thing {
	const { admins, multi_user } = row.registration as Partial<EndpointRegistration>;
	return {
		ownerId: row.owner_id,
		endpointId: row.id,
		public: row.public,
		adminIds: admins ?? [],
		mapped: multi_user === true,
	};
}

export class Standings {
	readonly #session: Session;
	readonly #invitations = new Recent<string, Invitation>(rememberedStandings, standingLagMs);
	readonly #memberships = new Recent<string, Membership>(rememberedStandings, standingLagMs);

	constructor(session: Session) {
		this.#session = session;
	}

	/** Throws the action's refusal unless the caller may. The invitation by which it may; undefined when it needs none. */
	async permitEndpoint(caller: Caller, action: Action, row: EndpointRow): Promise<Invitation | undefined> {
		const thing = endpointThing(row);
		if (may(caller, action, thing)) return undefined;
		const invitation = await this.#invitation(caller, row);
		permit(caller, action, { ...thing, guest: invitation !== undefined }, row.id);
		return invitation;
	}

	/** `lent`: as the rules have it. Throws the action's refusal unless the caller may. */
	async permitFunction(caller: Caller, action: Action, row: Omit<FunctionRow, "code">, lent = false): Promise<void> {
		const thing: Thing = { ownerId: row.owner_id, public: row.public, lent };
		if (may(caller, action, thing)) return;
		const membership = row.group_id === null ? undefined : await this.membership(caller, row.group_id);
		permit(caller, action, membership === undefined ? thing : { ...thing, membership }, row.id);
	}

	/** Undefined when the caller is not in the group; an endpoint's key is in none. */
	async membership(caller: Caller, group: AccountGroupId): Promise<Membership | undefined> {
		if (caller.kind !== "account") return undefined;
		const key = `${group} ${caller.accountId}`;
		const known = this.#memberships.get(key);
		if (known !== undefined) return known;
		const found = await membershipOf(this.#session, group, caller.accountId);
		if (found !== undefined) this.#memberships.set(key, found);
		return found;
	}

	async #invitation(caller: Caller, row: EndpointRow): Promise<Invitation | undefined> {
		if (caller.kind !== "account") return undefined;
		const key = `${row.id} ${caller.accountId}`;
		const known = this.#invitations.get(key);
		if (known !== undefined) return known;
		const rows = await invitationsTo(this.#session, row.id, caller.accountId);
		const found = invitationOf(
			rows.map((one) => ({
				personal: one.account_id !== null,
				tasksPerDay: one.tasks_per_day,
				functions: one.functions,
				containerImage: one.container_image,
			})),
		);
		if (found !== undefined) this.#invitations.set(key, found);
		return found;
	}
}
