import type { Channel, ChannelModel, ConsumeMessage } from "amqplib";
import { AckBatch } from "./ack-batch.ts";
import type { ConsumeOptions, Tenant } from "./connection.ts";
import type { Log } from "./logging.ts";

interface ConsumerOptions extends ConsumeOptions {
	queue: string;
	log: Log;
	name: string;
	broken: (reason: string) => void;
}

/** Consumes one queue on the connection of the moment, on a channel of its own. */
export class ChannelConsumer implements Tenant {
	readonly #options: ConsumerOptions;
	#live: { channel: Channel; acks: AckBatch } | undefined;
	#closed = false;

	constructor(options: ConsumerOptions) {
		this.#options = options;
	}

	async attach(model: ChannelModel): Promise<void> {
		const { queue, prefetch, exclusive = false, log, name, broken } = this.#options;
		const channel = await model.createChannel();
		const live = { channel, acks: new AckBatch(channel) };
		channel.on("error", (error) => broken(`consumer of ${queue}: ${error.message}`));
		channel.on("close", () => {
			if (this.#live === live) broken(`the channel that consumes ${queue} was closed`);
		});
		await channel.prefetch(prefetch);
		this.#live = live;
		await channel.consume(
			queue,
			(message) => {
				if (this.#live !== live) return;
				// The broker has cancelled us: the queue is gone, and may come back.
				if (message === null) broken(`queue ${queue} was deleted`);
				else this.#deliver(live, message);
			},
			{ exclusive },
		);
		log.debug({ connection: name, queue, prefetch }, "consuming");
	}

	detach(): void {
		this.#live = undefined;
	}

	async end(): Promise<void> {
		const live = this.#live;
		this.#closed = true;
		this.#live = undefined;
		live?.acks.flush();
		if (!live) return;
		// amqplib leaves the close of a channel unanswered when the connection ends meanwhile; the event always comes.
		const gone = new Promise<void>((resolve) => live.channel.once("close", () => resolve()));
		await Promise.race([gone, live.channel.close().catch(() => undefined)]);
	}

	#deliver(live: { channel: Channel; acks: AckBatch }, message: ConsumeMessage): void {
		const { acks } = live;
		const { deliveryTag, redelivered, exchange, routingKey } = message.fields;
		const active = (): boolean => this.#live === live && !this.#closed;
		acks.delivered(deliveryTag);
		this.#options.onMessage({
			body: message.content,
			properties: message.properties,
			exchange,
			routingKey,
			redelivered,
			ack: () => {
				if (active()) acks.ack(deliveryTag);
			},
			reject: (requeue) => {
				if (active()) acks.reject(deliveryTag, requeue);
			},
		});
	}
}
