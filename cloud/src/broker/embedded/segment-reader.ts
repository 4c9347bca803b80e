import { closeSync, openSync, readSync } from "node:fs";
import type { Content } from "./frames.ts";
import type { Place, Segment } from "./message-log.ts";
import { decodeMessage, readRecord } from "./record.ts";

/** Neighbours are wanted next: one read brings them all. */
const windowBytes = 256 * 1024;

/**
 * Reads messages back from segments. Reads are synchronous: the pages are warm as a rule, and a delivery must not be
 * overtaken by the one behind it.
 */
export class SegmentReader {
	readonly #files = new Map<Segment, number>();
	#window: { segment: Segment; offset: number; bytes: Buffer } | undefined;

	/** Throws when the disk does not give back what it took. */
	read(place: Place): Content {
		const { segment, offset, lengthBytes } = place;
		let window = this.#window;
		if (
			window?.segment !== segment ||
			offset < window.offset ||
			offset + lengthBytes > window.offset + window.bytes.length
		) {
			const bytes = Buffer.allocUnsafeSlow(Math.max(lengthBytes, Math.min(windowBytes, segment.sizeBytes - offset)));
			const got = readSync(this.#file(segment), bytes, 0, bytes.length, offset);
			window = { segment, offset, bytes: bytes.subarray(0, got) };
			this.#window = window;
		}
		const record = readRecord(window.bytes, offset - window.offset);
		if (!record) throw new Error(`${segment.path} is damaged at byte ${offset}: a message cannot be read back`);
		return decodeMessage(record.payload).content;
	}

	forget(segment: Segment): void {
		if (this.#window?.segment === segment) this.#window = undefined;
		const file = this.#files.get(segment);
		if (file === undefined) return;
		this.#files.delete(segment);
		closeSync(file);
	}

	close(): void {
		for (const segment of [...this.#files.keys()]) this.forget(segment);
	}

	#file(segment: Segment): number {
		let file = this.#files.get(segment);
		if (file === undefined) {
			file = openSync(segment.path, "r");
			this.#files.set(segment, file);
		}
		return file;
	}
}
