/** What clients are told about an account. */
import type { AccountRow } from "../store/identity.ts";

export interface AccountClaims {
	sub: string;
	preferred_username: string;
	name: string;
	email: string;
	/** The public interface links several identities to one account; here each account has one. */
	identity_set: { sub: string; username: string; name: string; email: string }[];
}

export function accountClaims(account: AccountRow): AccountClaims {
	const { id: sub, username, email } = account;
	const name = account.name === "" ? username : account.name;
	return { sub, preferred_username: username, name, email, identity_set: [{ sub, username, name, email }] };
}

/** One of `GET /v2/api/identities`. */
export function identityDocument(account: AccountRow): {
	id: string;
	username: string;
	name: string;
	email: string;
	status: "used";
} {
	const { sub, preferred_username, name, email } = accountClaims(account);
	return { id: sub, username: preferred_username, name, email, status: "used" };
}
