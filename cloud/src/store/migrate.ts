/**
 * Brings the database to this version's shape: the numbered files of `cloud/migrations`, each once, in order, in a
 * transaction of its own, under a lock so that several cloud processes may start at the same time.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { Log } from "./embedded-postgres.ts";
import type { Database } from "./pool.ts";

export interface Migration {
	readonly number: number;
	readonly name: string;
	readonly sql: string;
	/** Of `sql`, hexadecimal. */
	readonly sha256: string;
}

/** Any number that nothing else in this database locks. */
const migrationLock = 7_305_201;
const ownDirectory = new URL("../../migrations/", import.meta.url);

/** The files of a directory in order. Throws when a number is missing, doubled or a name is malformed. */
export async function readMigrations(directory: URL = ownDirectory): Promise<Migration[]> {
	const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
	return await Promise.all(
		names.map(async (name, index) => {
			const number = Number(/^(\d{6})_[a-z0-9-]+\.sql$/.exec(name)?.[1]);
			if (number !== index + 1)
				throw new Error(`migrations: ${name} should be numbered ${String(index + 1).padStart(6, "0")}`);
			const sql = await readFile(new URL(name, directory), "utf8");
			return { number, name, sql, sha256: createHash("sha256").update(sql).digest("hex") };
		}),
	);
}

/** Runs what has not run. Rejects when the database is newer than this cloud or when a migration was changed afterwards. */
export async function migrate(database: Database, migrations: readonly Migration[], log: Log): Promise<void> {
	const newest = await database.transaction(async (session) => {
		await session.query("select pg_advisory_xact_lock($1)", [migrationLock]);
		await session.query(`create table if not exists migrations (
			number integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now()
		)`);
		const { rows } = await session.query<{ number: number; name: string }>(
			"select number, name from migrations order by number desc limit 1",
		);
		return rows[0];
	});
	if (newest !== undefined && newest.number > migrations.length)
		throw new Error(
			`the database is at migration ${newest.name}, newer than this cloud (${migrations.at(-1)?.name ?? "none"}). ` +
				"Start the newer version of Errand, or restore a backup from before the upgrade",
		);
	for (const migration of migrations) {
		await database.transaction(async (session) => {
			await session.query("select pg_advisory_xact_lock($1)", [migrationLock]);
			const { rows } = await session.query<{ name: string; sha256: string }>(
				"select name, sha256 from migrations where number = $1",
				[migration.number],
			);
			const done = rows[0];
			if (done !== undefined && done.sha256 !== migration.sha256)
				throw new Error(
					`migration ${migration.name} is not what was run on this database (as ${done.name}). ` +
						"A migration is never changed after its release: restore the file and add a new one",
				);
			if (done !== undefined) return;
			await session.query(migration.sql);
			await session.query("insert into migrations (number, name, sha256) values ($1, $2, $3)", [
				migration.number,
				migration.name,
				migration.sha256,
			]);
			log.info({ migration: migration.name }, "migrated the database");
		});
	}
}
