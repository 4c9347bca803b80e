/**
 * Starts the process of a user endpoint as the account it is for. Rights are dropped before anything of the account's
 * is touched: its home is entered, and its log opened, by the account itself.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync } from "node:fs";
import { Fault } from "@errand/proto";
import type { LocalAccount } from "../multiuser/local-account.ts";
import { processStart } from "../service/process-identity.ts";
import type { Environment } from "./user-environment.ts";

/** What it says before its log is open. */
const earlyWordsLimit = 2_000;
/** After its end. */
const lastWordsMs = 1_000;

/** Of root, before it becomes somebody: every group of the account and none of root's, and no way back. */
const dropped = ["--init-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"];
const setprivPaths = ["/usr/bin/setpriv", "/bin/setpriv", "/usr/sbin/setpriv"];

/** `$1` is the directory's name, the rest is the program. */
const script = `umask 077
cd -- "$HOME" || exit 1
directory=$HOME/.errand/endpoints/$1
mkdir -p -- "$directory" && chmod 700 -- "$directory" || exit 1
shift
exec "$@" >>"$directory/endpoint.log" 2>&1`;

export interface Ended {
	readonly status: number | null;
	readonly signal: string | null;
}

export interface UserProcess {
	readonly pid: number;
	/** As `processStart` says; undefined when it has ended already. */
	readonly start: string | undefined;
	readonly ended: Promise<Ended>;
	/** What it said before its log was open: why there is none. */
	readonly earlyWords: () => string;
}

export interface LaunchRequest {
	readonly account: LocalAccount;
	/** The directory's name. */
	readonly name: string;
	/** The endpoint program's main file. */
	readonly program: string;
	readonly environment: Environment;
	/** For its standard input. */
	readonly message: string;
	/** Its descriptor 3; closed here when it has its own. */
	readonly line: number;
}

/** Throws a NOT_READY fault where `setpriv` is missing. */
function setprivProgram(): string {
	const path = setprivPaths.find(existsSync);
	if (path === undefined)
		throw new Fault(
			"NOT_READY",
			"this endpoint's machine has no setpriv, without which it runs nothing for others: ask its administrator to install util-linux",
		);
	return path;
}

/** The words that run `words` as the account, when we are root; otherwise as they are. */
export function asAccount({ uid, gid }: Pick<LocalAccount, "uid" | "gid">, words: readonly string[]): string[] {
	if (process.geteuid?.() !== 0) return [...words];
	return [setprivProgram(), `--reuid=${uid}`, `--regid=${gid}`, ...dropped, "--", ...words];
}

/** Rejects with a Fault when nothing could be started. */
export async function launch(request: LaunchRequest): Promise<UserProcess> {
	const { account, name, program, environment, message, line } = request;
	let child: ChildProcess;
	try {
		const own = [process.execPath, program, "serve-user", name];
		const [first = "", ...words] = asAccount(account, ["/bin/sh", "-c", script, "errand", name, ...own]);
		child = spawn(first, words, {
			env: { ...environment },
			cwd: "/",
			detached: true,
			stdio: ["pipe", "ignore", "pipe", line],
		});
		await new Promise<void>((resolve, reject) => {
			child.once("spawn", resolve);
			child.once("error", reject);
		});
	} catch (cause) {
		if (cause instanceof Fault) throw cause;
		throw new Fault(
			"NOT_READY",
			`no process could be started for you now (${(cause as Error).message}): try again later`,
			{
				cause,
			},
		);
	} finally {
		closeSync(line);
	}
	let early = "";
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		early = (early + text).slice(0, earlyWordsLimit);
	});
	// A process that ends before it reads is told of by its end.
	child.stdin?.on("error", () => undefined);
	child.stderr?.on("error", () => undefined);
	const ended = new Promise<Ended>((resolve) => {
		child.once("close", (status, signal) => resolve({ status, signal }));
		// Another process of the account may have taken hold of its standard error: its end is the end all the same.
		child.once("exit", (status, signal) => {
			setTimeout(() => {
				child.stderr?.destroy();
				resolve({ status, signal });
			}, lastWordsMs).unref();
		});
	});
	child.stdin?.end(message);
	const pid = child.pid as number;
	return { pid, start: processStart(pid), ended, earlyWords: () => early.trim() };
}
