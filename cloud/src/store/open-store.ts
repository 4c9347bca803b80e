/** The database of this cloud: a server by its URL, or one of our own; migrated. */
import { type EmbeddedPostgres, type Log, openEmbeddedPostgres } from "./embedded-postgres.ts";
import { migrate, readMigrations } from "./migrate.ts";
import { type Database, openPool } from "./pool.ts";

export interface Store {
	readonly database: Database;
	/** Our own server, which no other cloud process can be using; undefined when it is somebody else's. */
	readonly embedded: EmbeddedPostgres | undefined;
	/** The pool, then our own server. */
	close(): Promise<void>;
}

/** `url` undefined: an embedded server with its data under `directory`. Resolves when the database is up to date. */
export async function openStore(options: { url: string | undefined; directory: string; log: Log }): Promise<Store> {
	const { log } = options;
	const embedded =
		options.url === undefined ? await openEmbeddedPostgres({ directory: options.directory, log }) : undefined;
	const database = openPool({ url: embedded?.url ?? (options.url as string), log });
	const close = async (): Promise<void> => {
		await database.close();
		await embedded?.close();
	};
	try {
		await migrate(database, await readMigrations(), log);
	} catch (cause) {
		await close();
		throw cause;
	}
	return { database, embedded, close };
}
