/** Identity's routes: the provider's, its pages, and the accounts of this cloud. */
import { Fault, inlineLimitBytes, submitLimitBytes, submitLimitTasks, toProblem } from "@errand/proto";
import {
	accountCreation,
	type CloudDocument,
	computeScope,
	deviceApproval,
	errandClientId,
	type Whoami,
} from "@errand/proto/rest";
import express, { type NextFunction, type Request, type Response, type Router } from "express";
import type Provider from "oidc-provider";
import type { Logger } from "pino";
import * as z from "zod";
import { type BodyLimit, BodyReader, refuseUnstorable } from "../http/body.ts";
import type { Caller } from "../policy/caller.ts";
import { insertAudit } from "../store/audit.ts";
import { accountById, accountsByIds, accountsByUsernames } from "../store/identity.ts";
import { authCodePage, errorPage, icon, iconPath, stylePath } from "../web/identity-pages.ts";
import type { AccessTokens } from "./access-token.ts";
import type { Accounts } from "./accounts.ts";
import { authenticate } from "./bearer.ts";
import type { IdentityDatabase } from "./database.ts";
import { approveDevice } from "./device-approval.ts";
import { handOver, handOverForm } from "./hand-over.ts";
import { accountClaims, identityDocument } from "./identity-document.ts";
import { addInteractions } from "./interactions.ts";
import { authCodePath } from "./known-clients.ts";
import type { LoginLimit } from "./login-limit.ts";
import { pagePolicy } from "./page-policy.ts";
import { discoveryPath, providerPaths } from "./provider.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { TokenVerifier } from "./verify-token.ts";

export interface IdentityRouterOptions {
	db: IdentityDatabase;
	issuerUrl: string;
	version: string;
	/** The provider of this moment: another one after the keys have rotated. */
	provider: () => Provider;
	keys: SigningKeys;
	tokens: AccessTokens;
	accounts: Accounts;
	/** Tokens for the compute service, and those for the identity service itself. */
	verifiers: { compute: TokenVerifier; auth: TokenVerifier };
	/** Wrong device codes, by address. */
	codeTries: LoginLimit;
	styleSheet: string;
	log: Pick<Logger, "info" | "warn" | "error">;
}

const pageRoutes = [
	providerPaths.authorization,
	`${providerPaths.authorization}/:uid`,
	`${providerPaths.code_verification}/:uid`,
	providerPaths.end_session,
	`${providerPaths.end_session}/confirm`,
	`${providerPaths.end_session}/success`,
];
const plainRoutes = [discoveryPath, providerPaths.token, providerPaths.device_authorization];
/** Paths on which a client shows a token of ours that the provider knows by its record only. */
const shownTokenRoutes = [providerPaths.revocation, providerPaths.introspection];
/** Look-ups of the public interface carry a few ids; more is somebody harvesting. */
const identitiesLimit = 100;

const bodyLimit: BodyLimit = { bytes: 64 * 1024, code: "TASK_PAYLOAD_TOO_LARGE" };
/** Of all requests that are being read. */
const bodiesInMemoryBytes = 16 * 1024 * 1024;

const clientCreation = z.object({ name: z.string().trim().min(1).max(256) });

function parse<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
	const result = schema.safeParse(body);
	if (result.success) return result.data;
	const where = result.error.issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
	throw new Fault("SEMANTICALLY_INVALID", `The request is not valid: ${where.join("; ")}.`, { args: where });
}

/** The application may have turned Express's own parser off. */
function queryOf(request: Request): URLSearchParams {
	return new URLSearchParams(request.url.split("?").slice(1).join("?"));
}

function requireAdministrator(caller: Caller): void {
	if (caller.admin && caller.kind === "account") return;
	throw new Fault("FORBIDDEN", "Only an administrator may manage accounts; ask one.");
}

export function identityRouter(options: IdentityRouterOptions): Router {
	const { db, issuerUrl, provider, keys, tokens, accounts, verifiers, log } = options;
	const issuer = new URL(issuerUrl);
	const router = express.Router();
	const bodies = new BodyReader(bodiesInMemoryBytes);
	/** The body's JSON, checked; read only when the caller may send one. */
	async function bodyOf<T extends z.ZodType>(request: Request, schema: T): Promise<z.output<T>> {
		const body = await bodies.json(request, bodyLimit);
		refuseUnstorable(body, undefined);
		return parse(schema, body);
	}

	// ── the OpenID provider ──────────────────────────────────────────────────────────────────────────────────────
	router.get(providerPaths.jwks, (_request, response) => {
		response.set("Access-Control-Allow-Origin", "*").json({ keys: keys.publicKeys });
	});
	router.all(plainRoutes, (request, response) => handOver(provider(), issuer, request, response));
	router.all(pageRoutes, async (request, response) => {
		pagePolicy(response, []);
		await handOver(provider(), issuer, request, response);
	});
	router.all(providerPaths.code_verification, async (request, response) => {
		pagePolicy(response, []);
		try {
			options.codeTries.check(request.ip ?? "");
		} catch (error) {
			if (!(error instanceof Fault)) throw error;
			response.status(error.httpStatus).set("Retry-After", String(error.retryAfterS ?? 60));
			response.send(errorPage("too_many_requests", error.message));
			return;
		}
		await handOver(provider(), issuer, request, response);
	});
	router.post(shownTokenRoutes, express.urlencoded({ extended: false, limit: "56kb" }), async (request, response) => {
		const form = new URLSearchParams();
		for (const [name, value] of Object.entries((request.body ?? {}) as Record<string, unknown>)) {
			for (const one of Array.isArray(value) ? value : [value]) form.append(name, String(one));
		}
		const shown = form.get("token");
		// Refresh tokens and rubbish go on as they are; the provider answers for them.
		if (shown?.includes(".") === true) {
			const claims = await tokens.verify(shown).catch(() => undefined);
			form.set("token", claims?.recordId ?? "unknown");
		}
		await handOverForm(provider(), issuer, request, response, form);
	});

	// ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────
	for (const [path, type, text] of [
		[stylePath, "css", options.styleSheet],
		[iconPath, "svg", icon],
	] as const) {
		router.get(path, (_request, response) => {
			response.set({ "Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff" });
			response.type(type).send(text);
		});
	}
	router.get(authCodePath, (request, response) => {
		pagePolicy(response, []);
		const query = queryOf(request);
		const code = query.get("code");
		if (code !== null && /^[\w-]{1,256}$/.test(code)) response.send(authCodePage(code));
		else {
			const reason = query.get("error") ?? "invalid_request";
			response.status(400).send(errorPage(reason, query.get("error_description") ?? undefined));
		}
	});
	addInteractions(router, { db, accounts, provider });

	// ── who is who ───────────────────────────────────────────────────────────────────────────────────────────────
	router.all(providerPaths.userinfo, async (request, response) => {
		const caller = await authenticate(request, verifiers.auth);
		if (!caller.scopes.has("openid")) {
			throw new Fault("INSUFFICIENT_AUTH_SCOPE", "The access token lacks the scope openid.", { args: ["openid"] });
		}
		const account = await accountById(db, caller.accountId);
		if (account === undefined) throw new Fault("ACCOUNT_NOT_FOUND", "The token's account is gone.");
		response.set("Cache-Control", "no-store").json(accountClaims(account));
	});
	router.get("/v2/api/identities", async (request, response) => {
		await authenticate(request, verifiers.auth);
		const query = queryOf(request);
		const words = (name: string): string[] => (query.get(name) ?? "").split(",").filter((word) => word !== "");
		const ids = words("ids");
		const usernames = words("usernames");
		if (ids.length + usernames.length > identitiesLimit) {
			throw new Fault("SEMANTICALLY_INVALID", `At most ${identitiesLimit} identities at a time.`);
		}
		for (const id of ids) {
			if (!z.uuid().safeParse(id).success) throw new Fault("INVALID_UUID", `${id} is not a UUID.`, { args: [id] });
		}
		const rows = [...(await accountsByIds(db, ids)), ...(await accountsByUsernames(db, usernames))];
		response.json({ identities: rows.map(identityDocument) });
	});
	router.get("/v1/whoami", async (request, response) => {
		const caller = await authenticate(request, verifiers.compute);
		const account = await accountById(db, caller.accountId);
		response.set("Cache-Control", "no-store").json({
			id: caller.accountId,
			username: caller.username,
			name: account?.name ?? "",
			email: account?.email ?? "",
			admin: caller.admin,
			kind: caller.kind,
			scopes: [...caller.scopes],
			expires_at: new Date(caller.tokenExpiresAtMs).toISOString(),
		} satisfies Whoami);
	});
	router.get("/v1/cloud", (_request, response) => {
		response.set("Access-Control-Allow-Origin", "*").json({
			name: "Errand",
			version: options.version,
			issuer: issuerUrl,
			client_id: errandClientId,
			scopes: [computeScope],
			inline_limit_bytes: inlineLimitBytes,
			submit_limit_bytes: submitLimitBytes,
			submit_limit_tasks: submitLimitTasks,
		} satisfies CloudDocument);
	});

	// ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────
	router.get("/v1/accounts", async (request, response) => {
		requireAdministrator(await authenticate(request, verifiers.compute));
		response.json({ items: await accounts.listAccounts(), next_cursor: null });
	});
	router.post("/v1/accounts", async (request, response) => {
		const caller = await authenticate(request, verifiers.compute);
		requireAdministrator(caller);
		const account = await accounts.createAccount(await bodyOf(request, accountCreation));
		const { username, admin } = account;
		await insertAudit(db, caller, "account.create", account.id, { username, admin });
		log.info({ by: caller.accountId, account: account.id, admin: account.admin }, "account made");
		response.status(201).json(account);
	});
	router.post("/v1/clients", async (request, response) => {
		const caller = await authenticate(request, verifiers.compute);
		if (caller.kind !== "account") throw new Fault("FORBIDDEN", "An endpoint's key cannot make service clients.");
		const { name } = await bodyOf(request, clientCreation);
		const client = await accounts.createClient(caller.accountId, name);
		await insertAudit(db, caller, "client.create", client.client_id, { name });
		log.info({ by: caller.accountId, client: client.client_id }, "service client made");
		response.set("Cache-Control", "no-store").status(201).json(client);
	});
	router.post("/v1/device-approvals", async (request, response) => {
		const caller = await authenticate(request, verifiers.compute);
		if (!caller.operator) {
			throw new Fault(
				"FORBIDDEN",
				"Only with the token of the state directory; other people approve on the device page.",
			);
		}
		const approval = await bodyOf(request, deviceApproval);
		await approveDevice(provider(), accounts, { userCode: approval.user_code, username: approval.username });
		await insertAudit(db, caller, "device.approve", approval.username);
		log.info({ username: approval.username }, "device approved by the operator");
		response.status(204).end();
	});

	router.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
		if (!(error instanceof Fault) || response.headersSent) {
			next(error);
			return;
		}
		if (error.httpStatus === 401) response.set("WWW-Authenticate", 'Bearer error="invalid_token"');
		if (error.retryAfterS !== undefined) response.set("Retry-After", String(error.retryAfterS));
		response.status(error.httpStatus).json(toProblem(error));
	});
	return router;
}
