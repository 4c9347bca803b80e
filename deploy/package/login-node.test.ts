/** The archive in the hands of an ordinary user of a login node, who has nothing but a shell and a Python. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Executor, python, shell } from "@errand/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../../test/harness/cloud.ts";
import { makeOrdinaryUser, type OrdinaryUser } from "../../test/harness/ordinary-user.ts";
import { type Archive, writeArchive } from "./archive.ts";

let directory: string;
let archive: Archive;
let cloud: TestCloud;
let executor: Executor;
let user: OrdinaryUser;
let errandProgram: string;

beforeAll(async () => {
	directory = mkdtempSync(join(tmpdir(), "errand-archive-"));
	chmodSync(directory, 0o755);
	archive = await writeArchive(directory);
	cloud = await TestCloud.start();
	const { client } = await cloud.login("ada");
	executor = new Executor({ endpoint: "login-node", client });
	user = makeOrdinaryUser();
	await unpack();
	const [name] = readdirSync(user.home).filter((entry) => entry.startsWith("errand-endpoint-"));
	errandProgram = join(user.home, name ?? "", "bin", "errand");
});
afterAll(async () => {
	await executor?.close();
	if (errandProgram !== undefined) await type("endpoint", "stop", "login-node").catch(() => undefined);
	user?.remove();
	await cloud?.stop();
	rmSync(directory, { recursive: true, force: true });
});

/** All that they have in their environment: no Node.js is on that path. */
const environment = (): NodeJS.ProcessEnv => ({ HOME: user.home, PATH: programs() });
/** A directory with the few programs that every login node has. */
function programs(): string {
	const bin = join(directory, "bin");
	if (existsSync(bin)) return bin;
	mkdirSync(bin);
	for (const name of ["sh", "tar", "gzip", "echo", "id", "cat", "readlink", "python3"])
		symlinkSync(join("/usr/bin", name), join(bin, name));
	return bin;
}

const asUser = () => ({ env: environment(), cwd: user.home, ...user.account });

function run(program: string, words: readonly string[]): Promise<string> {
	return new Promise((resolve, reject) => {
		execFile(program, words, asUser(), (error, stdout, stderr) =>
			error ? reject(new Error(`${words.join(" ")}: ${error.message}\n${stdout}\n${stderr}`)) : resolve(stdout),
		);
	});
}

const unpack = (): Promise<string> => run("/usr/bin/tar", ["-C", user.home, "-xzf", archive.path]);
const type = (...words: string[]): Promise<string> => run(errandProgram, words);

/** The first code that the login asks to type in a browser. */
async function codeOf(login: ChildProcess): Promise<string> {
	for await (const line of createInterface({ input: login.stderr as NonNullable<ChildProcess["stderr"]> })) {
		const code = /enter the code\s+(\S+)/.exec(line)?.[1];
		if (code !== undefined) return code;
	}
	throw new Error("the login ended without showing a code");
}

describe("NEW-25: an ordinary user of a login node without Node.js", () => {
	test("logs in with a code that is confirmed elsewhere", async () => {
		const login = spawn(errandProgram, ["login", "--cloud", cloud.url], {
			...asUser(),
			stdio: ["ignore", "ignore", "pipe"],
		});
		const ended = once(login, "exit");
		await cloud.approveDevice(await codeOf(login), "ada");
		expect(await ended).toEqual([0, null]);
		expect(JSON.parse(await type("whoami", "--json"))).toMatchObject({ username: "ada" });
	});

	test("configures an endpoint, starts it in the background, and sees it online", async () => {
		await type("endpoint", "configure", "login-node");
		await type("endpoint", "start", "login-node", "--detach");
		expect(JSON.parse(await type("endpoint", "status", "login-node", "--json"))).toMatchObject({
			here: { pid: expect.any(Number) },
		});
	});

	test("runs a command and a Python file from there", async () => {
		expect(await type("run", "-e", "login-node", "--", "echo", "from the login node")).toBe("from the login node\n");
		writeFileSync(join(user.home, "analysis.py"), "def mean(xs):\n    return sum(xs) / len(xs)\n", { mode: 0o644 });
		expect((await type("run", "-e", "login-node", "analysis.py:mean", "[[1,2,3]]")).trim()).toMatch(/^2(\.0)?$/);
	});

	test("functions of all three languages come from a laptop", async () => {
		expect(await executor.submit((a: number) => `${a} on ${process.version}`, 1)).toBe(`1 on ${process.version}`);
		const twice = python({ source: "def twice(x):\n    return x * 2\n", name: "twice" });
		expect(await executor.submit(twice, 21)).toBe(42);
		expect(await executor.submit(shell("id -u"))).toMatchObject({ returncode: 0 });
	});

	test("a new version is unpacked over the old one: identity and what was accepted are kept", async () => {
		const home = join(user.home, ".errand", "endpoints", "login-node");
		const before = readFileSync(join(home, "credentials.json"), "utf8");
		await type("endpoint", "stop", "login-node");
		const waiting = executor.submit(() => "done by the new version");
		await unpack();
		await type("endpoint", "start", "login-node", "--detach");
		expect(await waiting).toBe("done by the new version");
		expect(readFileSync(join(home, "credentials.json"), "utf8")).toBe(before);
	});

	test("stop leaves no process, and the login stays", async () => {
		await type("endpoint", "stop", "login-node");
		await expect.poll(() => user.processes(), { timeout: 20_000 }).toEqual([]);
		expect(existsSync(join(user.home, ".errand", "credentials.json"))).toBe(true);
	});
});
