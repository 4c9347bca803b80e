/** Where access tokens come from. Nothing here needs Node: it works in a browser too. */
import { Fault } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import { discover, normalizeCloudUrl, OAuthError, postForm, readTokenReply, type Tokens } from "./oauth.ts";

/** Who gives tokens for one cloud. */
export interface TokenSource {
	/** Without a slash at its end. */
	readonly cloudUrl: string;
	/**
	 * A token that is good for at least a minute. `forceRefresh`: the last one was refused; get another if possible.
	 * Rejects with a Fault `USER_UNAUTHENTICATED` when a person must log in again.
	 */
	accessToken(options?: { forceRefresh?: boolean }): Promise<string>;
}

/** Tokens are renewed this long before their end, so that none ends on its way. */
export const renewBeforeMs = 60_000;

/** One token, as it is: for tests, for tokens from elsewhere, and for a browser that was given one. */
export function staticTokenSource(cloudUrl: string, accessToken: string): TokenSource {
	return { cloudUrl: normalizeCloudUrl(cloudUrl), accessToken: () => Promise.resolve(accessToken) };
}

export interface ClientCredentialsOptions {
	cloudUrl: string;
	clientId: string;
	clientSecret: string;
	/** The compute scope if not given. */
	scope?: string;
	/** Unix milliseconds; the clock of the machine if not given. */
	now?: () => number;
}

/** Tokens of a service client or an endpoint key: got with its secret, kept in memory, renewed before they end. */
export function clientCredentialsTokenSource(options: ClientCredentialsOptions): TokenSource {
	const cloudUrl = normalizeCloudUrl(options.cloudUrl);
	const now = options.now ?? Date.now;
	const encode = (part: string): string => encodeURIComponent(part).replaceAll("%20", "+");
	const authorization = `Basic ${btoa(`${encode(options.clientId)}:${encode(options.clientSecret)}`)}`;
	let tokens: Tokens | undefined;
	let renewal: Promise<Tokens> | undefined;

	async function renew(): Promise<Tokens> {
		const { tokenEndpoint } = await discover(cloudUrl);
		const form = { grant_type: "client_credentials", scope: options.scope ?? computeScope };
		try {
			return readTokenReply(await postForm(tokenEndpoint, form, { authorization }), now());
		} catch (error) {
			if (!(error instanceof OAuthError) || error.code !== "invalid_client") throw error;
			throw new Fault(
				"USER_UNAUTHENTICATED",
				`The client ${options.clientId} is unknown at ${cloudUrl}, or its secret is wrong or was replaced.`,
				{ args: [options.clientId], cause: error },
			);
		}
	}

	return {
		cloudUrl,
		async accessToken({ forceRefresh = false } = {}) {
			if (!forceRefresh && tokens !== undefined && now() < tokens.expiresAtMs - renewBeforeMs)
				return tokens.accessToken;
			renewal ??= renew().finally(() => {
				renewal = undefined;
			});
			tokens = await renewal;
			return tokens.accessToken;
		},
	};
}
