/** Types commands in this process, as a person would, against a cloud double and a home of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "./context.ts";
import { type FakeCloud, nowMs, openFakeCloud } from "./fake-cloud.test-harness.ts";
import { openHome } from "./home.ts";
import { ownSurroundings } from "./own-process.ts";
import { runCommandLine } from "./run-command-line.ts";

interface Typed {
	status: number;
	out: string;
	err: string;
}

export interface Desk {
	readonly cloud: FakeCloud;
	/** A directory to work in; gone at the end. */
	readonly directory: string;
	readonly environment: NodeJS.ProcessEnv;
	/** A file in the directory; returns its path. */
	write(name: string, text: string): string;
	type(words: readonly string[], more?: Partial<Context> & { terminal?: boolean }): Promise<Typed>;
	close(): Promise<void>;
}

/** The daemon's command line as this package knows it: `init`, `run`, `doctor`, `script`, `render`, `pause`, `resume`. Written out, because it runs as a child. */
const endpointProgram = `
import { fstatSync, writeFileSync } from "node:fs";
const [verb, directory, ...more] = process.argv.slice(2);
if (verb === "survey") {
	const at = more.indexOf("--site");
	const site = at >= 0 ? more[at + 1] : directory === "polaris" ? "polaris" : null;
	const questions = site ? [
		{ setting: "account", question: "Project that pays", value: null, choices: ["one", "two"], required: true },
		{ setting: "queue", question: "Queue", value: "debug", choices: ["debug", "prod"], required: false },
	] : [];
	console.log(JSON.stringify({ site, title: site ?? "this machine", scheduler: site ? "pbs" : "local", found: [], notes: [], questions }));
}
if (verb === "init" && more.includes("walltime=soon")) {
	console.error("errand-endpoint: walltime: a time");
	process.exit(64);
}
if (verb === "init") writeFileSync(directory + "/config.yaml", "# " + more.join(" ") + "\\n");
if (verb === "script") console.log("#!/bin/bash");
if (verb === "render") console.log(JSON.stringify({ account: { uname: "ada", uid: 1815, gid: 1815, gecos: "", dir: "/home/ada", shell: "/bin/sh", groups: [1815] }, identity: "of-ada", config: "max_blocks: 1\\n" }));
if (verb === "pause") console.log(JSON.stringify({ paused: process.argv.at(-1).replace("--reason=", "") }));
if (verb === "resume") console.log(JSON.stringify({ was: null }));
if (verb === "doctor") console.log(JSON.stringify({ checks: [{ name: "broker", state: "ok", says: "answers" }] }));
if (verb === "run" && process.env.TEST_ENDPOINT_FAILS) {
	console.log(JSON.stringify({ level: 50, time: 0, msg: "cannot reach the broker", url: "amqp://x" }));
	process.exit(1);
}
if (verb === "run") {
	const alive = setInterval(() => undefined, 60000);
	process.on("SIGTERM", () => clearInterval(alive));
	if (fstatSync(1).isFile()) console.log("daemon runs in " + directory);
	await fetch(process.env.FAKE_CLOUD_URL + "/test/online", { method: "POST" });
}
`;

/** What moves files, as this package knows it: told once what it is, there until its input ends. */
const transferProgram = `
process.stdin.once("data", () => console.log("transfer: the agent is running")).once("end", () => process.exit(0));
`;

const cloudProgram = `
import { createServer } from "node:http";
console.log(JSON.stringify({ level: 30, time: 0, msg: "starting", attempt: process.env.TEST_ATTEMPT }));
if (process.env.TEST_CLOUD_FAILS) {
	console.error("errand-cloud: the disk is full");
	process.exit(1);
}
const server = createServer((request, response) => response.end("{}"));
server.listen(Number(process.env.ERRAND_CLOUD_PORT), "localhost");
process.on("SIGTERM", () => { server.close(); server.closeAllConnections(); });
`;

export async function openDesk(): Promise<Desk> {
	const directory = mkdtempSync(join(tmpdir(), "errand-cli-"));
	const cloud = await openFakeCloud();
	const write = (name: string, text: string): string => {
		const path = join(directory, name);
		writeFileSync(path, text);
		return path;
	};
	const homeDirectory = join(directory, "home");
	mkdirSync(join(homeDirectory, "cloud"), { recursive: true, mode: 0o700 });
	const environment: NodeJS.ProcessEnv = {
		PATH: process.env.PATH,
		ERRAND_HOME: homeDirectory,
		ERRAND_CLOUD_URL: cloud.url,
		FAKE_CLOUD_URL: cloud.url,
		ERRAND_CLOUD_AMQP_PORT: "0",
		ERRAND_TOKEN: "token-of-the-test",
		ERRAND_ENDPOINT_MAIN: write("endpoint.mjs", endpointProgram),
		ERRAND_CLOUD_MAIN: write("cloud.mjs", cloudProgram),
		ERRAND_TRANSFER_MAIN: write("transfer.mjs", transferProgram),
	};
	write("analysis.py", "def mean(xs):\n    return sum(xs) / len(xs)\n");
	write("solver.ts", "export function solve(n: number): number {\n\treturn n * 2;\n}\n");
	return {
		cloud,
		write,
		directory,
		environment,
		async type(words, { terminal = false, ...more } = {}) {
			let out = "";
			let err = "";
			const surroundings = ownSurroundings({
				environment,
				signal: more.signal ?? new AbortController().signal,
				out: { write: (text) => (out += text), isTTY: terminal, columns: 100 },
				err: { write: (text) => (err += text) },
			});
			const status = await runCommandLine(words, {
				...surroundings,
				context: (mode, screen) => ({
					...surroundings.context(mode, screen),
					home: openHome(environment),
					workingDirectory: directory,
					childOutput: "stderr",
					now: () => nowMs,
					attended: false,
					...more,
				}),
			});
			return { status, out, err };
		},
		async close() {
			await cloud.close();
			rmSync(directory, { recursive: true, force: true });
		},
	};
}
