/** Groups of accounts: make, read, list, change who is in them, delete. Also who administers this cloud. */
import { type AccountGroupId, type AccountId, Fault, newId, parseId } from "@errand/proto";
import type { AccountGroupDocument, AccountGroupSummary } from "@errand/proto/rest";
import type { Caller } from "../policy/caller.ts";
import type { Action, Thing } from "../policy/policy.ts";
import {
	type AccountGroupRow,
	accountGroupsOf,
	countGroupAdmins,
	deleteAccountGroup,
	deleteMember,
	findAccount,
	findAccountGroup,
	findAccountGroupByName,
	insertAccountGroup,
	lockAccountGroup,
	membershipOf,
	membersOf,
	setAdministrator,
	upsertMember,
} from "../store/account-groups.ts";
import { insertAudit } from "../store/audit.ts";
import type { Session } from "../store/pool.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";

type AccountGroupOperations = Pick<
	Operations,
	| "createAccountGroup"
	| "getAccountGroup"
	| "listAccountGroups"
	| "deleteAccountGroup"
	| "setGroupMember"
	| "removeGroupMember"
	| "setAdministrator"
>;

/** People in one group: it is read whole. */
const memberLimit = 5_000;

export async function requireAccount(
	session: Session,
	idOrName: string,
): Promise<{ id: AccountId; username: string; admin: boolean }> {
	const found = await findAccount(session, idOrName);
	if (found !== undefined) return found;
	throw new Fault("ACCOUNT_NOT_FOUND", `there is no account ${idOrName} on this cloud; it is made at the first login`, {
		args: [idOrName],
	});
}

/** Throws the action's refusal for a group that is not there as for one that the caller may not know of. */
export async function requireAccountGroup(
	session: Session,
	caller: Caller,
	idOrName: string,
	action: Action,
	more: Thing = {},
): Promise<AccountGroupRow> {
	const id = parseId<AccountGroupId>(idOrName);
	const row =
		id === undefined
			? await findAccountGroupByName(session, caller.accountId, idOrName)
			: await findAccountGroup(session, caller.accountId, id);
	const thing: Thing = row === undefined || row.membership === null ? {} : { membership: row.membership };
	permit(caller, "account-group.read", thing, idOrName);
	permit(caller, action, { ...thing, ...more }, idOrName);
	if (row !== undefined) return row;
	throw new Fault("AUTH_GROUP_NOT_FOUND", `there is no group ${idOrName} on this cloud`, { args: [idOrName] });
}

export function accountGroupOperations({ database }: Pick<Ports, "database">): AccountGroupOperations {
	async function documentOf(caller: Caller, idOrName: string): Promise<AccountGroupDocument> {
		const row = await requireAccountGroup(database, caller, idOrName, "account-group.read");
		const people = await membersOf(database, row.id);
		return {
			...toSummary(row),
			people: people.map(({ added_at, ...person }) => ({ ...person, added_at: added_at.toISOString() })),
		};
	}

	/** In a transaction that has the group's row. */
	async function keepAnAdmin(session: Session, group: AccountGroupRow): Promise<void> {
		if ((await countGroupAdmins(session, group.id)) > 0) return;
		throw new Fault(
			"RESOURCE_CONFLICT",
			`group ${group.name} would have no administrator left; make another one first, or delete the group`,
			{ args: [group.name] },
		);
	}

	return {
		async createAccountGroup(caller, input) {
			permit(caller, "account-group.create");
			await requireAccount(database, caller.accountId);
			const id = newId<AccountGroupId>();
			const made = await database.transaction(async (session) => {
				if (!(await insertAccountGroup(session, { id, ...input }))) return false;
				await upsertMember(session, id, caller.accountId, true);
				await insertAudit(session, caller, "group.create", id, { name: input.name });
				return true;
			});
			// A transaction that was repeated after a lost connection may find what it has written itself.
			if (!made && (await membershipOf(database, id, caller.accountId)) === undefined)
				throw new Fault("RESOURCE_CONFLICT", `a group ${input.name} is there already; choose another name`, {
					args: [input.name],
				});
			return await documentOf(caller, id);
		},

		getAccountGroup: documentOf,

		async listAccountGroups(caller, request) {
			permit(caller, "account-group.list");
			const [afterName = ""] = partsOf(request.cursor, 1);
			const rows = await accountGroupsOf(database, caller.accountId, afterName, request.limit + 1);
			return toPage(rows, request.limit, toSummary, (row) => cursorOf(row.name.toLowerCase()));
		},

		async deleteAccountGroup(caller, idOrName) {
			const row = await requireAccountGroup(database, caller, idOrName, "account-group.change");
			await database.transaction(async (session) => {
				await lockAccountGroup(session, row.id);
				await deleteAccountGroup(session, row.id);
				await insertAudit(session, caller, "group.delete", row.id, { name: row.name });
			});
		},

		async setGroupMember(caller, idOrName, who, { admin }) {
			const row = await requireAccountGroup(database, caller, idOrName, "account-group.change");
			const account = await requireAccount(database, who);
			await database.transaction(async (session) => {
				await lockAccountGroup(session, row.id);
				const fresh = await findAccountGroup(session, caller.accountId, row.id);
				if (fresh === undefined)
					throw new Fault("AUTH_GROUP_NOT_FOUND", `group ${row.name} was deleted meanwhile`, { args: [row.id] });
				if (fresh.members >= memberLimit && (await membershipOf(session, row.id, account.id)) === undefined)
					throw new Fault(
						"RESOURCE_CONFLICT",
						`group ${row.name} has ${memberLimit} members, as many as one may; make a second group`,
						{ args: [row.name, String(memberLimit)] },
					);
				await upsertMember(session, row.id, account.id, admin);
				await keepAnAdmin(session, row);
				await insertAudit(session, caller, "group.member", row.id, {
					name: row.name,
					account: account.id,
					username: account.username,
					admin,
				});
			});
			return await documentOf(caller, row.id);
		},

		async removeGroupMember(caller, idOrName, who) {
			const account = await requireAccount(database, who);
			const about = { accountId: account.id };
			const row = await requireAccountGroup(database, caller, idOrName, "account-group.leave", about);
			await database.transaction(async (session) => {
				await lockAccountGroup(session, row.id);
				if ((await membershipOf(session, row.id, account.id)) === undefined) return;
				await deleteMember(session, row.id, account.id);
				await keepAnAdmin(session, row);
				const { username } = account;
				await insertAudit(session, caller, "group.remove", row.id, { name: row.name, account: account.id, username });
			});
		},

		async setAdministrator(caller, who, { admin }) {
			permit(caller, "account.administer");
			const account = await requireAccount(database, who);
			if (account.admin === admin) return;
			const changed = await database.transaction(async (session) => {
				if (!(await setAdministrator(session, account.id, admin))) return false;
				await insertAudit(session, caller, "account.admin", account.id, { username: account.username, admin });
				return true;
			});
			if (!changed)
				throw new Fault(
					"RESOURCE_CONFLICT",
					`${account.username} is the last administrator of this cloud; make another one first`,
					{ args: [account.username] },
				);
		},
	};
}

function toSummary(row: AccountGroupRow): AccountGroupSummary {
	return {
		id: row.id,
		name: row.name,
		description: row.description,
		members: Number(row.members),
		admin: row.membership === "admin",
		created_at: row.created_at.toISOString(),
	};
}
