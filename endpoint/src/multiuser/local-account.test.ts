import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { localAccount } from "./local-account.ts";

const isRoot = process.geteuid?.() === 0;

describe("GC-9: nothing runs as root or nobody", () => {
	test.each([
		["root", "which is root"],
		["nobody", "which is nobody in particular"],
		["0", "cannot be the name of an account"],
		["+0", "cannot be the name of an account"],
		["", "cannot be the name of an account"],
		["--help", "cannot be the name of an account"],
		["../etc", "cannot be the name of an account"],
		["root\n", "cannot be the name of an account"],
		["root:x", "cannot be the name of an account"],
		["errand-no-such-account", "there is no account of that name"],
		["ROOT", "there is no account of that name"],
	])('an identity that maps to "%s" is refused', async (name, says) => {
		await expect(localAccount(name, 0)).rejects.toMatchObject({
			code: "SEMANTICALLY_INVALID",
			message: expect.stringContaining(says),
		});
	});
});

test.each([
	["4294967295", "1000"],
	["1000", "4294967295"],
	["4294967296", "1000"],
])("GC-9: an account %s:%s is none: to the kernel that means to stay who one is", async (uid, gid) => {
	const directory = mkdtempSync(join(tmpdir(), "errand-names-"));
	const { PATH } = process.env;
	try {
		const line = `ada:x:${uid}:${gid}:Ada:/home/ada:/bin/sh`;
		writeFileSync(join(directory, "getent"), `#!/bin/sh\necho '${line}'\n`, { mode: 0o755 });
		process.env.PATH = `${directory}:${PATH}`;
		await expect(localAccount("ada", 0)).rejects.toThrow("is not complete on the endpoint's machine");
	} finally {
		process.env.PATH = PATH;
		rmSync(directory, { recursive: true, force: true });
	}
});

test("an endpoint that is not root's serves its own account only", async () => {
	await expect(localAccount("daemon", 1_000_000)).rejects.toThrow("serves only account 1000000");
	if (!isRoot) {
		const { username, uid, gid, homedir } = userInfo();
		expect(await localAccount(username)).toMatchObject({ uname: username, uid, gid, dir: homedir });
	}
});

test.runIf(isRoot)("GC-9: an account is found with all its groups, and not any more when it has vanished", async () => {
	const name = `errand-a${process.pid}`;
	const group = `errand-g${process.pid}`;
	execFileSync("groupadd", [group]);
	try {
		execFileSync("useradd", [
			"--no-create-home",
			"--groups",
			group,
			"--comment",
			"Ada L",
			"--home-dir",
			"/home/a",
			name,
		]);
		try {
			const id = (...flags: string[]): number => Number(execFileSync("id", [...flags, name], { encoding: "utf8" }));
			const project = Number(execFileSync("getent", ["group", group], { encoding: "utf8" }).split(":")[2]);
			const account = await localAccount(name);
			expect(account).toMatchObject({ uname: name, uid: id("-u"), gid: id("-g"), gecos: "Ada L", dir: "/home/a" });
			expect(account.groups).toEqual([id("-g"), project]);
		} finally {
			execFileSync("userdel", ["--force", name], { stdio: "ignore" });
		}
		await expect(localAccount(name)).rejects.toThrow("there is no account of that name");
	} finally {
		execFileSync("groupdel", [group]);
	}
});
