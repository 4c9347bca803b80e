/** Projects and policies as the public interface's own identity service has them, for what its clients ask there. */
import { Fault } from "@errand/proto";
import {
	type AuthPolicy,
	authPolicyCreation,
	authProject,
	authProjectCreation,
	type PublicPolicy,
	publicPolicy,
	publicPolicyCreation,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { faultOfIssues } from "../../problem.ts";
import { type Route, route } from "../../route.ts";
import { authPolicyId } from "../ids.ts";

/** A list that its clients read whole. */
const listLimit = 1_000;

function toPublic(policy: AuthPolicy): PublicPolicy {
	return {
		id: policy.id,
		project_id: policy.project_id,
		display_name: policy.name,
		description: policy.description,
		high_assurance: false,
		required_mfa: false,
		authentication_assurance_timeout: policy.authentication_assurance_timeout,
		domain_constraints_include: policy.domain_constraints_include,
		domain_constraints_exclude: policy.domain_constraints_exclude,
	};
}

/** As our own interface takes it; throws for what this cloud cannot hold anybody to. */
function fromPublic({ policy }: z.output<typeof publicPolicyCreation>): z.output<typeof authPolicyCreation> {
	for (const name of ["high_assurance", "required_mfa"] as const)
		if (policy[name] === true)
			throw new Fault(
				"SEMANTICALLY_INVALID",
				`policy.${name}: this cloud has domains and the age of a login, and nothing else that a policy may ask for`,
				{ args: [name] },
			);
	const read = authPolicyCreation.safeParse({
		name: policy.display_name,
		description: policy.description,
		project_id: policy.project_id,
		domain_constraints_include: policy.domain_constraints_include ?? null,
		domain_constraints_exclude: policy.domain_constraints_exclude ?? null,
		authentication_assurance_timeout: policy.authentication_assurance_timeout ?? null,
	});
	if (!read.success) throw faultOfIssues("body", read.error);
	return read.data;
}

export const authProjects = (operations: Operations): Route[] => [
	route({
		access: "projects",
		method: "GET",
		path: "/v2/api/projects",
		summary: "The projects that the caller owns or administers",
		reply: z.object({ projects: z.array(authProject) }),
		faults: ["FORBIDDEN"],
		handle: async (caller) => ({ projects: await operations.listAuthProjects(caller) }),
	}),
	route({
		access: "projects",
		method: "POST",
		path: "/v2/api/projects",
		summary: "A new project, to which authentication policies belong; the caller administers it",
		body: authProjectCreation,
		reply: z.object({ project: authProject }),
		faults: ["FORBIDDEN", "ACCOUNT_NOT_FOUND", "AUTH_GROUP_NOT_FOUND"],
		handle: async (caller, { body }) => ({ project: await operations.createAuthProject(caller, body) }),
	}),
	route({
		access: "projects",
		method: "GET",
		path: "/v2/api/policies",
		summary: "The authentication policies that the caller owns, or whose projects it administers",
		reply: z.object({ policies: z.array(publicPolicy) }),
		faults: ["FORBIDDEN"],
		handle: async (caller) => {
			const { items } = await operations.listAuthPolicies(caller, { limit: listLimit });
			return { policies: items.map(toPublic) };
		},
	}),
	route({
		access: "projects",
		method: "POST",
		path: "/v2/api/policies",
		summary: "A new authentication policy of a project",
		body: publicPolicyCreation,
		reply: z.object({ policy: publicPolicy }),
		faults: ["FORBIDDEN", "ACCOUNT_NOT_FOUND", "PROJECT_NOT_FOUND"],
		handle: async (caller, { body }) => ({
			policy: toPublic(await operations.createAuthPolicy(caller, fromPublic(body))),
		}),
	}),
	route({
		access: "projects",
		method: "GET",
		path: "/v2/api/policies/{policy_id}",
		summary: "An authentication policy",
		params: z.object({ policy_id: authPolicyId }),
		reply: z.object({ policy: publicPolicy }),
		faults: ["POLICY_NOT_FOUND"],
		handle: async (caller, { params }) => ({
			policy: toPublic(await operations.getAuthPolicy(caller, params.policy_id)),
		}),
	}),
];
