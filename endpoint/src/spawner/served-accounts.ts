/** As whom an identity's user endpoint runs, or why there is none. What is said is for that person, and names nobody else. */
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import { MappingProgramFailure } from "../multiuser/identity.ts";
import { openIdentityMapFile } from "../multiuser/identity-map-file.ts";
import { type LocalAccount, localAccount } from "../multiuser/local-account.ts";
import { userConfigFiles } from "../multiuser/user-config-files.ts";
import type { Logger } from "../service/logger.ts";
import type { StartRequest } from "./start-request.ts";

export interface ServedAccount {
	readonly account: LocalAccount;
	/** The identity that was mapped to it. */
	readonly mappedIdentityId: string;
}

export interface ServedAccounts {
	/** Looked up anew each time. Throws a SEMANTICALLY_INVALID fault for who is not served, NOT_READY when nobody can tell now. */
	accountFor(request: Pick<StartRequest, "identities" | "identityId" | "username">): Promise<ServedAccount>;
	close(): void;
}

const refuse = (message: string): Fault => new Fault("SEMANTICALLY_INVALID", message);

/** Root's: whom the identity map names. Throws a ConfigFault when the map has a fault. */
export function mappedAccounts(directory: string, endpointId: string, log: Logger): ServedAccounts {
	const map = openIdentityMapFile({ path: join(directory, userConfigFiles.identityMapping), endpointId, log });
	return {
		async accountFor({ identities, username }) {
			const mapped = await map.map(identities).catch((cause: unknown) => {
				if (!(cause instanceof MappingProgramFailure)) throw cause;
				throw new Fault(
					"NOT_READY",
					`whether you (${username}) have an account at this endpoint on ${hostname()} cannot be told now, for the program that knows gave no answer: try again later, or ask its administrator`,
					{ cause },
				);
			});
			if (mapped === undefined)
				throw refuse(
					`you (${username}) have no account at this endpoint on ${hostname()}: ask its administrator to add you to its identity map`,
				);
			const account = await localAccount(mapped.localName);
			// Root is refused above; a daemon that is root by another name must not be either.
			if (account.uid === process.geteuid?.() || account.uid === process.getuid?.())
				throw refuse(`you (${username}) map to the account that runs the manager itself: nothing of others runs as it`);
			return { account, mappedIdentityId: mapped.identityId };
		},
		close: () => map.close(),
	};
}

/** Somebody's own manager serves its owner, as themselves. */
export function ownAccount(ownerId: string): ServedAccounts {
	return {
		async accountFor({ identityId, username }) {
			if (identityId !== ownerId)
				throw refuse(`this endpoint on ${hostname()} serves its owner only, and that is not you (${username})`);
			return { account: await localAccount(userInfo().username), mappedIdentityId: identityId };
		},
		close: () => undefined,
	};
}
