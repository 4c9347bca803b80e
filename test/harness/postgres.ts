import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomPort } from "./ports.ts";
import { LoggedProcess } from "./process.ts";

/** A private server of Debian's PostgreSQL: what a production cloud would point `DATABASE_URL` at. */
export interface PostgresServer {
	readonly url: string;
	/** The server's process id, for who measures or kills it. */
	readonly pid: number;
	kill(): Promise<void>;
	/** After a kill: the same data on the same port. */
	start(): Promise<void>;
	stop(): Promise<void>;
}

const versions = "/usr/lib/postgresql";

function programs(): string {
	const newest = readdirSync(versions).sort((a, b) => Number(b) - Number(a))[0];
	if (newest === undefined) throw new Error("Debian's package postgresql is not installed");
	return join(versions, newest, "bin");
}

/** PostgreSQL refuses to run as root: the account that Debian's package makes runs it then. */
function unprivileged(): { uid: number; gid: number } | undefined {
	if (process.getuid?.() !== 0) return undefined;
	const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
	return { uid: id("-u"), gid: id("-g") };
}

export async function startPostgres(): Promise<PostgresServer> {
	const bin = programs();
	const account = unprivileged();
	const directory = mkdtempSync(join(tmpdir(), "errand-pg-"));
	chmodSync(directory, 0o700);
	if (account) chownSync(directory, account.uid, account.gid);
	const data = join(directory, "data");
	execFileSync(join(bin, "initdb"), ["-D", data, "-U", "errand", "-A", "trust", "--no-sync", "-E", "UTF8"], {
		stdio: "ignore",
		cwd: directory,
		...account,
	});
	const port = await randomPort();
	const settings = ["-h", "127.0.0.1", "-p", String(port), "-k", directory, "-c", "shared_buffers=64MB"];
	const start = async () => {
		const server = new LoggedProcess(
			"postgres",
			join(bin, "postgres"),
			["-D", data, ...settings],
			{},
			directory,
			account,
		);
		await server.line("ready to accept connections");
		return server;
	};
	let server = await start();
	return {
		url: `postgres://errand@127.0.0.1:${port}/postgres`,
		get pid() {
			return server.pid;
		},
		kill: () => server.kill(),
		async start() {
			server = await start();
		},
		async stop() {
			// SIGINT is PostgreSQL's fast stop: it does not wait for clients.
			server.child.kill("SIGINT");
			await server.exit();
			rmSync(directory, { recursive: true, force: true });
		},
	};
}
