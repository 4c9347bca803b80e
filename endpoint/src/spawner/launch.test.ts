/** How a process is started and its end noticed, as the test's own account. */
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { launch } from "./launch.ts";

let home: string;
beforeEach(() => {
	home = mkdtempSync(join(tmpdir(), "errand-launch-"));
});
afterEach(() => {
	process.kill(Number(readFileSync(join(home, "holder"), "utf8")), "SIGKILL");
	rmSync(home, { recursive: true, force: true });
});

test("GC-9: a process has ended although another one of the account keeps its standard error", async () => {
	// The program `mkdir` of this account leaves a process behind that never lets go.
	const mkdir = join(home, "mkdir");
	writeFileSync(
		mkdir,
		`#!/bin/sh\nsleep 600 </dev/null >/dev/null &\necho $! >"$HOME/holder"\nPATH=/usr/bin:/bin exec mkdir "$@"\n`,
	);
	chmodSync(mkdir, 0o755);
	const program = join(home, "program.mjs");
	writeFileSync(program, "process.exitCode = 7;\n");
	const { username, uid, gid } = userInfo();
	const started = await launch({
		account: { uname: username, uid, gid, gecos: "", dir: home, shell: "/bin/sh", groups: [gid] },
		name: "uep.a.b",
		program,
		environment: { PATH: `${home}:/usr/bin:/bin`, HOME: home },
		message: "{}",
		line: openSync("/dev/null", "w"),
	});
	expect(await started.ended).toEqual({ status: 7, signal: null });
});
