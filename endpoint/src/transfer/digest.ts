/**
 * What the content of a file is called by: of one chunk, the SHA-256 that every tool computes; of several, the SHA-256
 * over the file's length (8 bytes, big-endian) and the chunks' SHA-256 in order, so that chunks may come in any order and
 * after an interruption nothing needs to be read again.
 */
import { createHash } from "node:crypto";
import { chunkBytes } from "@errand/proto";

export const chunkDigest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** How many chunks; an empty file has one. */
export const chunkCount = (sizeBytes: number): number => Math.max(1, Math.ceil(sizeBytes / chunkBytes));

/** `digests`: of every chunk, hexadecimal. */
export function fileDigest(sizeBytes: number, digests: readonly string[]): string {
	if (digests.length === 1) return `sha256:${digests[0]}`;
	const length = Buffer.alloc(8);
	length.writeBigUInt64BE(BigInt(sizeBytes));
	const hash = createHash("sha256").update(length);
	for (const digest of digests) hash.update(Buffer.from(digest, "hex"));
	return `sha256-${chunkBytes / 1024 ** 2}MiB:${hash.digest("hex")}`;
}
