/**
 * What the log is made of: records of `length u32 · crc32 u32 · kind u8 · payload`, little-endian. A record whose length or
 * checksum does not fit ends the file: that is what a process killed while writing leaves behind.
 */
import { crc32 } from "node:zlib";
import type { Content } from "./frames.ts";

export const recordKinds = { message: 1, settled: 2, topology: 3 } as const;

const prefixBytes = 9;
/** Messages have at most 128 MiB; anything longer than this is not a record. */
const lengthLimitBytes = 256 * 1024 * 1024;

/** A message as it is kept: `queueIds` are the durable queues that still have to deliver it. */
export interface StoredMessage {
	readonly id: number;
	readonly queueIds: readonly number[];
	readonly exchange: string;
	readonly routingKey: string;
	/** Unix milliseconds; 0 when it never expires. */
	readonly expiresAtMs: number;
	readonly content: Content;
}

/** This message has left this queue. */
export interface Settlement {
	readonly queueId: number;
	readonly messageId: number;
}

function frame(kind: number, parts: Buffer[]): { buffers: Buffer[]; lengthBytes: number } {
	let length = 1;
	for (const part of parts) length += part.length;
	const prefix = Buffer.allocUnsafe(prefixBytes);
	prefix.writeUInt32LE(length, 0);
	prefix[8] = kind;
	let sum = crc32(prefix.subarray(8));
	for (const part of parts) sum = crc32(part, sum);
	prefix.writeUInt32LE(sum, 4);
	return { buffers: [prefix, ...parts], lengthBytes: length + 8 };
}

/** The body is not copied: it goes to the disk from where it is. */
export function encodeMessage(message: StoredMessage): { buffers: Buffer[]; lengthBytes: number } {
	const exchange = Buffer.from(message.exchange);
	const routingKey = Buffer.from(message.routingKey);
	const { properties, body } = message.content;
	const head = Buffer.allocUnsafe(
		8 + 8 + 2 + message.queueIds.length * 4 + 1 + exchange.length + 1 + routingKey.length + 4 + properties.length,
	);
	let at = head.writeDoubleLE(message.id, 0);
	at = head.writeDoubleLE(message.expiresAtMs, at);
	at = head.writeUInt16LE(message.queueIds.length, at);
	for (const id of message.queueIds) at = head.writeUInt32LE(id, at);
	at = head.writeUInt8(exchange.length, at);
	at += exchange.copy(head, at);
	at = head.writeUInt8(routingKey.length, at);
	at += routingKey.copy(head, at);
	at = head.writeUInt32LE(properties.length, at);
	properties.copy(head, at);
	return frame(recordKinds.message, [head, body]);
}

/** Inverse of {@link encodeMessage}; the content is a view of `payload`. */
export function decodeMessage(payload: Buffer): StoredMessage {
	const queueCount = payload.readUInt16LE(16);
	const queueIds = Array.from({ length: queueCount }, (_, index) => payload.readUInt32LE(18 + index * 4));
	let at = 18 + queueCount * 4;
	const text = (): string => {
		const end = at + 1 + (payload[at] as number);
		const value = payload.toString("utf8", at + 1, end);
		at = end;
		return value;
	};
	const exchange = text();
	const routingKey = text();
	const propertiesBytes = payload.readUInt32LE(at);
	const properties = payload.subarray(at + 4, at + 4 + propertiesBytes);
	return {
		id: payload.readDoubleLE(0),
		expiresAtMs: payload.readDoubleLE(8),
		queueIds,
		exchange,
		routingKey,
		content: { properties, body: payload.subarray(at + 4 + propertiesBytes) },
	};
}

export function encodeSettlements(settlements: readonly Settlement[]): { buffers: Buffer[]; lengthBytes: number } {
	const payload = Buffer.allocUnsafe(settlements.length * 12);
	let at = 0;
	for (const { queueId, messageId } of settlements) {
		at = payload.writeUInt32LE(queueId, at);
		at = payload.writeDoubleLE(messageId, at);
	}
	return frame(recordKinds.settled, [payload]);
}

export function decodeSettlements(payload: Buffer): Settlement[] {
	return Array.from({ length: Math.floor(payload.length / 12) }, (_, index) => ({
		queueId: payload.readUInt32LE(index * 12),
		messageId: payload.readDoubleLE(index * 12 + 4),
	}));
}

export function encodeTopology(change: unknown): { buffers: Buffer[]; lengthBytes: number } {
	return frame(recordKinds.topology, [Buffer.from(JSON.stringify(change))]);
}

/** The record at `offset`, or undefined where the readable part of the file ends. */
export function readRecord(
	file: Buffer,
	offset: number,
): { kind: number; payload: Buffer; lengthBytes: number } | undefined {
	if (file.length - offset < prefixBytes) return undefined;
	const length = file.readUInt32LE(offset);
	if (length < 1 || length > lengthLimitBytes || file.length - offset < 8 + length) return undefined;
	const checked = file.subarray(offset + 8, offset + 8 + length);
	if (crc32(checked) !== file.readUInt32LE(offset + 4)) return undefined;
	return { kind: checked[0] as number, payload: checked.subarray(1), lengthBytes: 8 + length };
}
