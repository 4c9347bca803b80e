import type { IncomingMessage } from "node:http";
import { Fault } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import { manageProjectsScope } from "../identity/scopes.ts";
import type { TokenVerifier } from "../identity/verify-token.ts";
import type { Caller } from "../policy/caller.ts";

/** Tokens are a kilobyte or two; a header is at most 16 KB anyway. */
const bearer = /^Bearer +([\w.~+/=-]+) *$/i;

/** The bearer token of a request; throws USER_UNAUTHENTICATED without one. */
export function bearerToken(request: IncomingMessage): string {
	const header = request.headers.authorization;
	const token = header === undefined ? undefined : bearer.exec(header)?.[1];
	if (token === undefined) {
		throw new Fault(
			"USER_UNAUTHENTICATED",
			header === undefined
				? "This needs an access token: log in, and send it as `Authorization: Bearer <token>`."
				: "The Authorization header is not of the form `Bearer <token>`.",
		);
	}
	return token;
}

/** Throws INSUFFICIENT_AUTH_SCOPE unless the caller's token was given for computing. */
export function requireComputeScope(caller: Caller): void {
	if (caller.operator || caller.scopes.has(computeScope)) return;
	throw new Fault(
		"INSUFFICIENT_AUTH_SCOPE",
		`The access token does not have the scope ${computeScope}: log in again.`,
		{
			args: [computeScope],
		},
	);
}

/** Throws INSUFFICIENT_AUTH_SCOPE unless the caller's token was given for managing projects and policies. */
export function requireProjectsScope(caller: Caller): void {
	if (caller.scopes.has(manageProjectsScope)) return;
	throw new Fault(
		"INSUFFICIENT_AUTH_SCOPE",
		`The access token does not have the scope ${manageProjectsScope}: log in again.`,
		{ args: [manageProjectsScope] },
	);
}

/** The caller that a token stands for, if it may compute. */
export async function authenticate(verifier: TokenVerifier, token: string): Promise<Caller> {
	const caller = await verifier.verify(token);
	requireComputeScope(caller);
	return caller;
}
