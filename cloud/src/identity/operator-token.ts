/** The state directory's own token: whoever can read that file owns this cloud. */
import { chmod, mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { AccountId } from "@errand/proto";
import { computeScope } from "@errand/proto/rest";
import type { Caller } from "../policy/caller.ts";
import { domainsOf } from "../policy/login.ts";
import { firstAdministrator } from "../store/identity.ts";
import type { IdentityDatabase } from "./database.ts";
import { newSecret, secretDigest, secretMatches } from "./secret.ts";

export const operatorTokenFile = "operator-token";
/** Says at a glance what it is, to people and to scanners for leaked secrets. */
const prefix = "errand_operator_";
/** The account of an operator before there is any: enough to make the first one. */
const nobody = "00000000-0000-0000-0000-000000000000";
/** The token itself does not end; a caller made from it is asked for again. */
const callerLifetimeMs = 3_600_000;

export interface OperatorToken {
	/** In constant time. */
	matches(token: string): boolean;
	/** The operator, acting as the first administrator; on a cloud that has none yet, as an account that owns nothing. */
	caller(): Promise<Caller>;
}

/** The token in `stateDirectory`, made on first use: the file is 0600, its directory 0700. */
export async function openOperatorToken(
	stateDirectory: string,
	db: IdentityDatabase,
	now: () => number,
): Promise<OperatorToken> {
	await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
	const path = join(stateDirectory, operatorTokenFile);
	try {
		const file = await open(path, "wx", 0o600);
		await file.writeFile(`${prefix}${newSecret()}\n`).finally(() => file.close());
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
	await chmod(path, 0o600);
	const token = (await readFile(path, "utf8")).trim();
	if (!token.startsWith(prefix) || token.length < prefix.length + 32) {
		throw new Error(`${path} does not hold an operator token; remove it, and a new one is made`);
	}
	const digest = secretDigest(token);

	return {
		matches: (candidate) => candidate.startsWith(prefix) && secretMatches(candidate, digest),
		async caller() {
			const account = await firstAdministrator(db);
			return {
				kind: "account",
				accountId: (account?.id ?? nobody) as AccountId,
				username: account?.username ?? "operator",
				admin: true,
				operator: true,
				scopes: new Set([computeScope]),
				tokenExpiresAtMs: now() + callerLifetimeMs,
				// Nobody logs in for a file.
				login: { domains: domainsOf(account?.username ?? "", account?.email ?? ""), service: false, atMs: undefined },
			};
		},
	};
}
