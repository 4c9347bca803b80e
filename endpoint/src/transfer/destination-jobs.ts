/** What the disk threads do for the end that is written: synchronous, one call a job. */
import {
	closeSync,
	constants,
	fchmodSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	futimesSync,
	lstatSync,
	openSync,
	readdirSync,
	readSync,
	renameSync,
	rmdirSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { chunkBytes } from "@errand/proto";
import { DataRoot, type HeldDirectory } from "./data-root.ts";
import { chunkDigest, fileDigest } from "./digest.ts";
import { FileFault, faultOfSystem, type PlainFault, plainFault } from "./file-fault.ts";
import { isPartName } from "./part-name.ts";

/** What a finished file gets besides its content. */
export interface FileDress {
	/** Permission bits. */
	readonly mode: number;
	/** Undefined: the time of the writing. */
	readonly mtimeMs?: number | undefined;
}

/** Splits off the last part. */
function splitPath(path: string): { folder: string; name: string } {
	const at = path.lastIndexOf("/");
	return { folder: at < 0 ? "" : path.slice(0, at), name: path.slice(at + 1) };
}

function inFolder<T>(root: string, path: string, create: boolean, work: (held: HeldDirectory, name: string) => T): T {
	const { folder, name } = splitPath(path);
	if (name === "") throw new FileFault("NOT_A_FILE", "a file needs a name");
	try {
		using held = new DataRoot(root).openDirectory(folder, { create });
		return work(held, name);
	} catch (error) {
		throw faultOfSystem(error, path);
	}
}

const openPart = (held: HeldDirectory, part: string, more = 0): number =>
	openSync(`${held.path}/${part}`, constants.O_RDWR | constants.O_NOFOLLOW | more, 0o600);

/**
 * Makes the hidden file that chunks are written to, with the folders on the way. Returns the inode; the same as before:
 * what was written is still there.
 */
export function preparePart(job: { root: string; path: string; part: string; size: number }): number {
	return inFolder(job.root, job.path, true, (held) => {
		const fd = openPart(held, job.part, constants.O_CREAT);
		try {
			const stats = fstatSync(fd);
			if (stats.size !== job.size) ftruncateSync(fd, job.size);
			return stats.ino;
		} finally {
			closeSync(fd);
		}
	});
}

/** Compares and writes; throws CHECKSUM_MISMATCH when the bytes are not those of the digest. Returns the digest. */
export function writeChunk(job: {
	root: string;
	path: string;
	part: string;
	offset: number;
	bytes: Uint8Array;
	/** Null: not verified. */
	digest: string | null;
}): string | null {
	refuseDamaged(job.path, job.bytes, job.digest);
	return inFolder(job.root, job.path, false, (held) => {
		const fd = openPart(held, job.part);
		try {
			writeWhole(fd, job.bytes, job.offset);
		} finally {
			closeSync(fd);
		}
		return job.digest;
	});
}

function refuseDamaged(path: string, bytes: Uint8Array, digest: string | null): void {
	if (digest !== null && chunkDigest(bytes) !== digest)
		throw new FileFault("CHECKSUM_MISMATCH", `${path}: what came is not what was sent`);
}

function writeWhole(fd: number, bytes: Uint8Array, offset: number): void {
	for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

/**
 * Gives the hidden file its name, when all of it is on the disk. `digests`: of every chunk, to compare with what the disk
 * has; without them the disk is believed.
 */
export function finishPart(job: {
	root: string;
	path: string;
	part: string;
	size: number;
	dress: FileDress;
	digests?: readonly string[] | undefined;
}): void {
	inFolder(job.root, job.path, false, (held, name) => {
		const fd = openPart(held, job.part);
		try {
			fsyncSync(fd);
			if (job.digests !== undefined && digestOf(fd, job.size) !== fileDigest(job.size, job.digests))
				throw new FileFault("CHECKSUM_MISMATCH", `${job.path}: the disk does not have what was written to it`);
			dressFile(fd, job.dress);
		} finally {
			closeSync(fd);
		}
		renameSync(`${held.path}/${job.part}`, `${held.path}/${name}`);
		syncDirectory(held);
	});
}

function dressFile(fd: number, { mode, mtimeMs }: FileDress): void {
	fchmodSync(fd, mode);
	if (mtimeMs !== undefined) futimesSync(fd, mtimeMs / 1000, mtimeMs / 1000);
}

function syncDirectory({ path }: HeldDirectory): void {
	const fd = openSync(`${path}/.`, constants.O_RDONLY | constants.O_DIRECTORY);
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}

function digestOf(fd: number, size: number): string {
	const digests: string[] = [];
	const buffer = new Uint8Array(Math.min(size, chunkBytes));
	for (let offset = 0; offset < size || digests.length === 0; offset += chunkBytes) {
		const length = Math.min(chunkBytes, size - offset);
		let done = 0;
		while (done < length) {
			const count = readSync(fd, buffer, done, length - done, offset + done);
			if (count === 0) break;
			done += count;
		}
		digests.push(chunkDigest(buffer.subarray(0, done)));
	}
	return fileDigest(size, digests);
}

/** Chunks of an earlier run that the hidden file still has: their numbers. After the machine itself went down only these count. */
export function checkPart(job: {
	root: string;
	path: string;
	part: string;
	size: number;
	digests: readonly (readonly [chunk: number, digest: string | null])[];
}): number[] {
	return inFolder(job.root, job.path, false, (held) => {
		const fd = openPart(held, job.part);
		try {
			return job.digests.flatMap(([chunk, digest]) => {
				const offset = chunk * chunkBytes;
				const bytes = new Uint8Array(Math.min(chunkBytes, job.size - offset));
				const count = readSync(fd, bytes, 0, bytes.length, offset);
				return digest !== null && count === bytes.length && chunkDigest(bytes) === digest ? [chunk] : [];
			});
		} finally {
			closeSync(fd);
		}
	});
}

/** May be repeated. */
export function discardPart(job: { root: string; path: string; part: string }): void {
	try {
		inFolder(job.root, job.path, false, (held) => unlinkSync(`${held.path}/${job.part}`));
	} catch (error) {
		if (!(error instanceof FileFault) || error.code !== "FILE_NOT_FOUND") throw error;
	}
}

export interface PackedFile {
	readonly path: string;
	readonly part: string;
	readonly size: number;
	readonly digest: string | null;
	readonly dress: FileDress;
}

/** Whole files that came one behind the other, each written hidden, synced and named. Null for each that is there, else what is wrong. */
export function writePack(job: {
	root: string;
	files: readonly PackedFile[];
	bytes: Uint8Array;
	disk: boolean;
}): (PlainFault | null)[] {
	let at = 0;
	const folders = new Map<string, HeldDirectory>();
	const root = new DataRoot(job.root);
	const parts: { fd: number; held: HeldDirectory; file: PackedFile }[] = [];
	const outcomes = new Map<PackedFile, PlainFault>();
	const guarded = (file: PackedFile, work: () => void): void => {
		try {
			if (!outcomes.has(file)) work();
		} catch (error) {
			outcomes.set(file, plainFault(faultOfSystem(error, file.path)));
		}
	};
	try {
		for (const file of job.files) {
			const bytes = job.bytes.subarray(at, at + file.size);
			at += file.size;
			guarded(file, () => {
				refuseDamaged(file.path, bytes, file.digest);
				const { folder, name } = splitPath(file.path);
				if (name === "") throw new FileFault("NOT_A_FILE", "a file needs a name");
				const held = folders.get(folder) ?? root.openDirectory(folder, { create: true });
				folders.set(folder, held);
				const fd = openPart(held, file.part, constants.O_CREAT | constants.O_TRUNC);
				parts.push({ fd, held, file });
				writeWhole(fd, bytes, 0);
				dressFile(fd, file.dress);
			});
		}
		for (const { fd, held, file } of parts)
			guarded(file, () => {
				fsyncSync(fd);
				if (job.disk && file.digest !== null && digestOf(fd, file.size) !== `sha256:${file.digest}`)
					throw new FileFault("CHECKSUM_MISMATCH", `${file.path}: the disk does not have what was written to it`);
				renameSync(`${held.path}/${file.part}`, `${held.path}/${splitPath(file.path).name}`);
			});
		for (const { fd, held, file } of parts) {
			closeSync(fd);
			if (outcomes.has(file)) tryTo(() => unlinkSync(`${held.path}/${file.part}`));
		}
		for (const held of folders.values()) syncDirectory(held);
	} finally {
		for (const held of folders.values()) held[Symbol.dispose]();
	}
	return job.files.map((file) => outcomes.get(file) ?? null);
}

function tryTo(work: () => void): void {
	try {
		work();
	} catch {
		// It is not there, which is what is wanted.
	}
}

export function makeDirectories(job: { root: string; paths: readonly string[] }): void {
	const root = new DataRoot(job.root);
	for (const path of job.paths) root.openDirectory(path, { create: true })[Symbol.dispose]();
}

/** Of each path the file there; null when there is none, or something else. */
export function lookAt(job: { root: string; paths: readonly string[] }): ({ size: number; mtimeMs: number } | null)[] {
	return job.paths.map((path) => {
		try {
			return inFolder(job.root, path, false, (held, name) => {
				const stats = lstatSync(`${held.path}/${name}`);
				return stats.isFile() ? { size: stats.size, mtimeMs: stats.mtimeMs } : null;
			});
		} catch {
			return null;
		}
	});
}

/** The names in one directory; none when it is not there. */
export function listNames(job: { root: string; path: string }): { name: string; directory: boolean }[] {
	try {
		using held = new DataRoot(job.root).openDirectory(job.path);
		return readdirSync(held.path, { withFileTypes: true })
			.filter((entry) => !isPartName(entry.name))
			.map((entry) => ({ name: entry.name, directory: entry.isDirectory() }));
	} catch (error) {
		const fault = faultOfSystem(error, job.path);
		if (fault.code === "FILE_NOT_FOUND") return [];
		throw fault;
	}
}

/** A file, a link, or an empty directory. */
export function remove(job: { root: string; path: string; directory: boolean }): void {
	inFolder(job.root, job.path, false, (held, name) => {
		if (job.directory) rmdirSync(`${held.path}/${name}`);
		else unlinkSync(`${held.path}/${name}`);
	});
}
