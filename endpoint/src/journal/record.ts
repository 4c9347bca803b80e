/**
 * One record of the journal on disk: a 4-byte little-endian length of what follows the checksum, a 4-byte CRC-32 of it,
 * one byte for the kind, and the body. Whatever follows the first record that is cut short or damaged is not read.
 */
import { crc32 } from "node:zlib";

/** What a record says. The numbers are on disk: never reuse one. */
export const recordKinds = {
	/** Body: a `TaskBatch`, as it came from the broker. */
	tasks: 1,
	/** Body: 8 bytes batch number, then a `ResultBatch`, as it goes to the broker. */
	results: 2,
	/** Body: 8 bytes batch number. The broker has it. */
	confirmed: 3,
	/** Body: task ids of 16 bytes that were cancelled. */
	cancelled: 4,
	/** Body: for each finished task its id and 8 bytes of Unix milliseconds. Starts a segment: what older ones said. */
	finished: 5,
	/** Body: a task id of 16 bytes, 8 bytes how often its machine died, 8 bytes how often of these while it ran. */
	lost: 6,
} as const;

export type RecordKind = (typeof recordKinds)[keyof typeof recordKinds];

const headerBytes = 8;
/** A task batch is at most a few megabytes; a longer length is damage, not a record. */
const recordLimitBytes = 256 * 1024 * 1024;

export interface JournalRecord {
	readonly kind: number;
	readonly body: Uint8Array;
}

/** Header and kind of a record whose body is `parts`, one after another. Inverse of {@link readRecords} with the parts behind it. */
export function encodeHeader(kind: RecordKind, parts: readonly Uint8Array[]): Uint8Array {
	let length = 1;
	let checksum = crc32(Uint8Array.of(kind));
	for (const part of parts) {
		length += part.length;
		checksum = crc32(part, checksum);
	}
	const header = new Uint8Array(headerBytes + 1);
	const view = new DataView(header.buffer);
	view.setUint32(0, length, true);
	view.setUint32(4, checksum, true);
	header[headerBytes] = kind;
	return header;
}

/** The whole records at the start of `bytes`, and how many bytes they are. Bodies are views, not copies. */
export function readRecords(bytes: Uint8Array): { records: JournalRecord[]; soundBytes: number } {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const records: JournalRecord[] = [];
	let at = 0;
	while (at + headerBytes < bytes.length) {
		const length = view.getUint32(at, true);
		const end = at + headerBytes + length;
		if (length < 1 || length > recordLimitBytes || end > bytes.length) break;
		const content = bytes.subarray(at + headerBytes, end);
		if (crc32(content) !== view.getUint32(at + 4, true)) break;
		records.push({ kind: content[0] as number, body: content.subarray(1) });
		at = end;
	}
	return { records, soundBytes: at };
}

/** 16-byte ids, one after another. */
export function* idsIn(body: Uint8Array): Generator<Uint8Array> {
	for (let at = 0; at + 16 <= body.length; at += 16) yield body.subarray(at, at + 16);
}

export function encodeNumber(value: number): Uint8Array {
	const bytes = new Uint8Array(8);
	new DataView(bytes.buffer).setFloat64(0, value, true);
	return bytes;
}

/** Inverse of {@link encodeNumber}. */
export function decodeNumber(bytes: Uint8Array, at = 0): number {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat64(at, true);
}
