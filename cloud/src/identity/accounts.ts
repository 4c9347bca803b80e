/** Local accounts: people with passwords, and the service clients and endpoint keys they make. */
import { type AccountId, type EndpointId, Fault, newId } from "@errand/proto";
import type { AccountSummary, accountCreation, clientCreated } from "@errand/proto/rest";
import type * as z from "zod";
import {
	type AccountRow,
	accountById,
	accountByUsername,
	deleteEndpointClient,
	firstAdministrator,
	insertAccount,
	insertClient,
	listAccountRows,
	updatePasswordHash,
} from "../store/identity.ts";
import type { IdentityDatabase } from "./database.ts";
import { LoginLimit } from "./login-limit.ts";
import { hashPassword, verifyPassword } from "./password.ts";
import { newSecret, secretDigest } from "./secret.ts";

interface ClientSecret {
	/** Of the client-credentials grant, HTTP Basic. */
	clientId: string;
	/** Shown this once. */
	clientSecret: string;
}

export interface Accounts {
	/** Throws `RESOURCE_CONFLICT` when the username is taken. */
	createAccount(input: z.output<typeof accountCreation>): Promise<AccountSummary>;
	listAccounts(): Promise<AccountSummary[]>;
	accountByUsername(username: string): Promise<AccountSummary | undefined>;
	/** The first administrator, made now if there is none; `password` is there when it was. */
	ensureFirstAccount(username: string): Promise<{ account: AccountSummary; password?: string }>;
	/**
	 * The account of these credentials, or undefined. Throws `TOO_MANY_REQUESTS` after repeated failures for one account
	 * or from one address; whether the account exists does not show, neither in the answer nor in its time.
	 */
	logIn(username: string, password: string, address: string): Promise<AccountSummary | undefined>;
	/** A service client: an account of its own that gets tokens with its secret. */
	createClient(owner: AccountId, name: string): Promise<z.infer<typeof clientCreated>>;
	/** The one key of an endpoint: a new one ends the old one and its tokens. */
	createEndpointKey(endpoint: EndpointId, owner: AccountId): Promise<ClientSecret>;
	/** When an endpoint is deleted. */
	deleteEndpointKey(endpoint: EndpointId): Promise<void>;
}

function summarize(row: AccountRow): AccountSummary {
	return {
		id: row.id,
		username: row.username,
		name: row.name,
		email: row.email,
		admin: row.admin,
		created_at: row.created_at.toISOString(),
	};
}

export function createAccounts(db: IdentityDatabase, now: () => number): Accounts {
	/** Ten wrong passwords for one account, then one a minute: 1,440 guesses a day. */
	const byAccount = new LoginLimit({ burst: 10, forgiveMs: 60_000, keys: 50_000, now });
	/** An address may stand for a whole institute, so it gets more. */
	const byAddress = new LoginLimit({ burst: 50, forgiveMs: 10_000, keys: 50_000, now });

	async function createAccount(input: z.output<typeof accountCreation>): Promise<AccountSummary> {
		const id = newId<AccountId>();
		await insertAccount(db, {
			id,
			kind: "person",
			username: input.username,
			name: input.name ?? "",
			email: input.email ?? "",
			admin: input.admin,
			password_hash: await hashPassword(input.password),
		});
		// A statement that was repeated after a lost connection finds what it has written itself: so the row decides.
		const row = await accountById(db, id);
		if (row === undefined) {
			throw new Fault("RESOURCE_CONFLICT", `The username ${input.username} is taken; choose another.`, {
				args: [input.username],
			});
		}
		return summarize(row);
	}

	return {
		createAccount,

		async listAccounts() {
			return (await listAccountRows(db)).map(summarize);
		},

		async accountByUsername(username) {
			const row = await accountByUsername(db, username);
			return row === undefined || row.disabled_at !== null ? undefined : summarize(row);
		},

		async ensureFirstAccount(username) {
			const existing = await firstAdministrator(db);
			if (existing !== undefined) return { account: summarize(existing) };
			const password = newSecret().slice(0, 20);
			return { account: await createAccount({ username, password, admin: true }), password };
		},

		async logIn(username, password, address) {
			const accountKey = username.toLowerCase();
			byAddress.check(address);
			byAccount.check(accountKey);
			// Counted before the slow hash, so that parallel guesses count too; taken back when the password is right.
			byAddress.failed(address);
			byAccount.failed(accountKey);
			const row = await accountByUsername(db, username);
			const { matches, outdated } = await verifyPassword(password, row?.password_hash ?? null).catch(
				(error: unknown) => {
					// Refused unseen is not wrong.
					byAddress.takeBack(address);
					byAccount.takeBack(accountKey);
					throw error;
				},
			);
			if (row === undefined || !matches || row.disabled_at !== null) return undefined;
			byAccount.succeeded(accountKey);
			byAddress.takeBack(address);
			if (outdated) await updatePasswordHash(db, row.id, await hashPassword(password));
			return summarize(row);
		},

		async createClient(owner, name) {
			if ((await accountById(db, owner)) === undefined)
				throw new Fault("FORBIDDEN", "A service client belongs to an account, and this cloud has none yet: add one.");
			const id = newId<AccountId>();
			const secret = newSecret();
			await insertAccount(db, {
				id,
				kind: "client",
				username: `${id}@clients`,
				name,
				email: "",
				admin: false,
				password_hash: null,
			});
			await insertClient(db, {
				id,
				kind: "service",
				name,
				secret_sha256: secretDigest(secret),
				account_id: id,
				owner_id: owner,
				endpoint_id: null,
			});
			return { client_id: id, client_secret: secret, name };
		},

		async createEndpointKey(endpoint, owner) {
			const clientId = newId<AccountId>();
			const clientSecret = newSecret();
			await deleteEndpointClient(db, endpoint);
			await insertClient(db, {
				id: clientId,
				kind: "endpoint",
				name: `endpoint ${endpoint}`,
				secret_sha256: secretDigest(clientSecret),
				account_id: owner,
				owner_id: owner,
				endpoint_id: endpoint,
			});
			return { clientId, clientSecret };
		},

		async deleteEndpointKey(endpoint) {
			await deleteEndpointClient(db, endpoint);
		},
	};
}
