/**
 * A collection's directory, and the one way to the files below it. A path is resolved first and must lie inside; then
 * every directory on the way is opened from the one before without following links, so that a name that becomes a link
 * in between is refused instead of followed. Synchronous: it runs in the disk threads.
 */
import {
	closeSync,
	constants,
	fstatSync,
	lstatSync,
	mkdirSync,
	openSync,
	readlinkSync,
	realpathSync,
	type Stats,
} from "node:fs";
import { join, relative, sep } from "node:path";
import { FileFault, faultOfSystem } from "./file-fault.ts";

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Elsewhere than on Linux there is no name for an open directory: then its resolved path is used. */
const namesOpenFiles = process.platform === "linux";

/** A directory that stays the same whatever becomes of its name. */
export interface HeldDirectory {
	/** To put a `/` and a name behind. */
	readonly path: string;
	[Symbol.dispose](): void;
}

export class DataRoot {
	/** Without links. */
	readonly #path: string;

	constructor(path: string) {
		this.#path = realpathSync(path);
	}

	/** Throws a {@link FileFault}. `create`: with the directories that are missing. */
	openDirectory(path: string, { create = false } = {}): HeldDirectory {
		const parts = partsOf(path);
		const canonical = this.#resolve(parts, path, create);
		let held = hold(this.#path, path);
		for (const part of canonical) {
			const next = `${held.path}/${part}`;
			try {
				if (create) makeDirectory(next);
				const inner = hold(next, path);
				held[Symbol.dispose]();
				held = inner;
			} catch (error) {
				held[Symbol.dispose]();
				throw faultOfSystem(error, path);
			}
		}
		return held;
	}

	/** A regular file, open for reading; links are followed as long as they stay inside. The caller closes it. */
	openFile(path: string): { readonly fd: number; readonly stats: Stats } {
		const parts = partsOf(path);
		const canonical = this.#resolve(parts, path, false);
		const name = canonical.pop();
		if (name === undefined) throw new FileFault("NOT_A_FILE", `${path} is a directory`);
		using directory = this.openDirectory(canonical.join("/"));
		let fd: number | undefined;
		try {
			// Without O_NONBLOCK a pipe would wait for its other end.
			fd = openSync(`${directory.path}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
			const stats = fstatSync(fd);
			if (!stats.isFile()) throw new FileFault("NOT_A_FILE", `${path} is no regular file`);
			return { fd, stats };
		} catch (error) {
			if (fd !== undefined) closeSync(fd);
			throw faultOfSystem(error, path);
		}
	}

	/** The path's parts below the root without links; throws unless it lies inside. What does not exist yet stays as it is. */
	#resolve(parts: readonly string[], path: string, mayBeMissing: boolean): string[] {
		for (let count = parts.length; count >= 0; count--) {
			const there = join(this.#path, ...parts.slice(0, count));
			let real: string;
			try {
				real = realpathSync(there);
			} catch (error) {
				// A link to nothing is there all the same: what it stands for must not be made.
				const missing = (error as NodeJS.ErrnoException).code === "ENOENT" && mayBeMissing && !isThere(there);
				if (missing) continue;
				throw faultOfSystem(error, path);
			}
			const inside = relative(this.#path, real);
			if (inside === ".." || inside.startsWith(`..${sep}`))
				throw new FileFault("PATH_OUTSIDE_COLLECTION", `${path} leads out of its collection`);
			return [...partsOf(inside), ...parts.slice(count)];
		}
		throw new FileFault("FILE_NOT_FOUND", `${path}: the collection's directory is not there`);
	}
}

function isThere(path: string): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function partsOf(path: string): string[] {
	const parts = path.split("/").filter((part) => part !== "" && part !== ".");
	if (parts.includes("..") || path.includes("\0"))
		throw new FileFault("PATH_OUTSIDE_COLLECTION", `${path} leads out of its collection`);
	return parts;
}

function makeDirectory(path: string): void {
	try {
		mkdirSync(path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
}

function hold(at: string, path: string): HeldDirectory {
	let fd: number;
	try {
		fd = openSync(at, directoryFlags);
	} catch (error) {
		throw faultOfSystem(error, path);
	}
	const held = namesOpenFiles ? `/proc/self/fd/${fd}` : at;
	return {
		path: held,
		[Symbol.dispose]: () => closeSync(fd),
	};
}

/** Where a held directory is now. For tests. */
export const placeOf = (held: HeldDirectory): string => readlinkSync(held.path);
