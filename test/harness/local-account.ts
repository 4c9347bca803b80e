/** Accounts of this machine for a test of root's: each with a home and, if wanted, groups of its own. They go away with the test. */
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class TestAccount {
	readonly name: string;
	readonly home: string;
	readonly uid: number;
	readonly gid: number;
	/** Supplementary. */
	readonly groupIds: readonly number[];
	readonly #groups: readonly string[];

	/** @param groups how many supplementary groups it is in */
	constructor(groups = 0) {
		this.name = `errand-test-${randomBytes(4).toString("hex")}`;
		this.home = mkdtempSync(join(tmpdir(), "errand-home-"));
		this.#groups = Array.from({ length: groups }, (_, at) => `${this.name}-${at}`);
		for (const group of this.#groups) execFileSync("groupadd", [group]);
		const inGroups = groups > 0 ? ["--groups", this.#groups.join(",")] : [];
		const words = ["--no-create-home", "--home-dir", this.home, "--shell", "/bin/sh", "--user-group", ...inGroups];
		execFileSync("useradd", [...words, this.name], { stdio: ["ignore", "ignore", "pipe"] });
		const ids = (flag: string): number[] =>
			execFileSync("id", [flag, this.name], { encoding: "utf8" }).trim().split(" ").map(Number);
		[this.uid = -1] = ids("-u");
		[this.gid = -1] = ids("-g");
		this.groupIds = ids("-G").filter((id) => id !== this.gid);
		chmodSync(this.home, 0o700);
		chownSync(this.home, this.uid, this.gid);
	}

	processes(): number[] {
		return readdirSync("/proc")
			.filter((entry) => /^\d+$/.test(entry))
			.filter((entry) => statSync(`/proc/${entry}`, { throwIfNoEntry: false })?.uid === this.uid)
			.map(Number);
	}

	/** The account alone: home and processes stay. */
	forget(): void {
		spawnSync("userdel", ["--force", this.name], { stdio: "ignore" });
	}

	/** With everything that it left. */
	remove(): void {
		for (const pid of this.processes()) {
			try {
				process.kill(pid, "SIGKILL");
			} catch {
				// It has ended meanwhile.
			}
		}
		this.forget();
		for (const group of [this.name, ...this.#groups]) spawnSync("groupdel", [group], { stdio: "ignore" });
		rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
	}
}
