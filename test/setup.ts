/** What tests need beside npm packages: programs of the system and a Python with pinned packages. Idempotent. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

interface Need {
	/** Debian's package. */
	package: string;
	/** Present when one of these is found: a program on the PATH, or a file. */
	found: readonly string[];
	why: string;
}

const needs: readonly Need[] = [
	{
		package: "rabbitmq-server",
		found: ["/usr/sbin/rabbitmq-server", "rabbitmq-server"],
		why: "the broker of a full deployment",
	},
	{
		package: "chromium",
		found: ["chromium", "chromium-browser", "google-chrome"],
		why: "pages are tested in a real browser",
	},
	{
		package: "python3-venv",
		found: ["/usr/share/doc/python3-venv", "/usr/lib/python3/dist-packages/ensurepip"],
		why: "Python clients and workers",
	},
];

/** Pinned, so that a test means the same everywhere. */
const pythonPackages = ["pika==1.3.2"];

/** Where things that are made once for all test runs are kept; the tests find it in ERRAND_TEST_CACHE. */
const cache = process.env.ERRAND_TEST_CACHE ?? join(process.cwd(), "node_modules", ".cache", "errand-test");

const say = (text: string): void => void process.stdout.write(`setup: ${text}\n`);

/** False when something is missing and could not be had; it has been said. Sets ERRAND_TEST_CACHE and ERRAND_TEST_PYTHON. */
export function setUp(): boolean {
	mkdirSync(cache, { recursive: true });
	process.env.ERRAND_TEST_CACHE = cache;
	const packages = installPackages();
	return makePython() && packages;
}

function isFound(name: string): boolean {
	if (name.startsWith("/")) return existsSync(name);
	return (process.env.PATH ?? "").split(delimiter).some((directory) => existsSync(join(directory, name)));
}

function canMakeVenv(): boolean {
	return spawnSync("python3", ["-c", "import venv, ensurepip"], { stdio: "ignore" }).status === 0;
}

function missingNeeds(): Need[] {
	return needs.filter((need) => !need.found.some(isFound) && !(need.package === "python3-venv" && canMakeVenv()));
}

function installPackages(): boolean {
	const missing = missingNeeds();
	if (missing.length === 0) return true;
	const names = missing.map((need) => need.package);
	for (const need of missing) say(`${need.package} is missing (${need.why})`);
	if (process.getuid?.() !== 0 || !isFound("apt-get")) {
		say(`cannot install here; as root: apt-get install ${names.join(" ")}. Tests that need it will fail.`);
		return false;
	}
	say(`installing ${names.join(", ")} with apt-get`);
	const installed = withoutServices(
		() => apt(["update"]) && apt(["install", "-y", "--no-install-recommends", ...names]),
	);
	const left = missingNeeds();
	for (const need of left) say(`${need.package} could not be installed`);
	return installed && left.length === 0;
}

function apt(words: readonly string[]): boolean {
	const { status, stderr } = spawnSync("apt-get", ["-qq", ...words], {
		encoding: "utf8",
		stdio: ["ignore", "ignore", "pipe"],
		env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
	});
	if (status !== 0) say(`apt-get ${words[0]} failed: ${stderr.trim().split("\n").slice(-3).join(" ")}`);
	return status === 0;
}

const policy = "/usr/sbin/policy-rc.d";

/** Debian starts a service when its package is installed; tests start their own, so nothing may be left running. */
function withoutServices(work: () => boolean): boolean {
	const ours = !existsSync(policy);
	if (ours) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
	try {
		return work();
	} finally {
		if (ours) rmSync(policy, { force: true });
	}
}

/** A virtual environment with the pinned packages, made anew when the list changes. */
function makePython(): boolean {
	const directory = join(cache, "venv");
	const python = join(directory, "bin", "python");
	const list = join(directory, "installed.txt");
	const wanted = pythonPackages.join("\n");
	process.env.ERRAND_TEST_PYTHON = python;
	if (existsSync(python) && existsSync(list) && readFileSync(list, "utf8") === wanted) return true;
	say(`making a Python environment with ${pythonPackages.join(", ")}`);
	rmSync(directory, { recursive: true, force: true });
	for (const [program, ...words] of [
		["python3", "-m", "venv", directory],
		[python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...pythonPackages],
	] as [string, ...string[]][]) {
		const { status, stderr, error } = spawnSync(program, words, { encoding: "utf8" });
		if (status !== 0) {
			say(`${program} ${words.slice(0, 3).join(" ")} failed: ${error?.message ?? stderr.trim().split("\n").at(-1)}`);
			return false;
		}
	}
	writeFileSync(list, wanted);
	return true;
}
