import { authPolicy, authPolicyChange, authPolicyCreation, page } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { authPolicyId, given, pageQuery } from "../ids.ts";

const byId = z.object({ policy_id: authPolicyId });

export const authPolicies = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v1/policies",
		summary: "A new authentication policy: what an endpoint asks of the logins of whoever submits there",
		body: authPolicyCreation,
		reply: authPolicy,
		faults: ["FORBIDDEN", "ACCOUNT_NOT_FOUND", "PROJECT_NOT_FOUND"],
		handle: (caller, { body }) => operations.createAuthPolicy(caller, body),
	}),
	route({
		method: "GET",
		path: "/v1/policies",
		summary: "The authentication policies that the caller owns, or whose projects it administers, oldest first",
		query: pageQuery,
		reply: page(authPolicy),
		faults: ["FORBIDDEN"],
		handle: (caller, { query }) => operations.listAuthPolicies(caller, given(query)),
	}),
	route({
		method: "GET",
		path: "/v1/policies/{policy_id}",
		summary: "An authentication policy",
		params: byId,
		reply: authPolicy,
		faults: ["POLICY_NOT_FOUND"],
		handle: (caller, { params }) => operations.getAuthPolicy(caller, params.policy_id),
	}),
	route({
		method: "PUT",
		path: "/v1/policies/{policy_id}",
		summary: "Changes what is named of an authentication policy; it counts within seconds",
		params: byId,
		body: authPolicyChange,
		reply: authPolicy,
		faults: ["POLICY_NOT_FOUND", "FORBIDDEN"],
		handle: (caller, { params, body }) => operations.changeAuthPolicy(caller, params.policy_id, given(body)),
	}),
	route({
		method: "DELETE",
		path: "/v1/policies/{policy_id}",
		summary: "Deletes an authentication policy that no endpoint is registered with",
		params: byId,
		reply: z.object({}),
		faults: ["POLICY_NOT_FOUND", "FORBIDDEN", "RESOURCE_CONFLICT"],
		handle: async (caller, { params }) => {
			await operations.deleteAuthPolicy(caller, params.policy_id);
			return {};
		},
	}),
];
