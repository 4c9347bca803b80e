/**
 * Messages to the broker that it has not confirmed. They survive a lost connection, keep their order over it, and are
 * bounded in flight; how much may wait is the caller's business, who knows what is kept elsewhere.
 */

export interface OutgoingMessage {
	readonly exchange: string;
	readonly routingKey: string;
	readonly body: Uint8Array;
	readonly contentType: string;
	readonly persistent: boolean;
}

/** Hands one message to the broker; calls back later, at most once: confirmed, or refused and to be sent again. */
export type Transmit = (message: OutgoingMessage, done: (confirmed: boolean) => void) => void;

/** Enough to keep a distant broker busy; a lost connection sends so many twice at most. */
const inFlightLimit = 128;

interface Entry {
	readonly message: OutgoingMessage;
	readonly confirmed: PromiseWithResolvers<void>;
}

export class Outbox {
	#waiting: Entry[] = [];
	#head = 0;
	readonly #inFlight = new Set<Entry>();
	#transmit: Transmit | undefined;
	#waitingBytes = 0;

	/** Bytes of everything that is not confirmed. */
	get bytes(): number {
		return this.#waitingBytes;
	}

	/** Resolves when the broker has the message. Rejects only when the outbox is closed first. */
	add(message: OutgoingMessage): Promise<void> {
		const entry: Entry = { message, confirmed: Promise.withResolvers<void>() };
		this.#waiting.push(entry);
		this.#waitingBytes += message.body.length;
		this.#pump();
		return entry.confirmed.promise;
	}

	/** A connection is there: everything unconfirmed goes out again, in order. */
	connect(transmit: Transmit): void {
		this.#transmit = transmit;
		this.#pump();
	}

	/** The connection is gone: what was in flight is the next to go. */
	disconnect(): void {
		this.#transmit = undefined;
		this.#waiting = [...this.#inFlight, ...this.#waiting.slice(this.#head)];
		this.#head = 0;
		this.#inFlight.clear();
	}

	/** Nobody may wait for ever on what will not be sent by this process. */
	close(): void {
		this.disconnect();
		for (const { confirmed } of this.#waiting) {
			confirmed.promise.catch(() => undefined);
			confirmed.reject(new Error("the endpoint stopped before the broker confirmed"));
		}
		this.#waiting = [];
	}

	#pump(): void {
		while (this.#transmit && this.#inFlight.size < inFlightLimit && this.#head < this.#waiting.length) {
			const entry = this.#waiting[this.#head++] as Entry;
			if (this.#head > 1024) {
				this.#waiting = this.#waiting.slice(this.#head);
				this.#head = 0;
			}
			this.#inFlight.add(entry);
			this.#transmit(entry.message, (confirmed) => this.#done(entry, confirmed));
		}
	}

	#done(entry: Entry, confirmed: boolean): void {
		// Answers of a connection that is gone come too late: the message is on its way again.
		if (!this.#inFlight.delete(entry)) return;
		if (confirmed) {
			this.#waitingBytes -= entry.message.body.length;
			entry.confirmed.resolve();
		} else this.#waiting.push(entry);
		this.#pump();
	}
}
