/**
 * A connection to the broker that comes back: publishing with confirms, consuming with acknowledgements, over amqplib.
 * What was published and not confirmed when a connection broke is published again (at least once); consumers start again.
 */
import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { type ChannelModel, connect, type MessageProperties } from "amqplib";
import { ChannelConsumer } from "./consumer.ts";
import { readTolerantly } from "./incoming-frames.ts";
import type { Log } from "./logging.ts";
import { ChannelPublisher } from "./publisher.ts";

/** What of a message's properties a publisher may say. `persistent` is true unless said otherwise. */
export interface PublishProperties {
	readonly contentType?: string;
	readonly contentEncoding?: string;
	readonly headers?: Readonly<Record<string, unknown>>;
	readonly persistent?: boolean;
	/** Milliseconds after which nobody wants it. */
	readonly expirationMs?: number;
	/** Unix seconds. */
	readonly timestamp?: number;
	/** Rejects when no queue takes the message. Default true. */
	readonly mandatory?: boolean;
	/** Ends the wait: the promise rejects with its reason, and the message may or may not have been published. */
	readonly signal?: AbortSignal;
}

export interface Publisher {
	/**
	 * Resolves when the broker has confirmed the message. Rejects with an UnroutableError when no queue takes it, with the
	 * signal's reason, or when the connection is closed for good; otherwise it is repeated over any number of connections.
	 */
	publish(exchange: string, routingKey: string, body: Uint8Array, properties?: PublishProperties): Promise<void>;
}

export interface Delivery {
	readonly body: Buffer;
	readonly properties: MessageProperties;
	readonly exchange: string;
	readonly routingKey: string;
	readonly redelivered: boolean;
	/** It is taken care of, durably. Acknowledgements of one turn travel together; after a reconnection it does nothing: the message comes again. */
	ack(): void;
	/** It is not: back to the queue, or dropped. */
	reject(requeue: boolean): void;
}

export interface ConsumeOptions {
	/** Unacknowledged deliveries at a time; bounds the memory of who consumes. */
	readonly prefetch: number;
	readonly onMessage: (delivery: Delivery) => void;
	/** Nobody else may consume this queue. */
	readonly exclusive?: boolean;
}

interface Consumption {
	/** No deliveries after it has resolved; what is unacknowledged goes back to the queue. */
	close(): Promise<void>;
}

export interface ConnectionOptions {
	/** Asked before each attempt when it is a function: passwords change. */
	readonly url: string | (() => string | Promise<string>);
	readonly log: Log;
	/** What the broker's operator sees. */
	readonly name: string;
	readonly onState?: (state: "connected" | "lost", reason?: string) => void;
	/** Seconds; silence of twice this ends the connection. Default 20. */
	readonly heartbeatS?: number;
}

export interface Connection {
	publisher(): Publisher;
	consume(queue: string, options: ConsumeOptions): Promise<Consumption>;
	/** Resolves when the connection is up; rejects when it is closed for good first. */
	connected(): Promise<void>;
	/** What is not confirmed by then is rejected. */
	close(): Promise<void>;
}

const firstDelayMs = 100;
/** Long enough not to crowd a broker that starts, short enough that nobody waits for us afterwards. */
const longestDelayMs = 10_000;
const connectTimeoutMs = 10_000;

/** Full jitter above half: clients of one broker do not come back together. */
export function backOffMs(attempt: number, random: () => number = Math.random): number {
	const ceilingMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(attempt, 20));
	return ceilingMs / 2 + (random() * ceilingMs) / 2;
}

/** Something that lives on each connection in turn. */
export interface Tenant {
	/** Called with each new connection; rejects when it cannot work there. */
	attach(model: ChannelModel): Promise<void>;
	detach(): void;
	/** Nothing more will come. Resolves when what it had to say is with the broker. */
	end(reason: Error): Promise<void>;
}

/** Returns at once; the first connection is made in the background. */
export function openConnection(options: ConnectionOptions): Connection {
	return new ReturningConnection(options);
}

type State = { name: "waiting" } | { name: "connected"; model: ChannelModel } | { name: "closed"; reason: Error };

class ReturningConnection implements Connection {
	readonly #options: ConnectionOptions;
	readonly #tenants = new Set<Tenant>();
	readonly #ending = new AbortController();
	readonly #changes = new EventEmitter().setMaxListeners(0);
	#state: State = { name: "waiting" };
	#publisher: ChannelPublisher | undefined;
	#tenantsEnded: Promise<unknown> = Promise.resolve();
	readonly #running: Promise<void>;

	constructor(options: ConnectionOptions) {
		this.#options = options;
		this.#running = this.#run();
	}

	publisher(): Publisher {
		if (!this.#publisher) {
			const { log, name } = this.#options;
			this.#publisher = new ChannelPublisher({ log, name, broken: (reason) => this.#break(reason) });
			this.#add(this.#publisher);
		}
		return this.#publisher;
	}

	async consume(queue: string, options: ConsumeOptions): Promise<Consumption> {
		const { log, name } = this.#options;
		const consumer = new ChannelConsumer({ queue, log, name, broken: (reason) => this.#break(reason), ...options });
		this.#add(consumer);
		return {
			close: async () => {
				this.#tenants.delete(consumer);
				await consumer.end();
			},
		};
	}

	async connected(): Promise<void> {
		while (this.#state.name !== "connected") {
			if (this.#state.name === "closed") throw this.#state.reason;
			await once(this.#changes, "change");
		}
	}

	async close(): Promise<void> {
		if (this.#state.name !== "closed") {
			const model = this.#state.name === "connected" ? this.#state.model : undefined;
			const reason = new Error(`the connection '${this.#options.name}' to the broker is closed`);
			this.#move({ name: "closed", reason });
			// Channels first: amqplib would let the close of the connection overtake what waits in a channel.
			this.#tenantsEnded = Promise.all([...this.#tenants].map((tenant) => tenant.end(reason)));
			await this.#tenantsEnded;
			this.#tenants.clear();
			await model?.close().catch(() => undefined);
			this.#ending.abort(reason);
		}
		await this.#running;
	}

	#move(next: State): void {
		this.#state = next;
		this.#changes.emit("change");
	}

	#add(tenant: Tenant): void {
		if (this.#state.name === "closed") {
			tenant.end(this.#state.reason).catch(() => undefined);
			return;
		}
		this.#tenants.add(tenant);
		if (this.#state.name === "connected")
			tenant.attach(this.#state.model).catch((error: Error) => this.#break(error.message));
	}

	/** A channel has ended: the connection is made anew, so that there is one way back and not two. */
	#break(reason: string): void {
		if (this.#state.name !== "connected") return;
		this.#options.log.warn({ connection: this.#options.name, reason }, "broker channel lost; connecting again");
		this.#state.model.close().catch(() => undefined);
	}

	async #run(): Promise<void> {
		const { log, name, onState } = this.#options;
		const { signal } = this.#ending;
		for (let attempt = 0; !signal.aborted && this.#state.name !== "closed"; attempt++) {
			let model: ChannelModel | undefined;
			let reason = "";
			try {
				model = await this.#connect();
				const lost = this.#lost(model);
				if (this.#isClosed()) {
					await model.close().catch(() => undefined);
					return;
				}
				for (const tenant of this.#tenants) await tenant.attach(model);
				if (this.#isClosed()) {
					await this.#tenantsEnded;
					await model.close().catch(() => undefined);
					return;
				}
				this.#move({ name: "connected", model });
				log.info({ connection: name, attempt }, "connected to the broker");
				onState?.("connected");
				const connectedAtMs = performance.now();
				reason = await lost;
				// A connection that held for a while was a good one; one that breaks at once is not tried at full speed.
				if (performance.now() - connectedAtMs > longestDelayMs) attempt = -1;
			} catch (error) {
				reason = error instanceof Error ? error.message : String(error);
				await model?.close().catch(() => undefined);
			}
			for (const tenant of this.#tenants) tenant.detach();
			if (this.#isClosed()) return;
			if (this.#state.name === "connected") onState?.("lost", reason);
			this.#move({ name: "waiting" });
			const delayMs = Math.round(backOffMs(Math.max(attempt, 0)));
			log.warn({ connection: name, reason, attempt, delayMs }, "waiting for the broker");
			await delay(delayMs, undefined, { signal }).catch(() => undefined);
		}
	}

	#isClosed(): boolean {
		return this.#state.name === "closed";
	}

	async #connect(): Promise<ChannelModel> {
		const { url, name, log, heartbeatS = 20 } = this.#options;
		const target = new URL(typeof url === "string" ? url : await url());
		target.searchParams.set("heartbeat", String(heartbeatS));
		const model = await connect(target.href, {
			noDelay: true,
			timeout: connectTimeoutMs,
			clientProperties: { connection_name: name },
		});
		readTolerantly(model, log);
		return model;
	}

	/** Resolves with the reason when the connection has ended. */
	#lost(model: ChannelModel): Promise<string> {
		return new Promise((resolve) => {
			let reason = "the connection was closed";
			model.on("error", (error) => {
				reason = error.message;
			});
			model.on("close", () => resolve(reason));
		});
	}
}
