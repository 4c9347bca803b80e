import type { ChannelModel, ConfirmChannel, Options } from "amqplib";
import type { Publisher, PublishProperties, Tenant } from "./connection.ts";
import type { Log } from "./logging.ts";

/** No queue takes messages of this exchange and key: repeating it would not help. */
export class UnroutableError extends Error {
	override readonly name = "UnroutableError";
}

interface Outgoing {
	readonly exchange: string;
	readonly routingKey: string;
	readonly body: Buffer;
	readonly options: Options.Publish;
	resolve(): void;
	reject(error: unknown): void;
	settled: boolean;
	returned: boolean;
}

interface PublisherOptions {
	log: Log;
	name: string;
	broken: (reason: string) => void;
}

/** Publishes with confirms on the connection of the moment; what is unconfirmed when it goes waits for the next. */
export class ChannelPublisher implements Publisher, Tenant {
	readonly #options: PublisherOptions;
	/** Accepted and not confirmed, in order. */
	readonly #outgoing = new Map<string, Outgoing>();
	#channel: ConfirmChannel | undefined;
	#next = 1;
	#ended: Error | undefined;

	constructor(options: PublisherOptions) {
		this.#options = options;
	}

	publish(exchange: string, routingKey: string, body: Uint8Array, properties: PublishProperties = {}): Promise<void> {
		const { signal } = properties;
		if (this.#ended) return Promise.reject(this.#ended);
		if (signal?.aborted) return Promise.reject(signal.reason);
		return new Promise((resolve, reject) => {
			const id = String(this.#next++);
			const abort = (): void => {
				settle();
				reject(signal?.reason);
			};
			const settle = (): void => {
				outgoing.settled = true;
				this.#outgoing.delete(id);
				signal?.removeEventListener("abort", abort);
			};
			const outgoing: Outgoing = {
				exchange,
				routingKey,
				body: Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
				options: publishOptions(properties, id),
				resolve: () => {
					settle();
					resolve();
				},
				reject: (error) => {
					settle();
					reject(error);
				},
				settled: false,
				returned: false,
			};
			signal?.addEventListener("abort", abort, { once: true });
			this.#outgoing.set(id, outgoing);
			if (this.#channel) this.#send(this.#channel, outgoing);
		});
	}

	async attach(model: ChannelModel): Promise<void> {
		const channel = await model.createConfirmChannel();
		channel.on("error", (error) => this.#options.broken(error.message));
		channel.on("close", () => {
			if (this.#channel === channel) this.#options.broken("the publishing channel was closed");
		});
		// The return of an unroutable message comes before its confirm.
		channel.on("return", (message) => {
			const outgoing = this.#outgoing.get(String(message.properties.messageId));
			if (outgoing) outgoing.returned = true;
		});
		this.#channel = channel;
		if (this.#outgoing.size > 0)
			this.#options.log.info(
				{ connection: this.#options.name, messages: this.#outgoing.size },
				"publishing again what was not confirmed",
			);
		for (const outgoing of [...this.#outgoing.values()]) this.#send(channel, outgoing);
	}

	detach(): void {
		this.#channel = undefined;
	}

	async end(reason: Error): Promise<void> {
		this.#ended = reason;
		this.#channel = undefined;
		for (const outgoing of [...this.#outgoing.values()]) outgoing.reject(reason);
	}

	#send(channel: ConfirmChannel, outgoing: Outgoing): void {
		const { exchange, routingKey, body, options } = outgoing;
		outgoing.returned = false;
		const confirmed = (error: unknown): void => {
			// A confirm of a channel that is gone says nothing: the next channel publishes again.
			if (outgoing.settled || this.#channel !== channel) return;
			if (error) {
				// The broker could not take it, and its other messages fare no better: again on a new connection.
				this.#options.broken("the broker refused a message");
			} else if (outgoing.returned) {
				outgoing.reject(
					new UnroutableError(
						`unroutable: no queue takes messages of exchange '${exchange}' with routing key '${routingKey}'`,
					),
				);
			} else outgoing.resolve();
		};
		try {
			channel.publish(exchange, routingKey, body, options, confirmed);
		} catch (error) {
			// A closed channel: its close event brings the next one. Anything else is the caller's message.
			if (!(error instanceof Error && error.name === "IllegalOperationError")) outgoing.reject(error);
		}
	}
}

function publishOptions(properties: PublishProperties, id: string): Options.Publish {
	const { persistent = true, mandatory = true, expirationMs, signal: _, ...rest } = properties;
	// The message id is how a returned message is known again; nobody else reads it.
	const options: Options.Publish = { ...rest, persistent, mandatory, messageId: id };
	if (expirationMs !== undefined) options.expiration = expirationMs;
	return options;
}
