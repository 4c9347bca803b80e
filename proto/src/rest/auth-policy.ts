import * as z from "zod";

/** `example.org`, or `*.example.org` for every domain below it. `clients` is that of service clients. */
export const domainPattern = z
	.string()
	.trim()
	.max(253)
	.regex(
		/^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i,
		"a domain like example.org, or *.example.org for all below it",
	)
	.transform((text) => text.toLowerCase());
const domains = z.array(domainPattern).min(1).max(200).nullable();
/** Seconds; a year is as good as no limit. */
const sessionAge = z
	.int()
	.min(1)
	.max(366 * 86_400)
	.nullable();
const name = z.string().trim().min(1).max(256);
const description = z.string().max(4096);

/** `POST /v1/policies`: what an endpoint may ask of the login of whoever submits there. */
export const authPolicyCreation = z.object({
	name,
	description: description.default(""),
	/** Whose administrators manage it too; null: nobody but the caller. */
	project_id: z.uuid().nullable().default(null),
	/** One of the login's domains is one of these; null: any will do. */
	domain_constraints_include: domains.default(null),
	/** None of the login's domains is one of these; null: none is forbidden. */
	domain_constraints_exclude: domains.default(null),
	/** How many seconds ago the person may have logged in; null: however long. */
	authentication_assurance_timeout: sessionAge.default(null),
});

/** `PUT /v1/policies/{id}`: what is not named stays. */
export const authPolicyChange = z
	.object({
		name,
		description,
		domain_constraints_include: domains,
		domain_constraints_exclude: domains,
		authentication_assurance_timeout: sessionAge,
	})
	.partial();

/** One row of `GET /v1/policies`; also `GET /v1/policies/{id}` */
export const authPolicy = z.object({
	id: z.uuid(),
	name: z.string(),
	description: z.string(),
	owner_id: z.uuid(),
	project_id: z.uuid().nullable(),
	domain_constraints_include: z.array(z.string()).nullable(),
	domain_constraints_exclude: z.array(z.string()).nullable(),
	authentication_assurance_timeout: z.int().nullable(),
	/** How many endpoints are registered with it. */
	endpoints: z.int(),
	created_at: z.iso.datetime(),
});
export type AuthPolicy = z.infer<typeof authPolicy>;

/** `POST /v2/api/projects` of the public interface. */
export const authProjectCreation = z.object({
	project: z.object({
		display_name: name,
		contact_email: z.string().max(320),
		admin_ids: z.array(z.uuid()).max(100).nullish(),
		admin_group_ids: z.array(z.uuid()).max(100).nullish(),
	}),
});

/** A project as the public interface shows it. */
export const authProject = z.object({
	id: z.uuid(),
	display_name: z.string(),
	/** Its deprecated twin. */
	project_name: z.string(),
	contact_email: z.string(),
	admin_ids: z.array(z.uuid()),
	admin_group_ids: z.array(z.uuid()),
	admins: z.object({ identities: z.array(z.uuid()), groups: z.array(z.uuid()) }),
});
export type AuthProject = z.infer<typeof authProject>;

/** `POST /v2/api/policies` of the public interface. */
export const publicPolicyCreation = z.object({
	policy: z.object({
		project_id: z.uuid(),
		display_name: name,
		description,
		high_assurance: z.boolean().nullish(),
		required_mfa: z.boolean().nullish(),
		authentication_assurance_timeout: z.int().nullish(),
		domain_constraints_include: z.array(z.string()).nullish(),
		domain_constraints_exclude: z.array(z.string()).nullish(),
	}),
});

/** A policy as the public interface shows it. */
export const publicPolicy = z.object({
	id: z.uuid(),
	project_id: z.uuid().nullable(),
	display_name: z.string(),
	description: z.string(),
	high_assurance: z.literal(false),
	required_mfa: z.literal(false),
	authentication_assurance_timeout: z.int().nullable(),
	domain_constraints_include: z.array(z.string()).nullable(),
	domain_constraints_exclude: z.array(z.string()).nullable(),
});
export type PublicPolicy = z.infer<typeof publicPolicy>;
