import * as z from "zod";
import { resourceSpecification } from "./resources.ts";

/** What people call a group; unique in a cloud, whatever its case. */
export const accountGroupName = z
	.string()
	.regex(/^[a-z][a-z0-9._-]{0,63}$/i, "a group's name is a letter, then letters, digits, and . _ - ; at most 64");

/** `POST /v1/groups` */
export const accountGroupCreation = z.object({
	name: accountGroupName,
	description: z.string().max(1024).default(""),
});

/** One row of `GET /v1/groups` */
export const accountGroupSummary = z.object({
	id: z.uuid(),
	name: z.string(),
	description: z.string(),
	members: z.int(),
	/** Whether the caller may change it. */
	admin: z.boolean(),
	created_at: z.iso.datetime(),
});
export type AccountGroupSummary = z.infer<typeof accountGroupSummary>;

export const accountGroupMember = z.object({
	account_id: z.uuid(),
	username: z.string(),
	/** May add and remove members. */
	admin: z.boolean(),
	added_at: z.iso.datetime(),
});

/** `GET /v1/groups/{id or name}`; also what changes of it answer with. */
export const accountGroupDocument = accountGroupSummary.extend({ people: z.array(accountGroupMember) });
export type AccountGroupDocument = z.infer<typeof accountGroupDocument>;

/** `PUT /v1/groups/{id}/members/{account}` */
export const membershipChange = z.object({ admin: z.boolean().default(false) });

/** `PUT /v1/endpoints/{id}/shares`: invites, or changes the invitation of the same account or group. */
export const endpointSharing = z
	.object({
		/** An account, by username or id. */
		account: z.string().min(1).max(256).optional(),
		/** A group, by name or id. */
		group: z.string().min(1).max(256).optional(),
		/** Of each person, from midnight to midnight UTC; null: no limit. */
		tasks_per_day: z.int().min(1).max(1_000_000_000).nullable().default(null),
		/** What guests may run; null: whatever they may use, with the rights of whoever runs the endpoint. */
		functions: z.array(z.uuid()).max(1000).nullable(),
		/** Guests' tasks run in this image, whatever they ask for. */
		container_image: resourceSpecification.shape.container_image.unwrap().nullable().default(null),
	})
	.refine((input) => (input.account === undefined) !== (input.group === undefined), "name an account, or a group");

/** One row of `GET /v1/endpoints/{id}/shares` */
export const endpointShare = z.object({
	id: z.uuid(),
	endpoint_id: z.uuid(),
	/** Set when it is with one account. */
	account: z.object({ id: z.uuid(), username: z.string() }).nullable(),
	/** Set when it is with a group. */
	group: z.object({ id: z.uuid(), name: z.string() }).nullable(),
	tasks_per_day: z.int().nullable(),
	functions: z.array(z.uuid()).nullable(),
	container_image: z.string().nullable(),
	/** An account's id. */
	shared_by: z.uuid(),
	created_at: z.iso.datetime(),
});
export type EndpointShare = z.infer<typeof endpointShare>;

/** `PUT /v1/accounts/{account}/admin` (administrators) */
export const administration = z.object({ admin: z.boolean() });

/** One row of `GET /v1/audit` (administrators) */
export const auditEntry = z.object({
	/** Grows; an entry never changes. */
	id: z.int(),
	at: z.iso.datetime(),
	actor_id: z.uuid(),
	/** The username at that time. */
	actor: z.string(),
	acting_as: z.enum(["account", "endpoint", "operator"]),
	/** As `endpoint.share`. */
	action: z.string(),
	/** Its id. */
	thing: z.string(),
	details: z.record(z.string(), z.unknown()),
});
export type AuditEntry = z.infer<typeof auditEntry>;
