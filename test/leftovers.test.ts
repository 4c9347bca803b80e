import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { databasesNow, findLeftovers } from "./leftovers.ts";

test("a file and a process that a run left behind are found, and nothing else", async () => {
	const directory = mkdtempSync(join(tmpdir(), "errand-left-"));
	const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000); console.log('up')"], {
		env: { ERRAND_HOME: join(directory, "home") },
		stdio: ["ignore", "pipe", "ignore"],
	});
	const ended = once(child, "exit");
	try {
		await once(child.stdout, "data");
		expect(findLeftovers(directory, databasesNow())).toEqual([expect.objectContaining({ pid: child.pid })]);
		writeFileSync(join(directory, "forgotten"), "");
		child.kill("SIGKILL");
		await ended;
		const path = join(directory, "forgotten");
		expect(findLeftovers(directory, databasesNow())).toEqual([{ path, what: path }]);
	} finally {
		child.kill("SIGKILL");
		rmSync(directory, { recursive: true, force: true });
	}
});
