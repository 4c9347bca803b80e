import { administration as administrationChange, auditEntry, page } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { given, nameOrId, pageQuery } from "../ids.ts";

const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const auditQuery = pageQuery.extend({
	actor: nameOrId.optional(),
	thing: z.string().min(1).max(128).optional(),
	action: z
		.string()
		.regex(/^[a-z]+(\.[a-z-]+)?$/, "is a word as `endpoint`, or two as `endpoint.share`")
		.optional(),
	since: time.optional(),
	until: time.optional(),
});

export const administration = (operations: Operations): Route[] => [
	route({
		method: "PUT",
		path: "/v1/accounts/{account}/admin",
		summary: "Makes an account an administrator of this cloud, or ends that; for administrators",
		params: z.object({ account: nameOrId }),
		body: administrationChange,
		reply: z.object({}),
		faults: ["FORBIDDEN", "ACCOUNT_NOT_FOUND", "RESOURCE_CONFLICT"],
		handle: async (caller, { params, body }) => {
			await operations.setAdministrator(caller, params.account, body);
			return {};
		},
	}),
	route({
		method: "GET",
		path: "/v1/audit",
		summary: "Who did what, newest first; for administrators",
		query: auditQuery,
		reply: page(auditEntry),
		faults: ["FORBIDDEN", "ACCOUNT_NOT_FOUND"],
		handle: (caller, { query }) => operations.readAudit(caller, given(query)),
	}),
];
