import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AccountId, type EndpointId, type FunctionId, newId, type TaskGroupId, type TaskId } from "@errand/proto";
import { pino } from "pino";
import { expect, test } from "vitest";
import { openEmbeddedPostgres } from "./embedded-postgres.ts";
import { migrate, readMigrations } from "./migrate.ts";
import { openPool } from "./pool.ts";
import { removePostgresHome } from "./postgres-home.ts";
import { recordEndings } from "./results.ts";
import { insertTasks } from "./tasks.ts";

const log = pino({ level: "silent" });

test("the plan that ends tasks is as good for many as for one, even when it was made while the table was empty", async () => {
	await using stack = new AsyncDisposableStack();
	const directory = await mkdtemp(join(tmpdir(), "errand-results-"));
	stack.defer(() => rm(directory, { recursive: true, force: true }));
	stack.defer(() => removePostgresHome(directory));
	const server = await openEmbeddedPostgres({ directory, log });
	stack.defer(() => server.close());
	const database = openPool({ url: server.url, log, maxConnections: 1 });
	stack.defer(() => database.close());
	await migrate(database, await readMigrations(), log);
	await database.query("vacuum analyze tasks");

	const endpoint = newId<EndpointId>();
	const ids = Array.from({ length: 500 }, () => newId<TaskId>());
	const endingOf = (id: TaskId) => ({
		id,
		endpoint,
		state: 7,
		value: Buffer.from("x"),
		blob: null,
		failure: null,
		execution: null,
		stdoutBytes: 0,
		stderrBytes: 0,
		actor: "here",
	});
	expect(await recordEndings(database, [endingOf(newId<TaskId>())])).toEqual([]);
	await insertTasks(database, 1, [
		{
			group: newId<TaskGroupId>(),
			endpoint,
			owner: newId<AccountId>(),
			userEndpoint: null,
			publicForm: false,
			resources: null,
			resultSerializers: null,
			retryOf: null,
			submission: null,
			tasks: ids.map((id) => ({
				id,
				function: newId<FunctionId>(),
				payload: Buffer.from("y"),
				blob: null,
				versionSkew: null,
			})),
		},
	]);
	const plan = async () => {
		const { rows } = await database.query<{ "QUERY PLAN": string }>(
			`explain execute "record-endings" ('{}', ${Array(12).fill("null").join(", ")})`,
		);
		return rows.map((row) => row["QUERY PLAN"]).join("\n");
	};
	expect(await plan()).toMatch(/Hash Cond: \(e\w*\.id = t\.id\)|Hash Cond: \(t\.id = e\w*\.id\)/);
	expect(await recordEndings(database, ids.map(endingOf))).toHaveLength(500);
	await database.query("analyze tasks");
	expect(await plan()).toMatch(/Hash Cond: \(e\w*\.id = t\.id\)|Hash Cond: \(t\.id = e\w*\.id\)/);
});
