import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** Somebody without any rights, with a home of their own: a new account of the system when the tests are root's. */
export interface OrdinaryUser {
	/** Of the account. */
	readonly name: string;
	readonly home: string;
	/** For `spawn`. */
	readonly account: { readonly uid: number; readonly gid: number } | Record<string, never>;
	/** Processes of theirs; empty where the account is not theirs alone. */
	processes(): number[];
	/** Ends what they left, and removes home and account. */
	remove(): void;
}

/** `word`: tells several of one test from each other. */
export function makeOrdinaryUser(word = ""): OrdinaryUser {
	const home = mkdtempSync(join(tmpdir(), "errand-user-"));
	if (process.getuid?.() !== 0)
		return {
			name: userInfo().username,
			home,
			account: {},
			processes: () => [],
			remove: () => rmSync(home, { recursive: true, force: true }),
		};
	const name = `errand-${process.pid}${word && `-${word}`}`;
	execFileSync("useradd", ["--no-create-home", "--home-dir", home, "--shell", "/bin/sh", name]);
	const id = (flag: string): number => Number(execFileSync("id", [flag, name], { encoding: "utf8" }));
	const account = { uid: id("-u"), gid: id("-g") };
	chmodSync(home, 0o700);
	chownSync(home, account.uid, account.gid);
	const processes = (): number[] =>
		readdirSync("/proc")
			.filter(
				(entry) => /^\d+$/.test(entry) && statSync(`/proc/${entry}`, { throwIfNoEntry: false })?.uid === account.uid,
			)
			.map(Number);
	return {
		name,
		home,
		account,
		processes,
		remove() {
			for (const pid of processes()) process.kill(pid, "SIGKILL");
			rmSync(home, { recursive: true, force: true });
			spawnSync("userdel", ["--force", name], { stdio: "ignore" });
			spawnSync("groupdel", [name], { stdio: "ignore" });
		},
	};
}
