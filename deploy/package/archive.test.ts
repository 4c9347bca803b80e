import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { javascript, jsonOf, ScriptedDaemon } from "../../endpoint/src/manager/scripted-daemon.ts";
import { type Archive, writeArchive } from "./archive.ts";
import { neededGlibc } from "./glibc-version.ts";

const run = promisify(execFile);

describe("NEW-25: the archive for a login node", () => {
	let directory: string;
	let tree: string;
	let archive: Archive;
	beforeAll(async () => {
		directory = await mkdtemp(join(tmpdir(), "errand-archive-"));
		archive = await writeArchive(directory);
		await run("tar", ["-C", directory, "-xzf", archive.path]);
		const [name] = (await readdir(directory)).filter((entry) => !entry.endsWith(".gz"));
		tree = join(directory, name ?? "");
	});
	afterAll(() => rm(directory, { recursive: true, force: true }));

	test("is smaller than 60 MB and needs no glibc newer than 2.28", async () => {
		expect(archive.sizeBytes).toBeLessThan(60_000_000);
		const [major, minor] = neededGlibc(await readFile(join(tree, "lib/node")));
		expect(major).toBe(2);
		expect(minor).toBeLessThanOrEqual(28);
	});

	test.each(["errand", "errand-endpoint"])("bin/%s runs with nothing on the PATH and no home", async (program) => {
		const { stdout } = await run(join(tree, "bin", program), ["--version"], { env: {}, cwd: "/" });
		expect(stdout).toMatch(/\d+\.\d+\.\d+/);
	});

	test("NEW-10: knows the sites", async () => {
		const { stdout } = await run(join(tree, "bin", "errand-endpoint"), ["survey", "crux"], { env: {}, cwd: "/" });
		expect(JSON.parse(stdout)).toMatchObject({ site: "crux", scheduler: "pbs" });
	});

	test("its own manager and worker run a task, from one file each", async () => {
		const program = [join(tree, "lib/node"), join(tree, "lib/manager.mjs")] as const;
		const daemon = await new ScriptedDaemon({ program, environment: { PATH: "" } }).open();
		try {
			expect(jsonOf(await daemon.run(javascript("export const f = (a) => a + 1;"), { args: [1] }))).toBe(2);
		} finally {
			await daemon.close();
		}
	});
});
