/** What a service is told about a token that it was shown, besides what the provider says: whose it is. */
import { accountById } from "../store/identity.ts";
import type { IdentityDatabase } from "./database.ts";
import { accountClaims } from "./identity-document.ts";

export interface Introspection {
	active: boolean;
	client_id?: string;
	sub?: string;
	username?: string;
	name?: string;
	email?: string;
	identity_set?: readonly object[];
}

/** Adds the holder to the reply about a live token, in the words of the public interface. */
export async function nameHolder(db: IdentityDatabase, reply: Introspection): Promise<void> {
	if (!reply.active) return;
	// A client that acts for itself is its own account.
	const id = reply.sub ?? reply.client_id;
	const account = id === undefined ? undefined : await accountById(db, id);
	if (account === undefined) return;
	const { sub, preferred_username: username, name, email, identity_set } = accountClaims(account);
	Object.assign(reply, { sub, username, name, email, identity_set });
}
