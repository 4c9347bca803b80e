import {
	accountGroupCreation,
	accountGroupDocument,
	accountGroupSummary,
	membershipChange,
	page,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { given, nameOrId, pageQuery } from "../ids.ts";

const byName = z.object({ group: nameOrId });
const membership = z.object({ group: nameOrId, account: nameOrId });
const notFound = ["AUTH_GROUP_NOT_FOUND", "FORBIDDEN"] as const;

export const accountGroups = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v1/groups",
		summary: "A new group of accounts, administered by the caller",
		body: accountGroupCreation,
		reply: accountGroupDocument,
		faults: ["FORBIDDEN", "ACCOUNT_NOT_FOUND", "RESOURCE_CONFLICT"],
		handle: (caller, { body }) => operations.createAccountGroup(caller, body),
	}),
	route({
		method: "GET",
		path: "/v1/groups",
		summary: "The groups that the caller is in, by name",
		query: pageQuery,
		reply: page(accountGroupSummary),
		faults: ["FORBIDDEN"],
		handle: (caller, { query }) => operations.listAccountGroups(caller, given(query)),
	}),
	route({
		method: "GET",
		path: "/v1/groups/{group}",
		summary: "A group that the caller is in, with its members",
		params: byName,
		reply: accountGroupDocument,
		faults: notFound,
		handle: (caller, { params }) => operations.getAccountGroup(caller, params.group),
	}),
	route({
		method: "DELETE",
		path: "/v1/groups/{group}",
		summary: "Deletes a group; what was shared with it is shared with nobody",
		params: byName,
		reply: z.object({}),
		faults: notFound,
		handle: async (caller, { params }) => {
			await operations.deleteAccountGroup(caller, params.group);
			return {};
		},
	}),
	route({
		method: "PUT",
		path: "/v1/groups/{group}/members/{account}",
		summary: "Makes an account a member, or changes whether it may change the group",
		params: membership,
		body: membershipChange,
		reply: accountGroupDocument,
		faults: [...notFound, "ACCOUNT_NOT_FOUND", "RESOURCE_CONFLICT"],
		handle: (caller, { params, body }) => operations.setGroupMember(caller, params.group, params.account, body),
	}),
	route({
		method: "DELETE",
		path: "/v1/groups/{group}/members/{account}",
		summary: "Takes a member out of a group; everybody may leave",
		params: membership,
		reply: z.object({}),
		faults: [...notFound, "ACCOUNT_NOT_FOUND", "RESOURCE_CONFLICT"],
		handle: async (caller, { params }) => {
			await operations.removeGroupMember(caller, params.group, params.account);
			return {};
		},
	}),
];
