/**
 * Blobs as files in a directory of the cloud's machine: `ab/cdef…` for the blob whose checksum is `abcdef…`. A file
 * exists under its name only when it is whole and on disk.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { blobLimitBytes, Fault } from "@errand/proto";
import type { BlobStore } from "./blobs.ts";

/** Unfinished uploads of an ended process are in the way of nobody, but they take space. */
const partPrefix = ".part-";

/** Opens the store, making the directory and clearing what an ended process left unfinished. */
export async function openBlobDirectory(options: { directory: string; limitBytes?: number }): Promise<BlobStore> {
	const { directory, limitBytes = blobLimitBytes } = options;
	await mkdir(directory, { recursive: true, mode: 0o700 });
	for (const name of await readdir(directory))
		if (name.startsWith(partPrefix)) await rm(join(directory, name), { force: true });

	async function size(sha256: string): Promise<number | undefined> {
		try {
			return (await stat(pathOf(directory, sha256))).size;
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
			throw failed("read", sha256, cause);
		}
	}

	return {
		size,
		async put(sha256, body) {
			const target = pathOf(directory, sha256);
			const part = join(directory, `${partPrefix}${randomUUID()}`);
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
	if (!/^[0-9a-f]{64}$/.test(sha256))
		throw new Fault("REQUEST_MALFORMED", "a blob is named by its SHA-256: 64 lower-case hexadecimal digits");
	return join(directory, sha256.slice(0, 2), sha256.slice(2));
}

async function writePart(
	part: string,
	body: AsyncIterable<Uint8Array>,
	sha256: string,
	limitBytes: number,
): Promise<number> {
	const hash = createHash("sha256");
	let written = 0;
	const file = await open(part, "wx", 0o600);
	try {
		for await (const chunk of body) {
			written += chunk.length;
			if (written > limitBytes)
				throw new Fault(
					"BLOB_TOO_LARGE",
					`a value may have ${limitBytes} bytes; this one has more. Put it into a file and transfer that`,
				);
			hash.update(chunk);
			await file.writev([chunk]);
		}
		const found = hash.digest("hex");
		if (found !== sha256)
			throw new Fault(
				"CHECKSUM_MISMATCH",
				`the ${written} bytes received have the checksum ${found}, not ${sha256}; send them again`,
			);
		await file.sync();
	} finally {
		await file.close();
	}
	return written;
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
