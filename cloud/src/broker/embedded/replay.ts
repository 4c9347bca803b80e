import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../logging.ts";
import type { Content } from "./frames.ts";
import { type Segment, segmentName, segmentPattern } from "./message-log.ts";
import { decodeMessage, decodeSettlements, readRecord, recordKinds, type StoredMessage } from "./record.ts";
import { type TopologyChange, TopologyRecord } from "./topology.ts";

/** A message that some queue still wants. */
interface ReplayedMessage extends Omit<StoredMessage, "queueIds" | "content"> {
	/** Undefined when it was left on disk. */
	readonly content: Content | undefined;
	readonly contentBytes: number;
	readonly queueIds: Set<number>;
	readonly segment: Segment;
	readonly offset: number;
	readonly lengthBytes: number;
}

export interface Replayed {
	topology: TopologyRecord;
	/** In the order of their ids. */
	messages: ReplayedMessage[];
	segments: Segment[];
	nextMessageId: number;
}

/**
 * Reads all segments, oldest first. A segment that ends in the middle of a record (its writer was killed, or the disk was
 * full) is read up to there. `keepBytes`: contents up to this sum are kept, the rest is dropped again.
 */
export async function replay(directory: string, log: Log, keepBytes: number): Promise<Replayed> {
	const numbers = (await readdir(directory))
		.map((name) => segmentPattern.exec(name)?.[1])
		.filter((digits) => digits !== undefined)
		.map(Number)
		.sort((a, b) => a - b);
	const topology = new TopologyRecord();
	const messages = new Map<number, ReplayedMessage>();
	const segments: Segment[] = [];
	let nextMessageId = 1;
	let keptBytes = 0;
	for (const number of numbers) {
		const path = join(directory, segmentName(number));
		const file = await readFile(path);
		const segment: Segment = { number, path, sizeBytes: file.length, live: new Set() };
		segments.push(segment);
		let offset = 0;
		for (;;) {
			const record = readRecord(file, offset);
			if (!record) break;
			if (record.kind === recordKinds.message) {
				const message = decodeMessage(record.payload);
				// Seen before: compaction has moved it here.
				const earlier = messages.get(message.id);
				if (earlier?.content) keptBytes -= earlier.lengthBytes;
				nextMessageId = Math.max(nextMessageId, message.id + 1);
				const keep = keptBytes + record.lengthBytes <= keepBytes;
				if (keep) keptBytes += record.lengthBytes;
				const { properties, body } = message.content;
				// Copies: views would hold the whole file in memory.
				const content = keep ? { properties: Buffer.from(properties), body: Buffer.from(body) } : undefined;
				messages.set(message.id, {
					...message,
					content,
					contentBytes: properties.length + body.length,
					queueIds: new Set(message.queueIds),
					segment,
					offset,
					lengthBytes: record.lengthBytes,
				});
			} else if (record.kind === recordKinds.settled) {
				for (const { queueId, messageId } of decodeSettlements(record.payload)) {
					const message = messages.get(messageId);
					message?.queueIds.delete(queueId);
					if (message?.queueIds.size !== 0) continue;
					messages.delete(messageId);
					if (message.content) keptBytes -= message.lengthBytes;
				}
			} else if (record.kind === recordKinds.topology) {
				topology.apply(JSON.parse(record.payload.toString("utf8")) as TopologyChange);
			}
			offset += record.lengthBytes;
		}
		if (offset < file.length)
			log.warn({ path, keptBytes: offset, lostBytes: file.length - offset }, "message log ends inside a record");
	}
	const wanted = [...messages.values()].filter((message) => {
		for (const id of message.queueIds) if (!topology.queues.has(id)) message.queueIds.delete(id);
		return message.queueIds.size > 0;
	});
	wanted.sort((a, b) => a.id - b.id);
	return { topology, messages: wanted, segments, nextMessageId: Math.max(nextMessageId, topology.nextMessageId) };
}
