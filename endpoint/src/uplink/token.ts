/** The endpoint's access token, by its own client credentials: fetched when needed, kept until shortly before it ends. */
import { Fault } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import * as z from "zod";
import type { Credentials } from "../config/credentials.ts";

/** A token that ends during the request it was fetched for is of no use. */
const earlyMs = 60_000;
const requestTimeoutMs = 30_000;

const reply = z.object({ access_token: z.string().min(1), expires_in: z.number().positive() });

export interface Tokens {
	/** `fresh`: not the kept one, for the cloud has refused it. */
	accessToken(options?: { fresh?: boolean }): Promise<string>;
}

export function openTokens(credentials: Credentials, nowMs: () => number): Tokens {
	let kept: { token: string; untilMs: number } | undefined;
	let asking: Promise<string> | undefined;

	async function ask(): Promise<string> {
		const basic = Buffer.from(
			`${encodeURIComponent(credentials.clientId)}:${encodeURIComponent(credentials.clientSecret)}`,
		).toString("base64");
		const response = await fetch(credentials.tokenEndpoint, {
			method: "POST",
			headers: { authorization: `Basic ${basic}`, accept: "application/json" },
			body: new URLSearchParams({ grant_type: "client_credentials", scope: computeScope }),
			signal: AbortSignal.timeout(requestTimeoutMs),
		});
		if (response.status >= 400 && response.status < 500 && response.status !== 429)
			throw new Fault(
				"USER_UNAUTHENTICATED",
				`the cloud does not accept this endpoint's key (${response.status}): make a new one with \`errand endpoint configure --new-key\``,
			);
		if (!response.ok) throw new Error(`the token request was answered with ${response.status}`);
		const { access_token: token, expires_in: seconds } = reply.parse(await response.json());
		kept = { token, untilMs: nowMs() + seconds * 1000 - earlyMs };
		return token;
	}

	return {
		accessToken({ fresh = false } = {}) {
			if (!fresh && kept && nowMs() < kept.untilMs) return Promise.resolve(kept.token);
			asking ??= ask().finally(() => {
				asking = undefined;
			});
			return asking;
		},
	};
}
