/** What outlives a restart besides messages: durable exchanges, queues and bindings, as changes on record. */
import type { ExchangeDeclaration } from "./exchange.ts";
import type { QueueDeclaration } from "./message-queue.ts";

/** A durable queue on record; never exclusive. */
export type StoredQueue = Pick<QueueDeclaration, "name" | "autoDelete" | "expiresMs" | "arguments"> & { id: number };
export interface StoredBinding {
	exchange: string;
	queueId: number;
	key: string;
}
export type StoredExchange = Omit<ExchangeDeclaration, "durable">;

/** Each change may be applied again: a segment starts with a snapshot that can know what follows it. */
export type TopologyChange =
	| {
			change: "snapshot";
			exchanges: StoredExchange[];
			queues: StoredQueue[];
			bindings: StoredBinding[];
			nextQueueId: number;
			nextMessageId: number;
	  }
	| { change: "exchange"; exchange: StoredExchange }
	| { change: "exchange-gone"; name: string }
	| { change: "queue"; queue: StoredQueue }
	| { change: "queue-gone"; id: number }
	| { change: "bind"; binding: StoredBinding }
	| { change: "unbind"; binding: StoredBinding };

const bindingName = (binding: StoredBinding): string =>
	JSON.stringify([binding.exchange, binding.queueId, binding.key]);

/** The state that a row of changes leads to. */
export class TopologyRecord {
	readonly exchanges = new Map<string, StoredExchange>();
	readonly queues = new Map<number, StoredQueue>();
	readonly bindings = new Map<string, StoredBinding>();
	nextQueueId = 1;
	nextMessageId = 1;

	apply(change: TopologyChange): void {
		switch (change.change) {
			case "snapshot":
				this.exchanges.clear();
				this.queues.clear();
				this.bindings.clear();
				for (const exchange of change.exchanges) this.exchanges.set(exchange.name, exchange);
				for (const queue of change.queues) this.queues.set(queue.id, queue);
				for (const binding of change.bindings) this.bindings.set(bindingName(binding), binding);
				this.nextQueueId = Math.max(this.nextQueueId, change.nextQueueId);
				this.nextMessageId = Math.max(this.nextMessageId, change.nextMessageId);
				return;
			case "exchange":
				this.exchanges.set(change.exchange.name, change.exchange);
				return;
			case "exchange-gone":
				this.exchanges.delete(change.name);
				for (const [name, binding] of this.bindings) if (binding.exchange === change.name) this.bindings.delete(name);
				return;
			case "queue":
				this.queues.set(change.queue.id, change.queue);
				this.nextQueueId = Math.max(this.nextQueueId, change.queue.id + 1);
				return;
			case "queue-gone":
				this.queues.delete(change.id);
				for (const [name, binding] of this.bindings) if (binding.queueId === change.id) this.bindings.delete(name);
				return;
			case "bind":
				this.bindings.set(bindingName(change.binding), change.binding);
				return;
			case "unbind":
				this.bindings.delete(bindingName(change.binding));
				return;
		}
	}
}
