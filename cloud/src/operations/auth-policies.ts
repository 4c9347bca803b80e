/** Authentication policies and their projects: make, read, list, change, delete. */
import { type AuthPolicyId, type AuthProjectId, Fault, newId, parseId } from "@errand/proto";
import type { AuthPolicy, AuthProject } from "@errand/proto/rest";
import type { Caller } from "../policy/caller.ts";
import type { Action } from "../policy/policy.ts";
import { findAccountGroup } from "../store/account-groups.ts";
import { insertAudit } from "../store/audit.ts";
import {
	type AuthPolicyRow,
	type AuthProjectRow,
	authPoliciesOf,
	authProjectsOf,
	deleteAuthPolicy,
	findAuthPolicy,
	findAuthProject,
	insertAuthPolicy,
	insertAuthProject,
	lockAuthPolicy,
	type NewAuthPolicy,
	updateAuthPolicy,
} from "../store/auth-policies.ts";
import type { Session } from "../store/pool.ts";
import { requireAccount } from "./account-groups.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";

type AuthPolicyOperations = Pick<
	Operations,
	| "createAuthPolicy"
	| "getAuthPolicy"
	| "listAuthPolicies"
	| "changeAuthPolicy"
	| "deleteAuthPolicy"
	| "createAuthProject"
	| "listAuthProjects"
>;

/** A list without pages ends here. */
const projectLimit = 1_000;

/** Throws the action's refusal for a policy that is not there as for one that the caller may not know of. */
export async function requireAuthPolicy(
	session: Session,
	caller: Caller,
	id: AuthPolicyId,
	action: Action & `policy.${string}`,
): Promise<AuthPolicyRow> {
	const row = await findAuthPolicy(session, caller.accountId, id);
	const thing = row === undefined ? {} : { ownerId: row.owner_id, projectAdmin: row.project_admin };
	if (action !== "policy.use") permit(caller, "policy.read", thing, id);
	permit(caller, action, thing, id);
	if (row !== undefined) return row;
	throw new Fault("POLICY_NOT_FOUND", `there is no authentication policy ${id}`, { args: [id] });
}

export function authPolicyOperations({ database, events }: Pick<Ports, "database" | "events">): AuthPolicyOperations {
	async function requireProject(caller: Caller, id: AuthProjectId): Promise<AuthProjectRow> {
		const row = await findAuthProject(database, caller.accountId, id);
		permit(caller, "project.use", row === undefined ? {} : { projectAdmin: row.project_admin }, id);
		if (row !== undefined) return row;
		throw new Fault("PROJECT_NOT_FOUND", `there is no project ${id}`, { args: [id] });
	}

	async function documentOf(caller: Caller, id: AuthPolicyId): Promise<AuthPolicy> {
		return toPolicy(await requireAuthPolicy(database, caller, id, "policy.read"));
	}

	return {
		async createAuthPolicy(caller, input) {
			permit(caller, "policy.create");
			await requireAccount(database, caller.accountId);
			const project = parseId<AuthProjectId>(input.project_id ?? "") ?? null;
			if (project !== null) await requireProject(caller, project);
			const row: NewAuthPolicy = {
				id: newId<AuthPolicyId>(),
				owner_id: caller.accountId,
				project_id: project,
				name: input.name,
				description: input.description,
				include_domains: input.domain_constraints_include,
				exclude_domains: input.domain_constraints_exclude,
				session_age_s: input.authentication_assurance_timeout,
			};
			requireRule(row);
			await database.transaction(async (session) => {
				await insertAuthPolicy(session, row);
				await insertAudit(session, caller, "policy.create", row.id, detailsOf(row));
			});
			return await documentOf(caller, row.id);
		},

		getAuthPolicy: documentOf,

		async listAuthPolicies(caller, request) {
			permit(caller, "policy.list");
			const [createdAt, id] = partsOf(request.cursor, 2);
			const position = { createdAt: new Date(createdAt ?? 0), id: parseId<AuthPolicyId>(id ?? "") };
			if (createdAt !== undefined && (Number.isNaN(position.createdAt.getTime()) || position.id === undefined))
				throw new Fault("REQUEST_MALFORMED", "this cursor did not come from this list; start again without one");
			const after = position.id === undefined ? undefined : { ...position, id: position.id };
			const rows = await authPoliciesOf(database, caller.accountId, after, request.limit + 1);
			return toPage(rows, request.limit, toPolicy, (row) => cursorOf(row.created_at.toISOString(), row.id));
		},

		async changeAuthPolicy(caller, id, change) {
			const row = await requireAuthPolicy(database, caller, id, "policy.change");
			const { domain_constraints_include: include, domain_constraints_exclude: exclude } = change;
			const age = change.authentication_assurance_timeout;
			const changed: NewAuthPolicy = {
				...row,
				name: change.name ?? row.name,
				description: change.description ?? row.description,
				include_domains: include === undefined ? row.include_domains : include,
				exclude_domains: exclude === undefined ? row.exclude_domains : exclude,
				session_age_s: age === undefined ? row.session_age_s : age,
			};
			requireRule(changed);
			await database.transaction(async (session) => {
				await updateAuthPolicy(session, changed);
				await insertAudit(session, caller, "policy.change", id, detailsOf(changed));
			});
			events.emit("auth-policy:changed", { policy: id });
			return await documentOf(caller, id);
		},

		async deleteAuthPolicy(caller, id) {
			const row = await requireAuthPolicy(database, caller, id, "policy.delete");
			await database.transaction(async (session) => {
				const endpoints = await lockAuthPolicy(session, id);
				if (endpoints.length > 0)
					throw new Fault(
						"RESOURCE_CONFLICT",
						`authentication policy ${row.name} is that of ${endpoints.length === 10 ? "at least 10 endpoints" : "endpoints"} ` +
							`(${endpoints.join(", ")}); take it out of their configurations and start them again, or delete them`,
						{ args: [id, ...endpoints] },
					);
				await deleteAuthPolicy(session, id);
				await insertAudit(session, caller, "policy.delete", id, { name: row.name });
			});
		},

		async createAuthProject(caller, { project }) {
			permit(caller, "project.create");
			await requireAccount(database, caller.accountId);
			const row: Omit<AuthProjectRow, "project_admin"> = {
				id: newId<AuthProjectId>(),
				owner_id: caller.accountId,
				name: project.display_name,
				contact_email: project.contact_email,
				admin_ids: (project.admin_ids ?? []).map((id) => id.toLowerCase()),
				admin_group_ids: (project.admin_group_ids ?? []).map((id) => id.toLowerCase()),
			};
			for (const id of row.admin_ids) await requireAccount(database, id);
			// Whoever names a group is in it, so that groups cannot be guessed.
			for (const id of row.admin_group_ids)
				if ((await findAccountGroup(database, caller.accountId, id as never))?.membership == null)
					throw new Fault("AUTH_GROUP_NOT_FOUND", `Group ${id} could not be resolved: you are in no such group`, {
						args: [id],
					});
			await database.transaction(async (session) => {
				await insertAuthProject(session, row);
				await insertAudit(session, caller, "project.create", row.id, {
					name: row.name,
					admin_ids: row.admin_ids,
					admin_group_ids: row.admin_group_ids,
				});
			});
			return toProject(row);
		},

		async listAuthProjects(caller) {
			permit(caller, "project.list");
			return (await authProjectsOf(database, caller.accountId, projectLimit)).map(toProject);
		},
	};
}

/** A policy that lets everybody in looks like protection and is none. */
function requireRule({ name, include_domains, exclude_domains, session_age_s }: NewAuthPolicy): void {
	if (include_domains !== null || exclude_domains !== null || session_age_s !== null) return;
	throw new Fault(
		"SEMANTICALLY_INVALID",
		`authentication policy ${name} would ask for nothing; name domains to include or exclude, or how old a login may be`,
		{ args: [name] },
	);
}

const detailsOf = ({ name, project_id, include_domains, exclude_domains, session_age_s }: NewAuthPolicy) => ({
	name,
	...(project_id !== null && { project_id }),
	include_domains,
	exclude_domains,
	session_age_s,
});

function toPolicy(row: AuthPolicyRow): AuthPolicy {
	return {
		id: row.id,
		name: row.name,
		description: row.description,
		owner_id: row.owner_id,
		project_id: row.project_id,
		domain_constraints_include: row.include_domains,
		domain_constraints_exclude: row.exclude_domains,
		authentication_assurance_timeout: row.session_age_s,
		endpoints: Number(row.endpoints),
		created_at: row.created_at.toISOString(),
	};
}

function toProject(row: Omit<AuthProjectRow, "project_admin">): AuthProject {
	return {
		id: row.id,
		display_name: row.name,
		project_name: row.name,
		contact_email: row.contact_email,
		admin_ids: row.admin_ids,
		admin_group_ids: row.admin_group_ids,
		admins: { identities: [...new Set([row.owner_id, ...row.admin_ids])], groups: row.admin_group_ids },
	};
}
