/** A value on its way into a blob store: in a hidden file until all of it is there and its checksum is right. */
import { createHash, randomUUID } from "node:crypto";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "@errand/proto";

const prefix = ".part-";

/** The name itself. Throws unless it is a checksum: nothing else may reach a file system or an object store. */
export function blobName(sha256: string): string {
	if (!/^[0-9a-f]{64}$/.test(sha256))
		throw new Fault("REQUEST_MALFORMED", "a blob is named by its SHA-256: 64 lower-case hexadecimal digits");
	return sha256;
}

/** A path that nobody else writes to. */
export function partFile(directory: string): string {
	return join(directory, `${prefix}${randomUUID()}`);
}

/** Removes what ended processes left unfinished. */
export async function clearParts(directory: string): Promise<void> {
	for (const name of await readdir(directory))
		if (name.startsWith(prefix)) await rm(join(directory, name), { force: true });
}

/**
 * Writes the stream to a new file, on disk when it resolves with the size. Rejects with BLOB_TOO_LARGE or
 * CHECKSUM_MISMATCH; the file is the caller's to remove.
 */
export async function writePart(
	path: string,
	body: AsyncIterable<Uint8Array>,
	sha256: string,
	limitBytes: number,
): Promise<number> {
	const hash = createHash("sha256");
	let written = 0;
	const file = await open(path, "wx", 0o600);
	try {
		for await (const chunk of body) {
			written += chunk.length;
			if (written > limitBytes)
				throw new Fault(
					"BLOB_TOO_LARGE",
					`a value may have ${limitBytes} bytes; this one has more. Put it into a file and transfer that`,
				);
			hash.update(chunk);
			await file.writeFile(chunk);
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
