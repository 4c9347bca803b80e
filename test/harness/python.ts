import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensureDebianPackages } from "./debian.ts";

const run = promisify(execFile);

export interface PythonEnvironment {
	/** The interpreter that sees the packages. */
	readonly python: string;
	/** Removes the environment, unless it is kept for the next run. */
	remove(): Promise<void>;
}

/**
 * A virtual environment with exactly these packages (`name==version`). With `ERRAND_TEST_CACHE` it is kept in that
 * directory and found again; without, it lives in a temporary one. Throws when it cannot be made.
 * `everybody`: of the system's own Python, because another may be out of reach for users without rights.
 * `interpreter`: of this one, which has venv.
 */
export async function pythonEnvironment(
	packages: readonly string[],
	{ everybody = false, interpreter = "" } = {},
): Promise<PythonEnvironment> {
	const cache = process.env.ERRAND_TEST_CACHE;
	const made = [...(interpreter === "" ? [] : [interpreter]), ...packages].join("-").replace(/[^a-z0-9.-]+/gi, "_");
	const name = `python-${everybody ? "system-" : ""}${made}`;
	if (cache) {
		const kept = join(cache, name, "bin", "python");
		if (existsSync(kept)) return { python: kept, remove: async () => undefined };
		await mkdir(cache, { recursive: true });
	}
	const directory = await mkdtemp(join(cache ?? tmpdir(), `errand-${name}-`));
	try {
		if (interpreter !== "") await run(interpreter, ["-m", "venv", directory]);
		else await (everybody ? makeOfSystem(directory) : make(directory));
		await run(join(directory, "bin", "python"), [
			...["-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
			...packages,
		]);
		await chmod(directory, 0o755);
		if (!cache) return { python: join(directory, "bin", "python"), remove: () => rm(directory, { recursive: true }) };
		await moveScripts(directory, join(cache, name));
		// Whoever was faster has made the same.
		await rename(directory, join(cache, name)).catch(() => rm(directory, { recursive: true }));
		return { python: join(cache, name, "bin", "python"), remove: async () => undefined };
	} catch (error) {
		await rm(directory, { recursive: true, force: true });
		throw error;
	}
}

/** An interpreter of another minor version than `python3`: one that is here already, else PyPy as Debian has it. */
export async function otherPython(): Promise<string> {
	const versions = join(process.env.PYENV_ROOT ?? join(process.env.HOME ?? "/root", ".pyenv"), "versions");
	const installed = existsSync(versions) ? await readdir(versions) : [];
	const candidates = [
		...[13, 12, 11, 10].map((minor) => `python3.${minor}`),
		...installed.filter((name) => /^3\.1\d\./.test(name)).map((name) => join(versions, name, "bin", "python")),
	];
	const own = await minorOf("python3");
	for (const candidate of candidates) {
		const minor = await minorOf(candidate);
		if (minor !== undefined && minor !== own) return candidate;
	}
	await ensureDebianPackages(["pypy3", "pypy3-venv"]);
	return "/usr/bin/pypy3";
}

/** `3.12`; undefined when it cannot make environments, or is not there. */
async function minorOf(interpreter: string): Promise<string | undefined> {
	const program = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";
	return await run(interpreter, ["-c", program]).then(
		({ stdout }) => stdout.trim(),
		() => undefined,
	);
}

/** Scripts name their interpreter by its place. */
async function moveScripts(from: string, to: string): Promise<void> {
	for (const entry of await readdir(join(from, "bin"), { withFileTypes: true })) {
		if (!entry.isFile()) continue;
		const path = join(from, "bin", entry.name);
		const text = await readFile(path, "latin1");
		if (text.startsWith(`#!${from}/`)) await writeFile(path, `#!${to}${text.slice(2 + from.length)}`, "latin1");
	}
}

async function make(directory: string): Promise<void> {
	try {
		await run("python3", ["-m", "venv", directory]);
	} catch {
		await makeOfSystem(directory);
	}
}

async function makeOfSystem(directory: string): Promise<void> {
	await ensureDebianPackages(["python3", "python3-venv"]);
	await run("/usr/bin/python3", ["-m", "venv", "--clear", directory]);
}
