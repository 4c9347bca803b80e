/** Sharing an endpoint with accounts and groups, and taking it back. Also reading the audit log. */
import { type AccountId, Fault, newId, parseId, type ShareId } from "@errand/proto";
import type { EndpointShare } from "@errand/proto/rest";
import { type EndpointKind, endpointKindOf } from "../endpoint-kind.ts";
import { lockAccountGroup } from "../store/account-groups.ts";
import { auditEntries, insertAudit } from "../store/audit.ts";
import { type EndpointRow, findEndpoint } from "../store/endpoints.ts";
import { countShares, deleteShare, type ShareRow, sharesOfEndpoint, upsertShare } from "../store/shares.ts";
import { requireAccount, requireAccountGroup } from "./account-groups.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { endpointThing } from "./standing.ts";

type ShareOperations = Pick<Operations, "shareEndpoint" | "listShares" | "removeShare" | "readAudit">;

/** Invitations to one endpoint: they are read whole. Groups are for more. */
const shareLimit = 1_000;

export function shareOperations({ database, log }: Pick<Ports, "database" | "log">): ShareOperations {
	async function find(id: EndpointRow["id"]): Promise<EndpointRow> {
		const row = await findEndpoint(database, id);
		if (row !== undefined) return row;
		throw new Fault("ENDPOINT_NOT_FOUND", `Endpoint ${id} could not be resolved`, { args: [id] });
	}

	return {
		async shareEndpoint(caller, id, input) {
			const row = await find(id);
			const thing = endpointThing(row);
			permit(caller, "endpoint.share", thing, id);
			if (thing.mapped === true)
				throw new Fault(
					"SEMANTICALLY_INVALID",
					`endpoint ${row.name} runs everybody's tasks as themselves, as its identity mapping says: change that to let somebody in`,
					{ args: [id] },
				);
			const alone = servesOwnerOnly[endpointKindOf(row.registration)];
			if (alone !== undefined) throw new Fault("SEMANTICALLY_INVALID", `endpoint ${row.name} ${alone}`, { args: [id] });
			const account = input.account === undefined ? undefined : await requireAccount(database, input.account);
			// Whoever shares with a group is in it, so that groups cannot be guessed.
			const group =
				input.group === undefined
					? undefined
					: await requireAccountGroup(database, caller, input.group, "account-group.read");
			if (account?.id === row.owner_id)
				throw new Fault("SEMANTICALLY_INVALID", `endpoint ${row.name} is ${account.username}'s own`, { args: [id] });
			const share = await database.transaction(async (session) => {
				if (group !== undefined) await lockAccountGroup(session, group.id);
				const made = await upsertShare(session, {
					id: newId<ShareId>(),
					endpoint_id: id,
					account_id: account?.id ?? null,
					group_id: group?.id ?? null,
					tasks_per_day: input.tasks_per_day,
					functions: input.functions as ShareRow["functions"],
					container_image: input.container_image,
					shared_by: caller.accountId,
				});
				if ((await countShares(session, id)) > shareLimit)
					throw new Fault(
						"RESOURCE_CONFLICT",
						`endpoint ${row.name} has ${shareLimit} shares, as many as one may; share it with a group`,
						{ args: [id, String(shareLimit)] },
					);
				await insertAudit(session, caller, "endpoint.share", id, {
					name: row.name,
					...(account && { account: account.id, username: account.username }),
					...(group && { group: group.id, group_name: group.name }),
					tasks_per_day: input.tasks_per_day,
					functions: input.functions,
					container_image: input.container_image,
				});
				return made;
			});
			log.info({ endpoint: id, share, by: caller.accountId }, "an endpoint was shared");
			const stored = (await sharesOfEndpoint(database, id)).find((one) => one.id === share);
			if (stored !== undefined) return toShare(stored);
			throw new Fault("RESOURCE_CONFLICT", `endpoint ${row.name} was unshared again at the same moment`, {
				args: [id],
			});
		},

		async listShares(caller, id) {
			const row = await find(id);
			permit(caller, "endpoint.unshare", endpointThing(row), id);
			return (await sharesOfEndpoint(database, id)).map(toShare);
		},

		async removeShare(caller, id, shareId) {
			const row = await find(id);
			permit(caller, "endpoint.unshare", endpointThing(row), id);
			const share = (await sharesOfEndpoint(database, id)).find((one) => one.id === shareId);
			if (share === undefined)
				throw new Fault("SHARE_NOT_FOUND", `endpoint ${row.name} has no share ${shareId}`, { args: [id, shareId] });
			await database.transaction(async (session) => {
				await deleteShare(session, id, shareId);
				await insertAudit(session, caller, "endpoint.unshare", id, {
					name: row.name,
					...(share.account_id && { account: share.account_id, username: share.username }),
					...(share.group_id && { group: share.group_id, group_name: share.group_name }),
				});
			});
			log.info({ endpoint: id, share: shareId, by: caller.accountId }, "an endpoint was unshared");
		},

		async readAudit(caller, filter) {
			permit(caller, "audit.read");
			const [before] = partsOf(filter.cursor, 1);
			if (before !== undefined && !/^\d{1,18}$/.test(before))
				throw new Fault("REQUEST_MALFORMED", "this cursor did not come from this list");
			const { actor, thing, action, since, until } = filter;
			const actorId =
				actor === undefined ? undefined : (parseId<AccountId>(actor) ?? (await requireAccount(database, actor)).id);
			const search = {
				actor: actorId,
				thing,
				action,
				since,
				until,
				before: before === undefined ? undefined : BigInt(before),
			};
			const rows = await auditEntries(database, search, filter.limit + 1);
			return toPage(
				rows,
				filter.limit,
				({ id, at, ...row }) => ({ ...row, id: Number(id), at: at.toISOString() }),
				(row) => cursorOf(String(row.id)),
			);
		},
	};
}

/** Of the kinds that let nobody else in unless they map identities: why not, and what to do. */
const servesOwnerOnly: { readonly [K in EndpointKind]?: string } = {
	"errand-manager":
		"starts processes for its owner only: run it as root with an identity mapping, or share an endpoint without a template",
	manager: "is one of Globus Compute, which without root takes tasks from its owner only: run Errand's there",
};

function toShare(row: ShareRow): EndpointShare {
	return {
		id: row.id,
		endpoint_id: row.endpoint_id,
		account: row.account_id === null ? null : { id: row.account_id, username: row.username ?? row.account_id },
		group: row.group_id === null ? null : { id: row.group_id, name: row.group_name ?? row.group_id },
		tasks_per_day: row.tasks_per_day,
		functions: row.functions,
		container_image: row.container_image,
		shared_by: row.shared_by,
		created_at: row.created_at.toISOString(),
	};
}
