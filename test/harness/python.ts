import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
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
 */
export async function pythonEnvironment(packages: readonly string[]): Promise<PythonEnvironment> {
	const cache = process.env.ERRAND_TEST_CACHE;
	const name = `python-${packages.join("-").replace(/[^a-z0-9.-]+/gi, "_")}`;
	if (cache) {
		const kept = join(cache, name, "bin", "python");
		if (existsSync(kept)) return { python: kept, remove: async () => undefined };
		await mkdir(cache, { recursive: true });
	}
	const directory = await mkdtemp(join(cache ?? tmpdir(), `errand-${name}-`));
	try {
		await make(directory);
		await run(join(directory, "bin", "python"), [
			...["-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
			...packages,
		]);
		if (!cache) return { python: join(directory, "bin", "python"), remove: () => rm(directory, { recursive: true }) };
		// Whoever was faster has made the same. Scripts in bin/ name the old place; the interpreter does not mind.
		await rename(directory, join(cache, name)).catch(() => rm(directory, { recursive: true }));
		return { python: join(cache, name, "bin", "python"), remove: async () => undefined };
	} catch (error) {
		await rm(directory, { recursive: true, force: true });
		throw error;
	}
}

async function make(directory: string): Promise<void> {
	try {
		await run("python3", ["-m", "venv", directory]);
	} catch {
		await ensureDebianPackages(["python3", "python3-venv"]);
		await run("/usr/bin/python3", ["-m", "venv", "--clear", directory]);
	}
}
