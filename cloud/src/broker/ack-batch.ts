import type { Channel, Message } from "amqplib";

type AckChannel = Pick<Channel, "ack" | "nack">;

/** amqplib reads nothing of a message but its tag when it acknowledges. */
const tagged = (deliveryTag: number): Message => ({ fields: { deliveryTag } }) as Message;

/**
 * Acknowledgements of one channel. Those of one turn of the event loop leave together, and as few frames as possible:
 * where everything up to a delivery is settled, one frame says so.
 */
export class AckBatch {
	readonly #channel: AckChannel;
	/** Delivered and not said to be settled, in the order of their tags. */
	readonly #open = new Set<number>();
	#acked: number[] = [];
	#scheduled = false;

	constructor(channel: AckChannel) {
		this.#channel = channel;
	}

	delivered(tag: number): void {
		this.#open.add(tag);
	}

	ack(tag: number): void {
		if (!this.#open.delete(tag)) return;
		this.#acked.push(tag);
		if (this.#scheduled) return;
		this.#scheduled = true;
		setImmediate(() => this.flush());
	}

	reject(tag: number, requeue: boolean): void {
		if (!this.#open.has(tag)) return;
		// First what was acknowledged: a later "all up to here" must not meet a tag that is gone.
		this.flush();
		this.#open.delete(tag);
		this.#channel.nack(tagged(tag), false, requeue);
	}

	flush(): void {
		this.#scheduled = false;
		if (this.#acked.length === 0) return;
		const acked = this.#acked.sort((a, b) => a - b);
		this.#acked = [];
		const [firstOpen = Number.POSITIVE_INFINITY] = this.#open;
		let upTo = 0;
		const single: number[] = [];
		for (const tag of acked)
			if (tag < firstOpen) upTo = tag;
			else single.push(tag);
		try {
			if (upTo > 0) this.#channel.ack(tagged(upTo), true);
			for (const tag of single) this.#channel.ack(tagged(tag), false);
		} catch (error) {
			// The channel is closed: everything unacknowledged comes again.
			if (!(error instanceof Error && error.name === "IllegalOperationError")) throw error;
		}
	}
}
