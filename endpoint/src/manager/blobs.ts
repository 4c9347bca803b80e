/** Payloads above the inline limit: arguments from the daemon into a file, results from a file to the daemon. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BlobChunk, BlobChunkSchema, type BlobReference, create } from "@errand/proto/wire";

export interface BlobPort {
	getBlob(reference: BlobReference): AsyncIterable<Uint8Array>;
	putBlob(chunks: AsyncIterable<BlobChunk>): Promise<BlobReference>;
}

const chunkBytes = 1024 * 1024;

/** Writes the blob to `<directory>/<name>`, checks it against its name, and returns the path. */
export async function fetchBlob(
	port: BlobPort,
	reference: BlobReference,
	directory: string,
	name: string,
): Promise<string> {
	const path = join(directory, name);
	const hash = createHash("sha256");
	const file = await open(path, "w", 0o600);
	try {
		for await (const data of port.getBlob(reference)) {
			hash.update(data);
			await file.write(data);
		}
	} finally {
		await file.close();
	}
	const found = hash.digest();
	if (found.equals(reference.sha256)) return path;
	await rm(path, { force: true });
	throw new Error(`the arguments arrived damaged: sha256 ${found.toString("hex")} instead of ${hex(reference.sha256)}`);
}

/** Sends the file; when the daemon has it safely, the file is removed. */
export async function sendBlob(port: BlobPort, path: string): Promise<BlobReference> {
	const hash = createHash("sha256");
	const { size } = await stat(path);
	async function* chunks() {
		for await (const data of createReadStream(path, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>) {
			hash.update(data);
			yield create(BlobChunkSchema, { data });
		}
	}
	const reference = await port.putBlob(chunks());
	if (!hash.digest().equals(reference.sha256) || reference.sizeBytes !== size)
		throw new Error("the daemon received another value than was sent");
	await rm(path, { force: true });
	return reference;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
