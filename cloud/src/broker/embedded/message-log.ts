/**
 * The append-only file of the embedded broker, in segments. Writers append in memory; one flush at a time takes
 * everything that is waiting, writes it and syncs it once (group commit), then tells who waited.
 *
 * A segment that is the oldest may be dropped as soon as none of its messages is wanted: whatever later segments say
 * about older messages has then no meaning, and each segment starts with the whole topology. The newest is never
 * dropped, however empty: it alone knows the queues.
 */
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../logging.ts";
import { encodeSettlements, encodeTopology, type Settlement } from "./record.ts";

/** One file. */
export interface Segment {
	readonly number: number;
	readonly path: string;
	sizeBytes: number;
	/** Its messages that somebody still wants. */
	readonly live: Set<Placed>;
}

/** Where a record is, once it is on disk. */
export interface Place {
	readonly segment: Segment;
	readonly offset: number;
	readonly lengthBytes: number;
}

/** Told when its record is on disk. */
export interface Placed {
	placed(place: Place): void;
}

/** `written` is false when the disk refused: nothing of this flush counts as kept. */
type OnFlushed = (written: boolean) => void;

interface Batch {
	buffers: Buffer[];
	/** Offsets are relative to the batch until it is written. */
	placements: { target: Placed; offset: number; lengthBytes: number }[];
	settlements: Settlement[];
	waiting: OnFlushed[];
	sizeBytes: number;
}

const newBatch = (): Batch => ({ buffers: [], placements: [], settlements: [], waiting: [], sizeBytes: 0 });

export const segmentName = (number: number): string => `${String(number).padStart(10, "0")}.log`;
export const segmentPattern = /^(\d{10})\.log$/;

export interface MessageLogOptions {
	directory: string;
	/** What replay found, oldest first; new records go to a new segment. */
	segments: Segment[];
	log: Log;
	/** A segment is closed when it has grown to this. */
	segmentBytes: number;
	/** The whole topology, for the start of a segment. */
	snapshot: () => unknown;
}

export class MessageLog {
	readonly segments: Segment[];
	readonly #options: MessageLogOptions;
	#active: { handle: FileHandle; segment: Segment } | undefined;
	#batch = newBatch();
	#flight: Promise<void> | undefined;
	#inFlightBytes = 0;
	#sizeBytes: number;
	#nextNumber: number;
	#closed = false;

	constructor(options: MessageLogOptions) {
		this.#options = options;
		this.segments = options.segments;
		this.#nextNumber = (options.segments.at(-1)?.number ?? 0) + 1;
		this.#sizeBytes = options.segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
	}

	/** Appended and not yet on disk: who produces this waits when it is much. */
	get backlogBytes(): number {
		return this.#batch.sizeBytes + this.#inFlightBytes;
	}

	/** Everything on disk. */
	get sizeBytes(): number {
		return this.#sizeBytes;
	}

	/** The oldest segment, unless it is the newest as well. */
	get oldest(): Segment | undefined {
		return this.segments.length > 1 ? this.segments[0] : undefined;
	}

	/** Stands for the flush that will take what is appended now: another object as soon as that flush has started. */
	get nextFlush(): object {
		return this.#batch;
	}

	/** Appends in order; the flush starts in this turn of the event loop. */
	append(record: { buffers: Buffer[]; lengthBytes: number }, target?: Placed): void {
		const batch = this.#batch;
		if (target) batch.placements.push({ target, offset: batch.sizeBytes, lengthBytes: record.lengthBytes });
		for (const buffer of record.buffers) batch.buffers.push(buffer);
		batch.sizeBytes += record.lengthBytes;
		this.#schedule();
	}

	/** Many settlements become one record of the next flush. */
	settle(settlement: Settlement): void {
		this.#batch.settlements.push(settlement);
		this.#schedule();
	}

	/** Calls back when everything appended so far is on disk, or the disk refused it. */
	onFlushed(callback: OnFlushed): void {
		this.#batch.waiting.push(callback);
		this.#schedule();
	}

	/** Resolves when everything appended so far is on disk; rejects when the disk refused it. */
	flushed(): Promise<void> {
		return new Promise((resolve, reject) =>
			this.onFlushed((written) =>
				written ? resolve() : reject(new Error("the message log could not be written; see the log for the reason")),
			),
		);
	}

	/** Removes the oldest segment. Only when none of its messages is wanted, and what was moved out of it is on disk. */
	async dropOldest(): Promise<void> {
		const oldest = this.oldest;
		if (!oldest) return;
		this.segments.shift();
		this.#sizeBytes -= oldest.sizeBytes;
		await unlink(oldest.path);
	}

	/** Writes what is waiting and closes the file. */
	async close(): Promise<void> {
		this.#closed = true;
		while (this.#flight !== undefined) await this.#flight;
		await this.#active?.handle.close();
		this.#active = undefined;
	}

	#schedule(): void {
		if (this.#flight || this.#closed) return;
		// The rest of this turn joins the flush.
		this.#flight = new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#flushAll());
	}

	async #flushAll(): Promise<void> {
		while (this.#batch.buffers.length > 0 || this.#batch.settlements.length > 0 || this.#batch.waiting.length > 0) {
			const batch = this.#batch;
			this.#batch = newBatch();
			this.#inFlightBytes = batch.sizeBytes;
			const written = await this.#write(batch);
			this.#inFlightBytes = 0;
			for (const callback of batch.waiting) callback(written);
		}
		// In the same turn as the look at the empty batch: nothing can be appended unseen in between.
		this.#flight = undefined;
	}

	async #write(batch: Batch): Promise<boolean> {
		if (batch.settlements.length > 0) {
			const record = encodeSettlements(batch.settlements);
			batch.buffers.push(...record.buffers);
			batch.sizeBytes += record.lengthBytes;
		}
		if (batch.buffers.length === 0) return true;
		try {
			const { handle, segment } = this.#active ?? (await this.#open());
			const start = segment.sizeBytes;
			await writeAll(handle, batch.buffers, batch.sizeBytes);
			// Settlements alone may be lost: their messages are then delivered again.
			if (batch.waiting.length > 0 || batch.placements.length > 0) await handle.datasync();
			segment.sizeBytes += batch.sizeBytes;
			this.#sizeBytes += batch.sizeBytes;
			for (const { target, offset, lengthBytes } of batch.placements)
				target.placed({ segment, offset: start + offset, lengthBytes });
			if (segment.sizeBytes >= this.#options.segmentBytes) await this.#retire();
			return true;
		} catch (error) {
			this.#options.log.error(
				{ err: error, directory: this.#options.directory, bytes: batch.sizeBytes },
				"message log not written; publishers are told to repeat",
			);
			// What reached the file is unknown: it ends here, and the next flush starts another.
			await this.#retire().catch(() => undefined);
			return false;
		}
	}

	async #retire(): Promise<void> {
		const active = this.#active;
		this.#active = undefined;
		await active?.handle.close();
	}

	/** The new segment counts, and an older one may go, only when its topology is on disk. */
	async #open(): Promise<{ handle: FileHandle; segment: Segment }> {
		const number = this.#nextNumber++;
		const path = join(this.#options.directory, segmentName(number));
		const handle = await open(path, "wx", 0o600);
		const segment: Segment = { number, path, sizeBytes: 0, live: new Set() };
		try {
			const snapshot = encodeTopology(this.#options.snapshot());
			await writeAll(handle, snapshot.buffers, snapshot.lengthBytes);
			await handle.datasync();
			await syncDirectory(this.#options.directory);
			segment.sizeBytes = snapshot.lengthBytes;
			this.#sizeBytes += snapshot.lengthBytes;
		} catch (error) {
			await handle.close();
			await unlink(path).catch(() => undefined);
			throw error;
		}
		this.segments.push(segment);
		this.#active = { handle, segment };
		return this.#active;
	}
}

async function writeAll(handle: FileHandle, buffers: Buffer[], sizeBytes: number): Promise<void> {
	const { bytesWritten } = await handle.writev(buffers);
	if (bytesWritten !== sizeBytes)
		throw new Error(`${bytesWritten} of ${sizeBytes} bytes were written: is the disk full?`);
}

/** A new or renamed file is there after a crash of the machine only when its directory is synced as well. */
export async function syncDirectory(directory: string): Promise<void> {
	const handle = await open(directory, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}
