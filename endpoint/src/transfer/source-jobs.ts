/** What the disk threads do for the end that is read: synchronous, one call a job. */
import { closeSync, lstatSync, opendirSync, readSync } from "node:fs";
import { chunkBytes } from "@errand/proto";
import type { FilterRule } from "@errand/proto/rest";
import { DataRoot } from "./data-root.ts";
import { chunkDigest, fileDigest } from "./digest.ts";
import { FileFault, faultOfSystem, type PlainFault, plainFault } from "./file-fault.ts";
import { versionOf } from "./file-version.ts";
import { isWanted } from "./filter.ts";
import { isPartName } from "./part-name.ts";

export interface ListedFile {
	/** Below the collection's root. */
	readonly path: string;
	readonly size: number;
	readonly mtimeMs: number;
	/** Permission bits. */
	readonly mode: number;
	readonly version: string;
}

export interface ListedDirectory {
	readonly files: readonly ListedFile[];
	/** Paths. */
	readonly directories: readonly string[];
	/** That were left out. */
	readonly symlinks: number;
}

/** One directory, not what is below it. */
export function listDirectory(job: {
	root: string;
	path: string;
	rules: readonly FilterRule[];
	symlinks: "ignore" | "copy";
}): ListedDirectory {
	const root = new DataRoot(job.root);
	using held = root.openDirectory(job.path);
	const files: ListedFile[] = [];
	const directories: string[] = [];
	let symlinks = 0;
	const directory = opendirSync(held.path);
	try {
		for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
			const path = job.path === "" ? entry.name : `${job.path}/${entry.name}`;
			if (isPartName(entry.name)) continue;
			if (entry.isDirectory()) {
				if (isWanted(job.rules, "dir", entry.name)) directories.push(path);
				continue;
			}
			if (!isWanted(job.rules, "file", entry.name)) continue;
			if (entry.isSymbolicLink()) {
				const target = job.symlinks === "copy" ? fileAt(root, path) : undefined;
				if (target === undefined) symlinks++;
				else files.push(target);
				continue;
			}
			const stats = lstatSync(`${held.path}/${entry.name}`, { throwIfNoEntry: false });
			if (stats?.isFile()) files.push(listed(path, stats));
		}
	} finally {
		directory.closeSync();
	}
	// In one order, whatever the file system's is.
	files.sort((a, b) => (a.path < b.path ? -1 : 1));
	return { files, directories: directories.sort(), symlinks };
}

function listed(path: string, stats: { size: number; mtimeMs: number; ino: number; mode: number }): ListedFile {
	const { size, mtimeMs, mode } = stats;
	return { path, size, mtimeMs, mode: mode & 0o777, version: versionOf(stats) };
}

/** Undefined when a link leads nowhere, out of the collection, or to something else than a file. */
function fileAt(root: DataRoot, path: string): ListedFile | undefined {
	try {
		return listFile({ root, path });
	} catch {
		return undefined;
	}
}

export function listFile(job: { root: string | DataRoot; path: string }): ListedFile {
	const root = typeof job.root === "string" ? new DataRoot(job.root) : job.root;
	const { fd, stats } = root.openFile(job.path);
	closeSync(fd);
	return listed(job.path, stats);
}

export interface ReadChunk {
	readonly bytes: Uint8Array<ArrayBuffer>;
	/** Null unless it was asked for. */
	readonly digest: string | null;
}

/** Throws SOURCE_CHANGED when the file is not the version that was listed. */
export function readChunk(job: {
	root: string;
	path: string;
	version: string;
	offset: number;
	length: number;
	digest: boolean;
}): ReadChunk {
	const { fd, stats } = new DataRoot(job.root).openFile(job.path);
	try {
		refuseOther(job.path, job.version, versionOf(stats));
		const bytes = readWhole(fd, job.path, job.offset, job.length);
		return { bytes, digest: job.digest ? chunkDigest(bytes) : null };
	} finally {
		closeSync(fd);
	}
}

function refuseOther(path: string, wanted: string, is: string): void {
	if (wanted !== is) throw new FileFault("SOURCE_CHANGED", `${path} has changed since it was listed`);
}

function readWhole(fd: number, path: string, offset: number, length: number): Uint8Array<ArrayBuffer> {
	const bytes = Buffer.allocUnsafeSlow(length);
	let done = 0;
	while (done < length) {
		let count: number;
		try {
			count = readSync(fd, bytes, done, length - done, offset + done);
		} catch (error) {
			throw faultOfSystem(error, path);
		}
		if (count === 0) throw new FileFault("SOURCE_CHANGED", `${path} became shorter while it was read`);
		done += count;
	}
	return bytes;
}

export interface PackEntry {
	readonly size: number;
	readonly digest: string | null;
	/** Set: it could not be read, and has no bytes. */
	readonly fault?: PlainFault;
}

/** Several whole files, one behind the other. What is wrong with one of them is told in its entry. */
export function readPack(job: {
	root: string;
	files: readonly { readonly path: string; readonly version: string }[];
	digest: boolean;
}): { entries: PackEntry[]; bytes: Uint8Array<ArrayBuffer> } {
	const root = new DataRoot(job.root);
	const pieces: Uint8Array[] = [];
	const entries = job.files.map(({ path, version }): PackEntry => {
		try {
			const { fd, stats } = root.openFile(path);
			try {
				refuseOther(path, version, versionOf(stats));
				const bytes = readWhole(fd, path, 0, stats.size);
				pieces.push(bytes);
				return { size: bytes.length, digest: job.digest ? chunkDigest(bytes) : null };
			} finally {
				closeSync(fd);
			}
		} catch (error) {
			return { size: 0, digest: null, fault: plainFault(faultOfSystem(error, path)) };
		}
	});
	const bytes = Buffer.allocUnsafeSlow(pieces.reduce((sum, piece) => sum + piece.length, 0));
	let at = 0;
	for (const piece of pieces) {
		bytes.set(piece, at);
		at += piece.length;
	}
	return { entries, bytes };
}

/** Of the whole content, read from the disk. */
export function digestFile(job: { root: string; path: string }): { digest: string; version: string } {
	const { fd, stats } = new DataRoot(job.root).openFile(job.path);
	try {
		const digests: string[] = [];
		for (let offset = 0; offset < stats.size || digests.length === 0; offset += chunkBytes)
			digests.push(chunkDigest(readWhole(fd, job.path, offset, Math.min(chunkBytes, stats.size - offset))));
		return { digest: fileDigest(stats.size, digests), version: versionOf(stats) };
	} finally {
		closeSync(fd);
	}
}
