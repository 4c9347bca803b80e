/**
 * Who may connect, and what each may touch. Passwords are on disk as salted hashes only. They are made here from 192
 * random bits, so that one round of SHA-256 is enough: there is nothing to guess.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Rights } from "../rights.ts";
import { syncDirectory } from "./message-log.ts";
import { Refusal } from "./refusal.ts";

export type Access = "configure" | "write" | "read";

interface StoredPassword {
	readonly salt: string;
	readonly hash: string;
}

interface StoredUser {
	readonly name: string;
	/** Newest last. */
	readonly passwords: readonly StoredPassword[];
	readonly rights: Rights;
}

/** Passwords of one user that are valid at once, where earlier ones stay valid. */
const passwordsKept = 4;

const hashOf = (salt: Buffer, password: string): Buffer => createHash("sha256").update(salt).update(password).digest();

const newPassword = (): string => randomBytes(24).toString("base64url");

function storePassword(password: string): StoredPassword {
	const salt = randomBytes(16);
	return { salt: salt.toString("base64"), hash: hashOf(salt, password).toString("base64") };
}

/** One user's rights, compiled. */
export class User {
	readonly name: string;
	readonly #patterns: Record<Access, RegExp>;
	readonly #topics: ReadonlyMap<string, { write: RegExp; read: RegExp }>;
	/** Names found allowed before: the same few, again and again. */
	readonly #allowed = new Set<string>();

	constructor(name: string, rights: Rights) {
		this.name = name;
		this.#patterns = {
			configure: new RegExp(rights.configure),
			write: new RegExp(rights.write),
			read: new RegExp(rights.read),
		};
		this.#topics = new Map(
			Object.entries(rights.topics).map(([exchange, { write, read }]) => [
				exchange,
				{ write: new RegExp(write), read: new RegExp(read) },
			]),
		);
	}

	may(access: Access, resource: string): boolean {
		const asked = `${access} ${resource}`;
		if (this.#allowed.has(asked)) return true;
		if (!this.#patterns[access].test(resource === "" ? "amq.default" : resource)) return false;
		if (this.#allowed.size < 1000) this.#allowed.add(asked);
		return true;
	}

	/** Throws a Refusal (ACCESS_REFUSED). */
	mustBeAllowed(access: Access, kind: "queue" | "exchange", resource: string): void {
		if (!this.may(access, resource))
			throw new Refusal("ACCESS_REFUSED", `${access} access to ${kind} '${resource}' refused for user '${this.name}'`);
	}

	/** Throws a Refusal (ACCESS_REFUSED) when this exchange's routing keys are limited and this one is not allowed. */
	mustBeAllowedTopic(access: "write" | "read", exchange: string, routingKey: string): void {
		const limits = this.#topics.get(exchange);
		if (limits && !limits[access].test(routingKey))
			throw new Refusal(
				"ACCESS_REFUSED",
				`${access} access to topic '${routingKey}' in exchange '${exchange}' refused for user '${this.name}'`,
			);
	}
}

/** All users, in one file that is replaced whole. */
export class UserStore {
	readonly #path: string;
	readonly #directory: string;
	readonly #stored: Map<string, StoredUser>;
	readonly #users = new Map<string, User>();
	readonly #ephemeral = new Set<string>();
	/** One replacement at a time; a change that comes during one joins the next. */
	#saving: Promise<void> = Promise.resolve();
	#next: Promise<void> | undefined;

	static async open(directory: string): Promise<UserStore> {
		const path = join(directory, "users.json");
		const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return "[]";
			throw error;
		});
		return new UserStore(directory, path, JSON.parse(text) as StoredUser[]);
	}

	private constructor(directory: string, path: string, stored: StoredUser[]) {
		this.#directory = directory;
		this.#path = path;
		this.#stored = new Map(stored.map((user) => [user.name, user]));
		for (const user of stored) this.#users.set(user.name, new User(user.name, user.rights));
	}

	has(name: string): boolean {
		return this.#stored.has(name);
	}

	/** The user, or undefined when name or password are wrong; both cost the same. */
	authenticate(name: string, password: string): User | undefined {
		const stored = this.#stored.get(name);
		let matches = false;
		for (const { salt, hash } of stored?.passwords ?? [storePassword("")]) {
			const given = hashOf(Buffer.from(salt, "base64"), password);
			if (timingSafeEqual(given, Buffer.from(hash, "base64"))) matches = true;
		}
		return stored && matches ? this.#users.get(name) : undefined;
	}

	/**
	 * Creates the user, or gives it a new password and these rights; durable when it resolves.
	 * `earlier` says whether the passwords given before still open a connection (the newest few of them).
	 */
	async put(name: string, rights: Rights, earlier: "end" | "stay"): Promise<string> {
		const password = newPassword();
		const kept = earlier === "stay" ? (this.#stored.get(name)?.passwords ?? []).slice(1 - passwordsKept) : [];
		this.#stored.set(name, { name, rights, passwords: [...kept, storePassword(password)] });
		this.#users.set(name, new User(name, rights));
		await this.#save();
		return password;
	}

	/** Durable when it resolves. */
	async remove(name: string): Promise<void> {
		if (!this.#stored.delete(name)) return;
		this.#users.delete(name);
		await this.#save();
	}

	/** A user that is not on disk: this process's own. */
	putEphemeral(name: string, rights: Rights): string {
		const password = newPassword();
		const stored = { name, rights, passwords: [storePassword(password)] };
		this.#stored.set(name, stored);
		this.#ephemeral.add(name);
		this.#users.set(name, new User(name, rights));
		return password;
	}

	#save(): Promise<void> {
		this.#next ??= this.#saving
			.catch(() => undefined)
			.then(() => {
				this.#next = undefined;
				this.#saving = this.#write();
				return this.#saving;
			});
		return this.#next;
	}

	async #write(): Promise<void> {
		const temporary = `${this.#path}.new`;
		const handle = await open(temporary, "w", 0o600);
		try {
			const kept = [...this.#stored.values()].filter(({ name }) => !this.#ephemeral.has(name));
			await handle.writeFile(JSON.stringify(kept, null, "\t"));
			await handle.sync();
		} finally {
			await handle.close();
		}
		await rename(temporary, this.#path);
		await syncDirectory(this.#directory);
	}
}
