/** A cloud with nothing but identity, on a real database and a real port, for tests. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import { pino } from "pino";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "../store/embedded-postgres.ts";
import { migrate, readMigrations } from "../store/migrate.ts";
import { type Database, openPool } from "../store/pool.ts";
import { removePostgresHome } from "../store/postgres-home.ts";
import { type Identity, type IdentityOptions, openIdentity } from "./identity.ts";

export const log = pino({ level: process.env.TEST_LOG ?? "silent" });

export interface TestPostgres {
	/** A new, migrated database. */
	openDatabase(): Promise<Database>;
	close(): Promise<void>;
}

export async function openTestPostgres(): Promise<TestPostgres> {
	const directory = await mkdtemp(join(tmpdir(), "errand-identity-"));
	const server: EmbeddedPostgres = await openEmbeddedPostgres({ directory, log });
	const root = openPool({ url: server.url, log, maxConnections: 1 });
	const pools: Database[] = [root];
	return {
		async openDatabase() {
			const name = `identity_${pools.length}`;
			await root.query(`create database ${name}`);
			const url = new URL(server.url);
			url.pathname = `/${name}`;
			const pool = openPool({ url: url.href, log, maxConnections: 6 });
			pools.push(pool);
			await migrate(pool, await readMigrations(), log);
			return pool;
		},
		async close() {
			for (const pool of pools.reverse()) await pool.close();
			await server.close();
			await removePostgresHome(directory);
		},
	};
}

export interface TestCloud {
	/** Without a slash at its end. */
	readonly url: string;
	readonly identity: Identity;
	readonly db: Database;
	readonly stateDirectory: string;
	close(): Promise<void>;
}

export async function openTestCloud(
	postgres: TestPostgres,
	options: Partial<IdentityOptions> = {},
	database?: Database,
): Promise<TestCloud> {
	// As the cloud's own application has it.
	const app = express().set("query parser", false);
	const server = createServer(app);
	await new Promise<void>((resolve) => {
		server.listen(0, "127.0.0.1", resolve);
	});
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const db = database ?? (await postgres.openDatabase());
	const stateDirectory = await mkdtemp(join(tmpdir(), "errand-identity-state-"));
	const identity = await openIdentity({ db, issuerUrl: url, stateDirectory, log, version: "0.0.0", ...options });
	app.use(identity.router);
	return {
		url,
		identity,
		db,
		stateDirectory,
		async close() {
			await identity.close();
			server.closeAllConnections();
			await new Promise((resolve) => {
				server.close(resolve);
			});
			await rm(stateDirectory, { recursive: true, force: true });
		},
	};
}
