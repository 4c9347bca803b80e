/** Access tokens on the wire: a JWT around a record's id, so that its bearer is known without a look-up, and revocable. */
import { createLocalJWKSet, errors, type JWK, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { ResourceServer } from "./scopes.ts";
import { type SigningKeys, signingAlgorithm } from "./signing-keys.ts";

/** As RFC 9068 has it; keeps an id_token from being taken for an access token. */
const tokenType = "at+jwt";

interface AccessTokenClaims {
	/** The account, or the client where a client acts for itself. */
	subject: string;
	clientId: string;
	audience: ResourceServer;
	/** Space-separated. */
	scope: string;
	/** Of the record that must still exist for the token to be honoured. */
	recordId: string;
	/** Unix seconds. */
	expiresAtS: number;
	/** When the person logged in, Unix seconds; refreshing does not change it. Undefined where nobody did. */
	authTimeS?: number | undefined;
}

export interface AccessTokens {
	sign(claims: AccessTokenClaims): Promise<string>;
	/**
	 * The claims of a token of ours that has not ended, without asking whether it was revoked. `audience` undefined: any.
	 * Throws jose's errors.
	 */
	verify(token: string, audience?: ResourceServer): Promise<AccessTokenClaims>;
}

/** A token with an unknown key makes the keys be read again at most this often. */
const reloadIntervalMs = 10_000;

export function createAccessTokens(issuerUrl: string, keys: SigningKeys, now: () => number): AccessTokens {
	let known: { keys: readonly JWK[]; find: ReturnType<typeof createLocalJWKSet> } | undefined;
	let reloadedAtMs = Number.NEGATIVE_INFINITY;

	function keySet(): ReturnType<typeof createLocalJWKSet> {
		if (known?.keys !== keys.publicKeys) {
			known = { keys: keys.publicKeys, find: createLocalJWKSet({ keys: [...keys.publicKeys] }) };
		}
		return known.find;
	}

	async function check(token: string, audience: ResourceServer | undefined): Promise<JWTPayload> {
		const { payload } = await jwtVerify(token, keySet(), {
			algorithms: [signingAlgorithm],
			issuer: issuerUrl,
			typ: tokenType,
			requiredClaims: ["sub", "exp", "jti", "aud", "client_id"],
			currentDate: new Date(now()),
			...(audience === undefined ? {} : { audience }),
		});
		return payload;
	}

	return {
		async sign(claims) {
			const { kid, privateJwk } = keys.current;
			const authTime = claims.authTimeS === undefined ? {} : { auth_time: claims.authTimeS };
			return await new SignJWT({ scope: claims.scope, client_id: claims.clientId, ...authTime })
				.setProtectedHeader({ alg: signingAlgorithm, typ: tokenType, kid })
				.setIssuer(issuerUrl)
				.setSubject(claims.subject)
				.setAudience(claims.audience)
				.setJti(claims.recordId)
				.setIssuedAt(Math.floor(now() / 1000))
				.setExpirationTime(claims.expiresAtS)
				.sign(privateJwk);
		},

		async verify(token, audience) {
			let payload: JWTPayload;
			try {
				payload = await check(token, audience);
			} catch (error) {
				if (!(error instanceof errors.JWKSNoMatchingKey) || now() - reloadedAtMs < reloadIntervalMs) throw error;
				// Another cloud process may have rotated the keys.
				reloadedAtMs = now();
				await keys.reload();
				payload = await check(token, audience);
			}
			return {
				subject: payload.sub as string,
				clientId: payload.client_id as string,
				audience: payload.aud as ResourceServer,
				scope: typeof payload.scope === "string" ? payload.scope : "",
				recordId: payload.jti as string,
				expiresAtS: payload.exp as number,
				authTimeS: typeof payload.auth_time === "number" ? payload.auth_time : undefined,
			};
		},
	};
}
