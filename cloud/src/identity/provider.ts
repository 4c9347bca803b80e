/** The embedded OpenID provider, at the paths of the public interface. */
import { computeScope } from "@errand/proto/rest";
import Provider, { type Configuration, type KoaContextWithOIDC } from "oidc-provider";
import type { Logger } from "pino";
import { accountById } from "../store/identity.ts";
import {
	confirmDevicePage,
	deviceCodePage,
	deviceDonePage,
	errorPage,
	loggedOutPage,
	logOutPage,
} from "../web/identity-pages.ts";
import type { AccessTokens } from "./access-token.ts";
import type { IdentityDatabase } from "./database.ts";
import { accountClaims } from "./identity-document.ts";
import { type Introspection, nameHolder } from "./introspection.ts";
import { isFirstParty, rotatesRefreshTokens } from "./known-clients.ts";
import { recordAdapter } from "./records.ts";
import { byResourceServer, purposeOf, scopes } from "./scopes.ts";
import { secretMatches } from "./secret.ts";
import type { SigningKeys } from "./signing-keys.ts";
import { createTokenDocuments } from "./token-document.ts";

export const providerPaths = {
	authorization: "/v2/oauth2/authorize",
	token: "/v2/oauth2/token",
	userinfo: "/v2/oauth2/userinfo",
	revocation: "/v2/oauth2/token/revoke",
	introspection: "/v2/oauth2/token/introspect",
	device_authorization: "/v2/oauth2/device",
	jwks: "/v2/oauth2/jwks",
	end_session: "/v2/oauth2/logout",
	code_verification: "/device",
} as const;

export const discoveryPath = "/.well-known/openid-configuration";
export const interactionPath = "/v2/web/interaction";

/** Seconds. The provider's clocks tick in them. */
export interface TokenLifetimes {
	/** As long as the public interface's: revocation is honoured within seconds, so a short life would buy little. */
	accessTokenS: number;
	/** Starts anew with each rotation; without rotation (see `rotatesRefreshTokens`) it is the whole. */
	refreshTokenS: number;
}

export const defaultLifetimes: TokenLifetimes = { accessTokenS: 172_800, refreshTokenS: 180 * 86_400 };

/** A login ends for good after this, whatever was refreshed. */
const grantS = 400 * 86_400;
/** How often a device asks; the standard's default of 5 s makes people wait for nothing. */
const devicePollIntervalS = 2;

export interface ProviderOptions {
	db: IdentityDatabase;
	issuerUrl: string;
	keys: SigningKeys;
	tokens: AccessTokens;
	/** Whether pages of this web origin may log people in with a device code and renew their tokens. */
	allowsOrigin: (origin: string) => boolean;
	/** Signs cookies. */
	cookieKey: string;
	lifetimes: TokenLifetimes;
	/** Somebody at this address typed a device code that nothing waits for. */
	onWrongCode: (address: string) => void;
	log: Pick<Logger, "info" | "warn" | "error">;
}

/** Scopes that a device's request names, as a person should read them. */
function purposes(scope: unknown): string[] {
	const parts = byResourceServer(String(scope ?? computeScope).split(" "));
	return parts.flatMap((part) => part.scope.split(" ").flatMap((name) => purposeOf(name) ?? []));
}

function sessionSecret(ctx: KoaContextWithOIDC): string {
	return String(ctx.oidc.session?.state?.secret ?? "");
}

function page(ctx: KoaContextWithOIDC, html: string): void {
	ctx.type = "html";
	ctx.body = html;
}

function configuration(options: ProviderOptions): Configuration {
	const { db, issuerUrl, keys, cookieKey, lifetimes, onWrongCode } = options;
	return {
		adapter: recordAdapter(db, issuerUrl),
		routes: providerPaths,
		jwks: { keys: [keys.current.privateJwk] } as Configuration["jwks"] & object,
		scopes: scopes.map((scope) => scope.name),
		claims: {
			openid: ["sub", "preferred_username", "name", "email", "identity_set"],
			profile: ["preferred_username", "name"],
			email: ["email"],
		},
		// The public interface's clients read names out of the id_token, without asking userinfo.
		conformIdTokenClaims: false,
		pkce: { required: () => true },
		rotateRefreshToken: (ctx) => rotatesRefreshTokens(ctx.oidc.client?.clientId ?? ""),
		issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
		expiresWithSession: () => false,
		// Cookies are never sent along: what a page can ask is what any program can.
		clientBasedCORS: (_ctx, origin) => options.allowsOrigin(origin),
		clientDefaults: { grant_types: [], response_types: [] },
		cookies: {
			keys: [cookieKey],
			names: { session: "errand_session", interaction: "errand_interaction", resume: "errand_resume" },
			long: { signed: true, httpOnly: true, sameSite: "lax" },
			short: { signed: true, httpOnly: true, sameSite: "lax" },
		},
		ttl: {
			AccessToken: lifetimes.accessTokenS,
			ClientCredentials: lifetimes.accessTokenS,
			RefreshToken: lifetimes.refreshTokenS,
			// Pasted by hand, so longer than the usual minute.
			AuthorizationCode: 600,
			DeviceCode: 900,
			IdToken: lifetimes.accessTokenS,
			Interaction: 3600,
			Session: 14 * 86_400,
			Grant: grantS,
		},
		async findAccount(_ctx, id) {
			const account = await accountById(db, id);
			if (account === undefined || account.disabled_at !== null) return undefined;
			return { accountId: id, claims: async () => ({ ...accountClaims(account) }) };
		},
		async loadExistingGrant(ctx) {
			const { provider, result, client, session, entities } = ctx.oidc;
			const grantId = result?.consent?.grantId;
			if (typeof grantId === "string") return await provider.Grant.find(grantId);
			// Every login has a grant of its own, so that logging out of one leaves the others alone. Our own command
			// line said on the device page what it wants, and the person agreed there.
			if (entities.DeviceCode === undefined || client === undefined || !isFirstParty(client.clientId)) return undefined;
			const grant = new provider.Grant({ clientId: client.clientId, accountId: session?.accountId as string });
			grant.addOIDCScope(String(ctx.oidc.params?.scope ?? computeScope));
			await grant.save();
			return grant;
		},
		interactions: { url: (_ctx, interaction) => `${interactionPath}/${interaction.uid}` },
		renderError(ctx, out) {
			page(ctx, errorPage(out.error, out.error_description));
		},
		features: {
			devInteractions: { enabled: false },
			clientCredentials: { enabled: true },
			introspection: {
				enabled: true,
				// A client learns about its own tokens; a service that was shown one may ask what it is.
				allowedPolicy: (_ctx, client, token) =>
					client.clientId === token.clientId || client.clientAuthMethod !== "none",
			},
			revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId },
			resourceIndicators: { enabled: false },
			rpInitiatedLogout: {
				enabled: true,
				logoutSource: (ctx) => page(ctx, logOutPage(`${providerPaths.end_session}/confirm`, sessionSecret(ctx))),
				postLogoutSuccessSource: (ctx) => page(ctx, loggedOutPage()),
			},
			deviceFlow: {
				enabled: true,
				charset: "base-20",
				mask: "****-****",
				deviceInfo: (ctx) => ({ ip: ctx.ip, userAgent: ctx.get("user-agent").slice(0, 200) }),
				userCodeInputSource(ctx, _form, out, error) {
					if (error?.name === "NotFoundError") onWrongCode(ctx.ip);
					page(ctx, deviceCodePage(providerPaths.code_verification, sessionSecret(ctx), error?.name ?? out?.error));
				},
				userCodeConfirmSource: (ctx, _form, client, deviceInfo, userCode) =>
					page(
						ctx,
						confirmDevicePage({
							action: providerPaths.code_verification,
							xsrf: sessionSecret(ctx),
							clientName: client.clientName ?? client.clientId,
							userCode,
							address: String(deviceInfo.ip ?? ""),
							program: String(deviceInfo.userAgent ?? ""),
							purposes: purposes(ctx.oidc.entities.DeviceCode?.params?.scope),
						}),
					),
				successSource: (ctx) => page(ctx, deviceDonePage(ctx.oidc.client?.clientName)),
			},
		},
	};
}

/** A provider that signs with the keys of this moment: make another one when they change. It keeps nothing in memory. */
export function createProvider(options: ProviderOptions): Provider {
	const { tokens, log } = options;
	const provider = new Provider(options.issuerUrl, configuration(options));
	// The router in front rewrites the forwarding headers to what it knows; see `hand-over.ts`.
	provider.proxy = true;
	provider.silent = true;
	// Secrets of clients are random and stored as digests.
	provider.Client.prototype.compareClientSecret = function compare(this: { clientSecret?: string }, actual: string) {
		return secretMatches(actual, Buffer.from(this.clientSecret ?? "", "hex"));
	};
	const writeTokenDocument = createTokenDocuments(tokens);
	provider.use(async (ctx, next) => {
		await next();
		const oidc = (ctx as Partial<KoaContextWithOIDC>).oidc;
		if (ctx.status !== 200 || oidc === undefined) return;
		try {
			if (oidc.route === "token") await writeTokenDocument(ctx as KoaContextWithOIDC);
			if (oidc.route === "introspection") await nameHolder(options.db, ctx.body as Introspection);
			if (oidc.route === "device_authorization") Object.assign(ctx.body as object, { interval: devicePollIntervalS });
		} catch (error) {
			log.error({ err: error, route: oidc.route }, "identity reply failed");
			ctx.status = 500;
			ctx.body = { error: "server_error", error_description: "the service failed; try again" };
		}
	});
	provider.on("server_error", (_ctx, error) => log.error({ err: error }, "identity provider failed"));
	return provider;
}
