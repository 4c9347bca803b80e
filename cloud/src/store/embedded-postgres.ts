/**
 * A real PostgreSQL as a supervised child process: the cloud's default database. It listens on a Unix socket in a
 * directory that only its user can enter, and outlives nothing: a server that a killed cloud left behind is ended first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chown, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { findPostgresBinaries, type PostgresBinaries } from "./postgres-binaries.ts";
import { openPostgresHome, type PostgresHome, type ServerUser } from "./postgres-home.ts";

export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

export interface EmbeddedPostgres {
	/** For a pool: user, database and the socket's directory. */
	readonly url: string;
	/** The server's process id; undefined between a crash and the restart. */
	readonly pid: number | undefined;
	/** Ends the server (fast shutdown: clients are cut off, everything committed is on disk). */
	close(): Promise<void>;
}

/** From spawn to "ready to accept connections"; recovery after a crash is part of it. */
const readyTimeoutMs = 60_000;
/** A fast shutdown writes a checkpoint; after this the server is killed, which loses nothing but start-up time. */
const shutdownTimeoutMs = 20_000;
const restartDelayMs = { first: 100, most: 10_000 };

const settings = {
	listen_addresses: "",
	shared_buffers: "32MB",
	max_connections: "60",
	fsync: "on",
	wal_compression: "on",
	max_wal_size: "512MB",
	checkpoint_timeout: "10min",
	jit: "off",
	logging_collector: "off",
	log_min_messages: "warning",
	autovacuum_naptime: "15s",
};

type State =
	| { readonly is: "starting"; readonly child: ChildProcess }
	| { readonly is: "running"; readonly child: ChildProcess }
	| { readonly is: "waiting"; readonly timer: NodeJS.Timeout }
	| { readonly is: "closed" };

/**
 * Starts the server that keeps its data under `directory`, making the database first when there is none (about a
 * second). Rejects when another living cloud uses the directory or when the data are of another major version.
 */
export async function openEmbeddedPostgres(options: { directory: string; log: Log }): Promise<EmbeddedPostgres> {
	const { log } = options;
	const home = await openPostgresHome(options.directory);
	const binaries = await findPostgresBinaries(home.user !== undefined);
	const data = join(home.directory, "data");
	await endLeftover(data, log);
	await makeDatabase(home, binaries, data, log);

	let state: State = { is: "closed" };
	let delayMs = restartDelayMs.first;

	function start(): Promise<void> {
		const child = spawnServer(binaries, home, data);
		state = { is: "starting", child };
		const guard = spawnGuard(child, home.user);
		const ready = watch(child, log);
		child.once("exit", (code, signal) => {
			guard?.kill("SIGKILL");
			if (state.is === "closed" || !("child" in state) || state.child !== child) return;
			const wait = Math.round(delayMs * (0.5 + Math.random() / 2));
			delayMs = Math.min(delayMs * 2, restartDelayMs.most);
			log.warn({ code, signal, waitMs: wait }, "embedded PostgreSQL ended; starting it again");
			state = { is: "waiting", timer: setTimeout(() => void start().catch(() => undefined), wait) };
		});
		return ready.then(() => {
			if (state.is !== "starting" || state.child !== child) return;
			state = { is: "running", child };
			delayMs = restartDelayMs.first;
			log.info({ pid: child.pid, directory: data }, "embedded PostgreSQL is ready");
		});
	}

	async function close(): Promise<void> {
		const last = state;
		state = { is: "closed" };
		if (last.is === "waiting") clearTimeout(last.timer);
		if ("child" in last) await endChild(last.child, log);
		if (!home.socketDirectory.startsWith(home.directory))
			await rm(home.socketDirectory, { recursive: true, force: true });
	}

	try {
		await start();
	} catch (cause) {
		await close();
		throw cause;
	}
	return {
		url: `postgresql://errand@localhost/postgres?host=${encodeURIComponent(home.socketDirectory)}`,
		get pid() {
			return "child" in state ? state.child.pid : undefined;
		},
		close,
	};
}

const childEnvironment = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

function asUser(user: ServerUser | undefined): { uid?: number; gid?: number } {
	return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

function spawnServer(binaries: PostgresBinaries, home: PostgresHome, data: string): ChildProcess {
	const flags = Object.entries({ ...settings, unix_socket_directories: home.socketDirectory }).flatMap(
		([name, value]) => ["-c", `${name}=${value}`],
	);
	return spawn(binaries.postgres, ["-D", data, ...flags], {
		...asUser(home.user),
		cwd: data,
		env: childEnvironment,
		// Its own process group: a Ctrl-C at the terminal is the cloud's to handle.
		detached: true,
		stdio: ["ignore", "ignore", "pipe"],
	});
}

/**
 * Ends the server when this process is gone, however it ended: the guard waits for the end of a pipe that only we hold
 * open. What it cannot do (it may be killed too) the next start does.
 */
function spawnGuard(server: ChildProcess, user: ServerUser | undefined): ChildProcess | undefined {
	if (server.pid === undefined) return undefined;
	const guard = spawn("/bin/sh", ["-c", 'read -r nothing; kill -INT "$0"', String(server.pid)], {
		...asUser(user),
		cwd: "/",
		env: childEnvironment,
		detached: true,
		stdio: ["pipe", "ignore", "ignore"],
	});
	guard.on("error", () => undefined); // no shell: then the next start ends what is left
	guard.stdin?.on("error", () => undefined);
	return guard;
}

const levels: { readonly [Word in string]: "debug" | "info" | "warn" | "error" } = {
	LOG: "debug",
	WARNING: "warn",
	ERROR: "debug",
	FATAL: "warn",
	PANIC: "error",
};

/** Passes the server's words to the log; resolves when it takes connections. */
function watch(child: ChildProcess, log: Log): Promise<void> {
	return new Promise((ready, fail) => {
		const recent: string[] = [];
		const timer = setTimeout(
			() => fail(new Error(`embedded PostgreSQL was not ready after ${readyTimeoutMs} ms: ${recent.join(" | ")}`)),
			readyTimeoutMs,
		);
		createInterface({ input: child.stderr as NonNullable<ChildProcess["stderr"]> }).on("line", (line) => {
			if (recent.push(line) > 10) recent.shift();
			const word = /\] ([A-Z]+): {2}/.exec(line)?.[1] ?? "LOG";
			log[levels[word] ?? "debug"]({ line }, "embedded PostgreSQL says");
			if (line.includes("database system is ready to accept connections")) {
				clearTimeout(timer);
				ready();
			}
		});
		child.once("error", (cause) => {
			clearTimeout(timer);
			fail(new Error(`embedded PostgreSQL cannot be started: ${cause.message}`, { cause }));
		});
		child.once("exit", (code, signal) => {
			clearTimeout(timer);
			fail(new Error(`embedded PostgreSQL ended while starting (${code ?? signal}): ${recent.join(" | ")}`));
		});
	});
}

async function endChild(child: ChildProcess, log: Log): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
	const ended = new Promise<void>((done) => child.once("exit", () => done()));
	child.kill("SIGINT");
	const timer = setTimeout(() => {
		log.warn({ pid: child.pid, shutdownTimeoutMs }, "embedded PostgreSQL does not stop; killing it");
		child.kill("SIGQUIT");
	}, shutdownTimeoutMs);
	await ended;
	clearTimeout(timer);
}

/**
 * A server of ours whose cloud was killed still holds the data. Ours: it runs in exactly this data directory, as its
 * own pid file and its command line say.
 */
async function endLeftover(data: string, log: Log): Promise<void> {
	const lines = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
	const pid = Number(lines[0]);
	if (!Number.isSafeInteger(pid) || pid <= 1) return;
	const own = await serverFacts(pid, data);
	if (own === undefined) return;
	if (own.parentAlive)
		throw new Error(
			`embedded PostgreSQL: another cloud (process ${own.parent}) is using ${data}. Stop it, or use another state directory (ERRAND_HOME)`,
		);
	log.info({ pid, directory: data }, "ending the PostgreSQL that a killed cloud left behind");
	for (const [signal, waitMs] of [
		["SIGINT", shutdownTimeoutMs],
		["SIGQUIT", 5_000],
		["SIGKILL", 5_000],
	] as const) {
		try {
			process.kill(pid, signal);
		} catch {
			return;
		}
		for (let waited = 0; waited < waitMs; waited += 20) {
			if ((await serverFacts(pid, data)) === undefined) return;
			await sleep(20);
		}
	}
	throw new Error(`embedded PostgreSQL: process ${pid} holds ${data} and does not end`);
}

/** Undefined unless process `pid` is a PostgreSQL server over `data`. */
async function serverFacts(pid: number, data: string): Promise<{ parent: number; parentAlive: boolean } | undefined> {
	const { parent, command } = process.platform === "linux" ? await factsFromProc(pid) : await factsFromPs(pid);
	if (!command.includes("postgres") || !command.includes(data)) return undefined;
	// A child whose parent died belongs to process 1, or to whichever process collects orphans here.
	const parentCommand =
		parent <= 1 ? "" : (process.platform === "linux" ? await factsFromProc(parent) : await factsFromPs(parent)).command;
	return { parent, parentAlive: parent !== process.pid && /\bnode\b|errand/.test(parentCommand) };
}

async function factsFromProc(pid: number): Promise<{ parent: number; command: string }> {
	try {
		const status = await readFile(`/proc/${pid}/stat`, "utf8");
		const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
		if (fields[0] === "Z") return { parent: 0, command: "" };
		const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
		return { parent: Number(fields[1]), command };
	} catch {
		return { parent: 0, command: "" };
	}
}

function factsFromPs(pid: number): Promise<{ parent: number; command: string }> {
	return new Promise((resolve) => {
		const ps = spawn("ps", ["-o", "ppid=,command=", "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
		let text = "";
		ps.stdout.on("data", (chunk: Buffer) => {
			text += chunk.toString();
		});
		ps.once("error", () => resolve({ parent: 0, command: "" }));
		ps.once("close", () => {
			const found = /^\s*(\d+)\s+(.*)/.exec(text);
			resolve({ parent: Number(found?.[1] ?? 0), command: found?.[2] ?? "" });
		});
	});
}

/** `initdb` into a part directory, then one rename: a half-made database is never taken for a whole one. */
async function makeDatabase(home: PostgresHome, binaries: PostgresBinaries, data: string, log: Log): Promise<void> {
	const version = (await readFile(join(data, "PG_VERSION"), "utf8").catch(() => "")).trim();
	if (version === binaries.majorVersion) return;
	if (version !== "")
		throw new Error(
			`embedded PostgreSQL: ${data} was written by PostgreSQL ${version}, this is ${binaries.majorVersion}. ` +
				"Dump it with the old version of Errand and load it into this one, or set DATABASE_URL",
		);
	const part = `${data}.part`;
	await rm(part, { recursive: true, force: true });
	const startedMs = performance.now();
	if (home.namedUser !== undefined) await chown(home.directory, home.namedUser.uid, home.namedUser.gid);
	await run(
		binaries.initdb,
		["-D", part, "-U", "errand", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"],
		home.namedUser,
	);
	if (home.user !== undefined) {
		await own(part, home.user);
		await chown(home.directory, home.user.uid, home.user.gid);
	}
	await rename(part, data);
	log.info({ directory: data, tookMs: Math.round(performance.now() - startedMs) }, "made an embedded database");
}

async function own(path: string, user: ServerUser): Promise<void> {
	await chown(path, user.uid, user.gid);
	if (!(await stat(path)).isDirectory()) return;
	await Promise.all((await readdir(path)).map((name) => own(join(path, name), user)));
}

function run(file: string, args: string[], user: ServerUser | undefined): Promise<void> {
	return new Promise((done, fail) => {
		const child = spawn(file, args, {
			...asUser(user),
			cwd: "/",
			env: childEnvironment,
			stdio: ["ignore", "pipe", "pipe"],
		});
		let words = "";
		const collect = (chunk: Buffer): void => {
			words = (words + chunk.toString()).slice(-4_000);
		};
		child.stdout.on("data", collect);
		child.stderr.on("data", collect);
		child.once("error", (cause) =>
			fail(new Error(`embedded PostgreSQL: cannot run ${file}: ${cause.message}`, { cause })),
		);
		child.once("close", (code) =>
			code === 0 ? done() : fail(new Error(`embedded PostgreSQL: initdb ended with ${code}: ${words.trim()}`)),
		);
	});
}
