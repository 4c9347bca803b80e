/** The self-contained endpoint archive for a login node: its own Node.js, one file a program, no compiler, no root. */
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeBundles } from "./bundles.ts";
import { neededGlibc } from "./glibc-version.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

/** Red Hat Enterprise Linux 8, which most login nodes still run. */
const glibcLimit = [2, 28] as const;
const archiveLimitBytes = 60 * 1024 * 1024;

export interface Archive {
	path: string;
	sizeBytes: number;
}

/** Finds itself through symbolic links, needs nothing on the PATH but sh's own words, and asks for no home. */
const launcher = (program: string) => `#!/bin/sh
self=$0
while [ -h "$self" ]; do
	target=$(/bin/readlink "$self" 2>/dev/null || /usr/bin/readlink "$self")
	case $target in /*) self=$target ;; *) self=\${self%/*}/$target ;; esac
done
case $self in */*) here=\${self%/*} ;; *) here=. ;; esac
exec "$here/../lib/node" --disable-warning=ExperimentalWarning "$here/../lib/${program}" "$@"
`;

const programs = { errand: "errand.mjs", "errand-endpoint": "endpoint.mjs" } as const;

/**
 * Writes `errand-endpoint-<version>-linux-<arch>.tar.gz` into `directory`.
 * Throws an Error when the result would not run on the oldest supported system, or is larger than promised.
 */
export async function writeArchive(directory: string): Promise<Archive> {
	const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
	const name = `errand-endpoint-${version}-linux-${process.arch}`;
	const work = await mkdtemp(join(tmpdir(), "errand-package-"));
	try {
		const tree = join(work, name);
		await mkdir(join(tree, "lib"), { recursive: true });
		await mkdir(join(tree, "bin"));
		await copyNode(join(tree, "lib/node"));
		await writeBundles(join(tree, "lib"));
		// Programs read their version from the package.json above them.
		await writeFile(join(tree, "package.json"), `${JSON.stringify({ name: "errand", version })}\n`);
		for (const [command, program] of Object.entries(programs))
			await writeFile(join(tree, "bin", command), launcher(program), { mode: 0o755 });
		await copyFile(join(root, "LICENSE"), join(tree, "LICENSE"));
		await mkdir(directory, { recursive: true });
		const path = join(directory, `${name}.tar.gz`);
		const tidy = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
		await run("tar", [...tidy, "-C", work, "-czf", path, name]);
		const { size } = await stat(path);
		if (size >= archiveLimitBytes)
			throw new Error(
				`the archive has ${size} bytes; ${archiveLimitBytes} are promised: see what a bundle has taken in`,
			);
		return { path, sizeBytes: size };
	} finally {
		await rm(work, { recursive: true, force: true });
	}
}

async function copyNode(path: string): Promise<void> {
	await copyFile(process.execPath, path);
	await chmod(path, 0o755);
	const [major, minor] = neededGlibc(await readFile(path));
	if (major > glibcLimit[0] || minor > glibcLimit[1])
		throw new Error(`this Node.js needs glibc ${major}.${minor}; the archive promises ${glibcLimit.join(".")}`);
	await run("strip", ["--strip-unneeded", path]).catch(() => {}); // larger without binutils, not worse
}
