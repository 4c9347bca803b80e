/** Clients as the OpenID provider wants to see them: the two public ones that every cloud knows, and the rows. */
import { errandClientId, peerClientId } from "@errand/proto/rest";
import type { ClientMetadata } from "oidc-provider";
import type { ClientRow } from "../store/identity.ts";

export const authCodePath = "/v2/web/auth-code";
const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code";

const publicClient = { token_endpoint_auth_method: "none", application_type: "web" } as const;

/** Public clients: they have no secret, so PKCE or the device flow proves that the one who asked is the one who gets. */
const publicClients: Readonly<Record<string, (issuerUrl: string) => ClientMetadata>> = {
	[errandClientId]: () => ({
		...publicClient,
		client_id: errandClientId,
		client_name: "Errand command line",
		grant_types: [deviceGrant, "refresh_token"],
		response_types: [],
		redirect_uris: [],
	}),
	[peerClientId]: (issuerUrl) => ({
		...publicClient,
		client_id: peerClientId,
		client_name: "Globus Compute SDK",
		grant_types: ["authorization_code", "refresh_token", deviceGrant],
		response_types: ["code"],
		redirect_uris: [new URL(authCodePath, issuerUrl).href],
	}),
};

/** Undefined: no such client. A confidential client's `client_secret` is the digest; see `secretMatches` in the provider. */
export function clientMetadata(id: string, issuerUrl: string, row: ClientRow | undefined): ClientMetadata | undefined {
	const known = Object.hasOwn(publicClients, id) ? publicClients[id] : undefined;
	if (known !== undefined) return known(issuerUrl);
	if (row === undefined) return undefined;
	return {
		client_id: row.id,
		client_name: row.name,
		client_secret: row.secret_sha256.toString("hex"),
		token_endpoint_auth_method: "client_secret_basic",
		grant_types: ["client_credentials"],
		response_types: [],
		redirect_uris: [],
	};
}

/** Whether a person has already agreed on the device page to what the client asks: no second page for our own. */
export function isFirstParty(clientId: string): boolean {
	return clientId === errandClientId;
}

/**
 * The peer keeps its refresh token in a file that several of its processes read without a lock, each with its own copy
 * in memory: rotation would log all of them out. Every other client gets a new one each time.
 */
export function rotatesRefreshTokens(clientId: string): boolean {
	return clientId !== peerClientId;
}
