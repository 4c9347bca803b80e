import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { afterEach, expect, test, vi } from "vitest";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "./embedded-postgres.ts";
import { migrate, readMigrations } from "./migrate.ts";
import { openPool } from "./pool.ts";
import { removePostgresHome } from "./postgres-home.ts";

const log = pino({ level: process.env.TEST_LOG ?? "silent" });
const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function newDirectory(): Promise<string> {
	const directory = await mkdtemp(join(tmpdir(), "errand-store-"));
	cleanups.push(() => removePostgresHome(directory));
	return directory;
}

async function start(directory: string): Promise<EmbeddedPostgres> {
	const server = await openEmbeddedPostgres({ directory, log });
	cleanups.push(() => server.close());
	return server;
}

/** A cloud process of its own, with its server. */
async function startElsewhere(directory: string): Promise<{ child: ChildProcess; pid: number }> {
	const script = `
		const { openEmbeddedPostgres } = await import(${JSON.stringify(new URL("./embedded-postgres.ts", import.meta.url).href)});
		const quiet = { debug() {}, info() {}, warn() {}, error() {} };
		const server = await openEmbeddedPostgres({ directory: process.argv[1], log: quiet });
		process.stdout.write(String(server.pid) + "\\n");
		setInterval(() => {}, 1 << 30);`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", script, directory], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const pid = await new Promise<number>((resolve) => child.stdout.once("data", (text) => resolve(Number(text))));
	return { child, pid };
}

const socketOf = (directory: string): string =>
	process.getuid?.() === 0 ? join(directory, "server", "socket") : join(directory, "socket");

function connect(server: { url: string }) {
	const pool = openPool({ url: server.url, log });
	cleanups.push(() => pool.close());
	return pool;
}

test("starts, keeps what was written over a restart, and closes its files to others", async () => {
	const directory = await newDirectory();
	const first = await start(directory);
	const pool = connect(first);
	await pool.query("create table kept (n bigint)");
	await pool.query("insert into kept values ($1)", [9_007_199_254_740_993n]);
	await pool.close();
	await first.close();
	const again = await start(directory);
	expect((await connect(again).query("select n from kept")).rows).toEqual([{ n: 9_007_199_254_740_993n }]);
	const home = (await readdir(directory)).includes("server") ? join(directory, "server") : directory;
	expect((await stat(home)).mode & 0o077).toBe(0);
});

test("a killed server is started again, and statements wait for it", async () => {
	const server = await start(await newDirectory());
	const pool = connect(server);
	await pool.query("create table counted (n integer primary key)");
	await pool.query("insert into counted values (1)");
	process.kill(server.pid as number, "SIGKILL");
	expect((await pool.query("select n from counted")).rows).toEqual([{ n: 1 }]);
	await pool.query("insert into counted values (2) on conflict do nothing");
});

test("a server that a killed cloud left behind is ended, and its data are there", async () => {
	const directory = await newDirectory();
	const { child, pid: leftPid } = await startElsewhere(directory);
	await expect(openEmbeddedPostgres({ directory, log })).rejects.toThrow(/another cloud/);
	const ended = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await ended;
	const server = await start(directory);
	expect(server.pid).not.toBe(leftPid);
	expect((await connect(server).query("select 1 as one")).rows).toEqual([{ one: 1 }]);
});

test("a server ends by itself when its cloud is killed", async () => {
	const directory = await newDirectory();
	const { child, pid } = await startElsewhere(directory);
	const backend = new pg.Client({ host: socketOf(directory), user: "errand", database: "postgres" });
	await backend.connect();
	const gone = new Promise((resolve) => backend.once("end", resolve));
	backend.on("error", () => undefined);
	child.kill("SIGKILL");
	await gone;
	expect(pid).toBeGreaterThan(1);
	// The last that an orderly end removes; before that it still writes into its directory.
	const running = join(socketOf(directory), "..", "data", "postmaster.pid");
	await vi.waitFor(() => expect(existsSync(running)).toBe(false), { timeout: 20_000 });
});

test("migrations run once each, even when two clouds start together, and a newer database is refused", async () => {
	const server = await start(await newDirectory());
	const pool = connect(server);
	const migrations = await readMigrations();
	await Promise.all([migrate(pool, migrations, log), migrate(pool, migrations, log)]);
	expect((await pool.query("select number from migrations")).rowCount).toBe(migrations.length);
	await expect(migrate(pool, migrations.slice(0, -1), log)).rejects.toThrow(/newer/);
	const changed = migrations.map((row) => ({ ...row, sha256: "0" }));
	await expect(migrate(pool, changed, log)).rejects.toThrow(/never changed/);
});

test("notifications arrive, and after a lost connection the listener says that some were missed", async () => {
	const server = await start(await newDirectory());
	const pool = connect(server);
	const heard: string[] = [];
	const waiting: ((word: string) => void)[] = [];
	const hear = (word: string) => {
		heard.push(word);
		waiting.shift()?.(word);
	};
	const next = () => new Promise<string>((resolve) => waiting.push(resolve));
	const listener = await pool.listen("words", hear, () => hear("gap"));
	cleanups.push(() => listener[Symbol.asyncDispose]() as Promise<void>);
	const first = next();
	await pool.query("select pg_notify('words', 'hello')");
	expect(await first).toBe("hello");
	const gap = next();
	await pool.query("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'");
	expect(await gap).toBe("gap");
});
