/**
 * The port between identity and whoever must know who is calling.
 */
import type { Caller } from "../policy/caller.ts";

export interface TokenVerifier {
	/**
	 * The caller that a bearer token stands for. Rejects with a Fault `INVALID_AUTH_TOKEN` that says why.
	 * Verified tokens are remembered for a few seconds (never past their end): a revoked one dies within `revocationLagMs`.
	 */
	verify(token: string): Promise<Caller>;
}
