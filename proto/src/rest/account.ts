import * as z from "zod";

/** `GET /v1/whoami` */
export const whoami = z.object({
	id: z.uuid(),
	username: z.string(),
	name: z.string(),
	email: z.string(),
	admin: z.boolean(),
	/** `account`: a person or a service client; `endpoint`: an endpoint's own key. */
	kind: z.enum(["account", "endpoint"]),
	scopes: z.array(z.string()),
	expires_at: z.iso.datetime(),
});
export type Whoami = z.infer<typeof whoami>;

/** `POST /v1/accounts` (administrators) */
export const accountCreation = z.object({
	username: z.string().regex(/^[a-z0-9][a-z0-9._@-]{0,127}$/i, "letters, digits, and . _ @ - ; at most 128"),
	password: z.string().min(10).max(1024),
	name: z.string().max(256).optional(),
	email: z.email().optional(),
	admin: z.boolean().default(false),
});
/** One row of `GET /v1/accounts` (administrators) */
export const accountSummary = z.object({
	id: z.uuid(),
	username: z.string(),
	name: z.string(),
	email: z.string(),
	admin: z.boolean(),
	created_at: z.iso.datetime(),
});
export type AccountSummary = z.infer<typeof accountSummary>;

/** `POST /v1/clients`: a service account for the client-credentials grant; the secret is shown once. */
export const clientCreated = z.object({ client_id: z.uuid(), client_secret: z.string(), name: z.string() });

/** `POST /v1/device-approvals`, only with the state directory's own token: approves a device code for an account. */
export const deviceApproval = z.object({ user_code: z.string().min(1).max(64), username: z.string() });

/** `GET /v1/cloud`: no authentication; how a client finds its way. */
export const cloudDocument = z.object({
	name: z.string(),
	version: z.string(),
	issuer: z.url(),
	client_id: z.string(), // of the command line: a public client
	scopes: z.array(z.string()),
	inline_limit_bytes: z.int(),
	submit_limit_bytes: z.int(),
	submit_limit_tasks: z.int(),
});
export type CloudDocument = z.infer<typeof cloudDocument>;

/** Scopes and resource servers of the public interface. */
export const computeScope = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all";
export const resourceServers = { compute: "funcx_service", auth: "auth.globus.org" } as const;
/** The public client of the public interface's own SDK, accepted as is. */
export const peerClientId = "4cf29807-cf21-49ec-9443-ff9a3fb9f81c";
/** The public client that Errand's command line uses: device code and refresh. */
export const errandClientId = "7f3c1f0e-52a4-4bd5-9a55-6a1b0c0e6d11";
