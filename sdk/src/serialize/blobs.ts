/**
 * Values above the inline limit travel by reference: stored under their SHA-256 before the submit, fetched and checked
 * on the way back. The same content is stored once.
 */
import { blobLimitBytes, inlineLimitBytes, packReference } from "@errand/proto";
import { SerializationError } from "../errors.ts";

/** The part of `Client` that stores values. */
export interface BlobStore {
	hasBlob(sha256: string): Promise<boolean>;
	putBlob(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
	getBlob(sha256: string): Promise<Uint8Array<ArrayBuffer>>;
}

export interface Reference {
	sha256: string;
	size_bytes: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** UTF-8 bytes of a text that is to travel inline; undefined when it is above the inline limit. */
export function inlineBytes(text: string): number | undefined {
	if (text.length > inlineLimitBytes) return undefined;
	// Most text is far below the limit, whatever its characters: no need to count.
	if (text.length * 3 <= inlineLimitBytes) return text.length;
	const bytes = encoder.encode(text).length;
	return bytes > inlineLimitBytes ? undefined : bytes;
}

/** Stores packed arguments and returns the packed reference that stands for them. */
export async function spill(blobs: BlobStore, functionName: string, packed: string): Promise<string> {
	const bytes = encoder.encode(packed);
	if (bytes.length > blobLimitBytes) {
		throw new SerializationError(
			`${functionName}: the arguments are ${bytes.length} bytes, the limit is ${blobLimitBytes}: put larger data in a file`,
			"arguments",
			{ code: "BLOB_TOO_LARGE" },
		);
	}
	const sha256 = await sha256Of(bytes);
	if (!(await blobs.hasBlob(sha256))) await blobs.putBlob(sha256, bytes);
	return packReference({ sha256, size_bytes: bytes.length });
}

/** The text that a reference stands for. Throws a SerializationError when the bytes are not those that were stored. */
export async function fetchReference(blobs: BlobStore, reference: Reference): Promise<string> {
	const bytes = await blobs.getBlob(reference.sha256);
	const found = await sha256Of(bytes);
	if (found !== reference.sha256 || bytes.length !== reference.size_bytes) {
		throw new SerializationError(
			`the result came as ${bytes.length} bytes with checksum ${found}, but ${reference.size_bytes} with ${reference.sha256} were stored: fetch it again, and look at the blob store`,
			"",
			{ code: "CHECKSUM_MISMATCH" },
		);
	}
	return decoder.decode(bytes);
}

async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
	const digest = new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", bytes));
	let hex = "";
	for (const byte of digest) hex += byte.toString(16).padStart(2, "0");
	return hex;
}
