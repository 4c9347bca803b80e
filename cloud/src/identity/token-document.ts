/**
 * Turns the provider's token replies into the token document of the public interface: one token for each resource
 * server, the first in the document itself and the others in `other_tokens`, each with its literal scope and, where the
 * login may be refreshed, a refresh token of its own (each is rotated alone).
 */
import type Provider from "oidc-provider";
import type { KoaContextWithOIDC } from "oidc-provider";
import type { AccessTokens } from "./access-token.ts";
import { byResourceServer } from "./scopes.ts";

interface TokenEntry {
	access_token: string;
	token_type: "Bearer";
	expires_in: number;
	resource_server: string;
	scope: string;
	refresh_token?: string;
}

export interface TokenDocument extends TokenEntry {
	id_token?: string;
	other_tokens: TokenEntry[];
}

type AccessToken = InstanceType<Provider["AccessToken"]>;
type RefreshToken = InstanceType<Provider["RefreshToken"]>;
type ClientCredentials = InstanceType<Provider["ClientCredentials"]>;

/** Whose scopes no service here knows. */
const nothingGranted = {
	error: "invalid_scope",
	error_description: "none of the requested scopes is known here; ask for the compute scope or openid",
} as const;

/** Unix seconds: of the login that the code or refresh token came from. */
function authTimeOf({ oidc: { entities } }: KoaContextWithOIDC): number | undefined {
	const { AuthorizationCode: code, DeviceCode: device, RefreshToken: refresh } = entities;
	return (code ?? device ?? refresh)?.authTime;
}

export function createTokenDocuments(tokens: AccessTokens) {
	async function sign(
		token: AccessToken | ClientCredentials,
		part: ReturnType<typeof byResourceServer>[number],
		clientId: string,
		authTimeS: number | undefined,
	): Promise<TokenEntry> {
		const expiresInS = token.expiration;
		return {
			access_token: await tokens.sign({
				subject: "accountId" in token ? token.accountId : clientId,
				clientId,
				audience: part.resourceServer,
				scope: part.scope,
				recordId: token.jti,
				expiresAtS: Math.floor(Date.now() / 1000) + expiresInS,
				authTimeS,
			}),
			token_type: "Bearer",
			expires_in: expiresInS,
			resource_server: part.resourceServer,
			scope: part.scope,
		};
	}

	/** Another record of the same grant, for another resource server. */
	async function copyAccessToken(ctx: KoaContextWithOIDC, token: AccessToken): Promise<AccessToken> {
		const { AccessToken } = ctx.oidc.provider;
		return new AccessToken({
			accountId: token.accountId,
			// biome-ignore lint/style/noNonNullAssertion: a token reply has a client
			client: ctx.oidc.client!,
			grantId: token.grantId as string,
			...(token.gty === undefined ? {} : { gty: token.gty }),
		} as ConstructorParameters<typeof AccessToken>[0]);
	}

	async function copyRefreshToken(ctx: KoaContextWithOIDC, token: RefreshToken): Promise<RefreshToken> {
		const { RefreshToken } = ctx.oidc.provider;
		const { jti: _jti, ...same } = token;
		return new RefreshToken({
			...same,
			client: ctx.oidc.client,
		} as unknown as ConstructorParameters<typeof RefreshToken>[0]);
	}

	/** After the provider has answered a token request; leaves errors as they are. */
	return async function writeTokenDocument(ctx: KoaContextWithOIDC): Promise<void> {
		const { AccessToken: access, ClientCredentials: machine, RefreshToken: refresh } = ctx.oidc.entities;
		const token = access ?? machine;
		const clientId = ctx.oidc.client?.clientId;
		if (token === undefined || clientId === undefined) return;
		const body = ctx.body as { id_token?: string; refresh_token?: string };
		const renewal = ctx.oidc.params?.grant_type === "refresh_token";
		const parts = byResourceServer((token.scope ?? "").split(" "));
		const authTimeS = authTimeOf(ctx);
		const entries: TokenEntry[] = [];
		for (const [index, part] of parts.entries()) {
			const own = index === 0 ? token : await copyAccessToken(ctx, token as AccessToken);
			own.scope = part.scope;
			own.setAudience(part.resourceServer);
			await own.save();
			const entry = await sign(own, part, clientId, authTimeS);
			if (renewal && body.refresh_token !== undefined) {
				// Belongs to one resource server already, and clients want to see one in every reply.
				entry.refresh_token = body.refresh_token;
			} else if (refresh !== undefined) {
				const ownRefresh = index === 0 ? refresh : await copyRefreshToken(ctx, refresh);
				ownRefresh.scope = part.scope;
				entry.refresh_token = await ownRefresh.save();
			}
			entries.push(entry);
		}
		const [first, ...others] = entries;
		if (first === undefined) {
			await token.destroy();
			ctx.status = 400;
			ctx.body = nothingGranted;
			return;
		}
		ctx.body = {
			...first,
			...(body.id_token === undefined ? {} : { id_token: body.id_token }),
			other_tokens: others,
		} satisfies TokenDocument;
	};
}
