import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../operations/test-cloud.ts";
import { type Database, openPool } from "./pool.ts";

const log = pino({ level: "silent" });
let server: TestDatabase;
let database: Database;

beforeAll(async () => {
	server = await openTestDatabase();
	database = openPool({ url: server.url, log });
});
afterAll(async () => {
	await database?.close();
	await server?.close();
});

test("NEW-7: a connection that the database ends between two statements of a transaction costs a repetition, not the process", async () => {
	let tries = 0;
	const pids = await database.transaction(async (session) => {
		const pid = async () => (await session.query<{ pid: number }>("select pg_backend_pid() as pid")).rows[0]?.pid;
		const first = await pid();
		if (tries++ === 0) {
			await database.query("select pg_terminate_backend($1)", [first]);
			const isThere = "select from pg_stat_activity where pid = $1";
			while ((await database.query(isThere, [first])).rowCount > 0) await sleep(5);
			await sleep(5); // its last words have been read
		}
		return [first, await pid()];
	});
	expect(tries).toBe(2);
	expect(pids[0]).toBe(pids[1]);
});
