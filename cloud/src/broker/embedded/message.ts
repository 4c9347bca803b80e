import type { Content } from "./frames.ts";
import type { MessageLog, Place, Placed } from "./message-log.ts";
import type { MessageQueue } from "./message-queue.ts";
import type { SegmentReader } from "./segment-reader.ts";

/** What all messages of a broker share: the memory they may use, and where the rest is. */
export interface MessageKeeper {
	readonly log: MessageLog;
	readonly reader: SegmentReader;
	/** Bodies in memory, and how many bytes of them are welcome: a message above that stays on disk only. */
	readonly memory: { usedBytes: number; readonly budgetBytes: number; liveBytes: number };
}

/**
 * One published message, in any number of queues. Its content is in memory, or on disk, or (until the flush) in memory
 * on its way to the disk.
 */
export class Message implements Placed {
	readonly id: number;
	readonly exchange: Buffer;
	readonly routingKey: Buffer;
	/** Unix milliseconds; 0 when it never expires. */
	readonly expiresAtMs: number;
	readonly sizeBytes: number;
	/** On record for the durable queues among its holders. */
	readonly persistent: boolean;
	/** Queues that still have to deliver it; see `persistent`. */
	readonly holders: MessageQueue[];
	#content: Content | undefined;
	#place: Place | undefined;
	#spill = false;
	readonly #keeper: MessageKeeper;

	constructor(
		keeper: MessageKeeper,
		fields: {
			id: number;
			exchange: Buffer;
			routingKey: Buffer;
			expiresAtMs: number;
			content: Content | undefined;
			sizeBytes: number;
			persistent: boolean;
		},
		holders: MessageQueue[],
	) {
		this.#keeper = keeper;
		this.id = fields.id;
		this.exchange = fields.exchange;
		this.routingKey = fields.routingKey;
		this.expiresAtMs = fields.expiresAtMs;
		this.persistent = fields.persistent;
		this.holders = holders;
		this.#content = fields.content;
		this.sizeBytes = fields.sizeBytes;
		if (fields.content) keeper.memory.usedBytes += this.sizeBytes;
	}

	/** From now on on disk only: at once, or when its record has reached the disk. */
	spill(): void {
		this.#spill = true;
		if (this.#place) this.#release();
	}

	/** In memory, or read back: then the caller's copy is the only one. */
	content(): Content {
		if (this.#content) return this.#content;
		return this.#keeper.reader.read(this.#place as Place);
	}

	placed(place: Place): void {
		this.#unplace();
		if (this.holders.length === 0) return;
		this.#place = place;
		place.segment.live.add(this);
		this.#keeper.memory.liveBytes += place.lengthBytes;
		if (this.#spill) this.#release();
	}

	/** This queue has no more use for it. */
	leave(queue: MessageQueue): void {
		const at = this.holders.indexOf(queue);
		if (at < 0) return;
		this.holders.splice(at, 1);
		if (this.holders.length > 0) return;
		this.#unplace();
		this.#release();
	}

	#unplace(): void {
		if (!this.#place) return;
		this.#place.segment.live.delete(this);
		this.#keeper.memory.liveBytes -= this.#place.lengthBytes;
		this.#place = undefined;
	}

	#release(): void {
		if (!this.#content) return;
		this.#content = undefined;
		this.#keeper.memory.usedBytes -= this.sizeBytes;
	}
}

/** A message in one queue. */
export interface Entry {
	readonly message: Message;
	readonly queue: MessageQueue;
	redelivered: boolean;
}
