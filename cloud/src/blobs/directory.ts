/**
 * Blobs as files in a directory of the cloud's machine: `ab/cdef…` for the blob whose checksum is `abcdef…`. A file
 * exists under its name only when it is whole and on disk.
 */
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { blobLimitBytes, Fault } from "@errand/proto";
import type { BlobStore } from "./blobs.ts";
import { blobName, clearParts, partFile, writePart } from "./part-file.ts";

/** Opens the store, making the directory and clearing what an ended process left unfinished. */
export async function openBlobDirectory(options: { directory: string; limitBytes?: number }): Promise<BlobStore> {
	const { directory, limitBytes = blobLimitBytes } = options;
	await mkdir(directory, { recursive: true, mode: 0o700 });
	await clearParts(directory);

	async function size(sha256: string): Promise<number | undefined> {
		const path = pathOf(directory, sha256);
		try {
			return (await stat(path)).size;
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
			throw failed("read", sha256, cause);
		}
	}

	return {
		size,
		async put(sha256, body) {
			const target = pathOf(directory, sha256);
			const part = partFile(directory);
			try {
				const written = await writePart(part, body, sha256, limitBytes);
				await mkdir(dirname(target), { recursive: true, mode: 0o700 });
				await rename(part, target);
				await syncDirectory(dirname(target));
				return written;
			} catch (cause) {
				if (cause instanceof Fault) throw cause;
				throw failed("store", sha256, cause);
			} finally {
				await rm(part, { force: true });
			}
		},
		async get(sha256) {
			const sizeBytes = await size(sha256);
			if (sizeBytes === undefined) return undefined;
			return { sizeBytes, body: createReadStream(pathOf(directory, sha256)) };
		},
		async delete(sha256) {
			await rm(pathOf(directory, sha256), { force: true });
		},
		async check() {
			await stat(directory);
		},
	};
}

/** The file of a blob. Throws unless the name is a checksum: nothing else may reach the file system. */
function pathOf(directory: string, sha256: string): string {
	blobName(sha256);
	return join(directory, sha256.slice(0, 2), sha256.slice(2));
}

async function syncDirectory(directory: string): Promise<void> {
	const handle = await open(directory, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

function failed(verb: string, sha256: string, cause: unknown): Fault {
	const { code } = cause as NodeJS.ErrnoException;
	const why = code === "ENOSPC" ? "no space is left" : (code ?? "it failed");
	return new Fault("BLOB_STORE_FAILED", `the blob store could not ${verb} ${sha256}: ${why}; try again later`, {
		retryAfterS: 30,
		cause,
	});
}
