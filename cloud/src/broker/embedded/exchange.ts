import type { MessageQueue } from "./message-queue.ts";
import { topicMatches } from "./topic.ts";

export const exchangeTypes = ["direct", "topic", "fanout"] as const;
export type ExchangeType = (typeof exchangeTypes)[number];

/** Routing keys whose queues are remembered by a topic exchange. */
const rememberedKeys = 10_000;

export interface ExchangeDeclaration {
	readonly name: string;
	readonly type: ExchangeType;
	readonly durable: boolean;
	readonly autoDelete: boolean;
	readonly internal: boolean;
}

/** Which queues a routing key leads to. */
export class Exchange {
	readonly declaration: ExchangeDeclaration;
	readonly #bindings = new Map<string, Set<MessageQueue>>();
	/** Routes found before, for exchanges where finding them takes more than one look-up. */
	readonly #found = new Map<string, readonly MessageQueue[]>();

	constructor(declaration: ExchangeDeclaration) {
		this.declaration = declaration;
	}

	get bound(): boolean {
		return this.#bindings.size > 0;
	}

	/** False when it was bound already. */
	bind(key: string, queue: MessageQueue): boolean {
		let queues = this.#bindings.get(key);
		if (!queues) {
			queues = new Set();
			this.#bindings.set(key, queues);
		}
		if (queues.has(queue)) return false;
		queues.add(queue);
		this.#found.clear();
		return true;
	}

	/** False when it was not bound. */
	unbind(key: string, queue: MessageQueue): boolean {
		const queues = this.#bindings.get(key);
		if (!queues?.delete(queue)) return false;
		if (queues.size === 0) this.#bindings.delete(key);
		this.#found.clear();
		return true;
	}

	route(key: string): readonly MessageQueue[] {
		let queues = this.#found.get(key);
		if (!queues) {
			queues = this.#find(key);
			if (this.#found.size >= rememberedKeys) this.#found.clear();
			this.#found.set(key, queues);
		}
		return queues;
	}

	*bindings(): Iterable<{ key: string; queue: MessageQueue }> {
		for (const [key, queues] of this.#bindings) for (const queue of queues) yield { key, queue };
	}

	#find(key: string): readonly MessageQueue[] {
		if (this.declaration.type === "direct") return [...(this.#bindings.get(key) ?? [])];
		const found = new Set<MessageQueue>();
		const words = key.split(".");
		for (const [pattern, queues] of this.#bindings)
			if (this.declaration.type === "fanout" || topicMatches(pattern.split("."), words))
				for (const queue of queues) found.add(queue);
		return [...found];
	}
}
