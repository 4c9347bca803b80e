import { type Fields, methods } from "./codec.ts";
import type { VirtualHost } from "./virtual-host.ts";

interface Mark {
	readonly flush: object;
	upTo: number;
}

/**
 * Publisher confirms of one channel: in order, and as few as possible. Everything that one flush of the disk has made
 * durable is confirmed by one frame; what needs no disk joins the next frame.
 */
export class ChannelConfirms {
	readonly #host: VirtualHost;
	readonly #send: (method: number, fields: Fields) => void;
	#published = 0;
	#confirmed = 0;
	/** The newest flush that is waited for: until it starts, later publishes join it. */
	#newest: Mark | undefined;
	#waiting = 0;
	#turnScheduled = false;
	#disposed = false;

	constructor(host: VirtualHost, send: (method: number, fields: Fields) => void) {
		this.#host = host;
		this.#send = send;
	}

	published(durable: boolean): void {
		const sequence = ++this.#published;
		if (this.#newest?.flush === this.#host.nextFlush) this.#newest.upTo = sequence;
		else if (durable || this.#waiting > 0) this.#await(sequence);
		else if (!this.#turnScheduled) {
			this.#turnScheduled = true;
			setImmediate(() => {
				this.#turnScheduled = false;
				if (this.#waiting === 0) this.#confirm(this.#published, true);
			});
		}
	}

	dispose(): void {
		this.#disposed = true;
	}

	#await(sequence: number): void {
		const mark: Mark = { flush: this.#host.nextFlush, upTo: sequence };
		this.#newest = mark;
		this.#waiting++;
		this.#host.onFlushed((written) => {
			this.#waiting--;
			this.#confirm(mark.upTo, written);
		});
	}

	#confirm(upTo: number, written: boolean): void {
		if (this.#disposed || upTo <= this.#confirmed) return;
		const multiple = upTo - this.#confirmed > 1;
		this.#confirmed = upTo;
		if (written) this.#send(methods.basicAck, { deliveryTag: upTo, multiple });
		else this.#send(methods.basicNack, { deliveryTag: upTo, multiple, requeue: false });
	}
}
