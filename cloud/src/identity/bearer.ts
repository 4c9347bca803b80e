/** The bearer token of a request, for identity's own routes. */
import { Fault } from "@errand/proto";
import type { Request } from "express";
import type { Caller } from "../policy/caller.ts";
import type { TokenVerifier } from "./verify-token.ts";

export async function authenticate(request: Request, verifier: TokenVerifier): Promise<Caller> {
	const [scheme, token, ...rest] = (request.headers.authorization ?? "").trim().split(/ +/);
	if (scheme?.toLowerCase() !== "bearer" || token === undefined || rest.length > 0) {
		throw new Fault("USER_UNAUTHENTICATED", "Send an access token in the header: Authorization: Bearer TOKEN.");
	}
	return await verifier.verify(token);
}
