import { Deque } from "./deque.ts";
import type { Entry, Message } from "./message.ts";

/** Who takes from a queue. */
export interface Consumer {
	readonly tag: string;
	/** Room in its prefetch window and in its socket. */
	canTake(): boolean;
	take(entry: Entry): void;
	/** The queue is gone. */
	cancelled(): void;
}

export interface QueueDeclaration {
	readonly name: string;
	readonly durable: boolean;
	readonly autoDelete: boolean;
	/** The connection that alone may use it. */
	readonly exclusiveTo: object | undefined;
	/** Unused for so long, the queue is deleted. */
	readonly expiresMs: number | undefined;
	readonly arguments: Readonly<Record<string, unknown>>;
}

export interface QueueEvents {
	/** A message of this queue needs no delivery any more. */
	onSettled(queue: MessageQueue, message: Message): void;
	/** Auto-delete or expiry: nobody uses it. */
	onAbandoned(queue: MessageQueue): void;
}

const timerLimitMs = 2 ** 31 - 1;

/** Messages in the order of their publication, given to consumers in turn. Every step costs the same at any depth. */
export class MessageQueue {
	readonly id: number;
	readonly declaration: QueueDeclaration;
	readonly #events: QueueEvents;
	readonly #ready = new Deque<Entry>();
	/** Came back from consumers: older than everything in `#ready`. Last is oldest, once sorted. */
	readonly #returned: Entry[] = [];
	#returnedSorted = true;
	#consumers: Consumer[] = [];
	#turn = 0;
	#exclusiveConsumer: Consumer | undefined;
	#deleted = false;
	#lastUsedMs = Date.now();
	#expiry: NodeJS.Timeout | undefined;

	constructor(id: number, declaration: QueueDeclaration, events: QueueEvents) {
		this.id = id;
		this.declaration = declaration;
		this.#events = events;
		this.#armExpiry();
	}

	get name(): string {
		return this.declaration.name;
	}

	/** Ready to be delivered. */
	get depth(): number {
		return this.#ready.length + this.#returned.length;
	}

	get consumerCount(): number {
		return this.#consumers.length;
	}

	get hasExclusiveConsumer(): boolean {
		return this.#exclusiveConsumer !== undefined;
	}

	get deleted(): boolean {
		return this.#deleted;
	}

	push(message: Message): void {
		this.#ready.push({ message, queue: this, redelivered: false });
		this.pump();
	}

	/** What was kept over a restart; whether it had been delivered is not known, so it is said. */
	restore(message: Message): void {
		this.#ready.push({ message, queue: this, redelivered: true });
	}

	/** Back to their old places. */
	requeue(entries: Iterable<Entry>): void {
		for (const entry of entries) {
			if (this.#deleted) {
				entry.message.leave(this);
				continue;
			}
			entry.redelivered = true;
			const last = this.#returned.at(-1);
			if (last && last.message.id < entry.message.id) this.#returnedSorted = false;
			this.#returned.push(entry);
		}
		this.pump();
	}

	settle(entry: Entry): void {
		if (this.#deleted) entry.message.leave(this);
		else this.#events.onSettled(this, entry.message);
	}

	/** The next message, not yet settled. */
	take(): Entry | undefined {
		this.touch();
		return this.#pop();
	}

	/** Removes what is ready; returns how many that were. */
	purge(): number {
		let count = 0;
		for (let entry = this.#pop(); entry; entry = this.#pop()) {
			this.settle(entry);
			count++;
		}
		return count;
	}

	addConsumer(consumer: Consumer, exclusive: boolean): void {
		this.#consumers.push(consumer);
		if (exclusive) this.#exclusiveConsumer = consumer;
		this.touch();
	}

	removeConsumer(consumer: Consumer): void {
		const at = this.#consumers.indexOf(consumer);
		if (at < 0) return;
		this.#consumers.splice(at, 1);
		if (this.#exclusiveConsumer === consumer) this.#exclusiveConsumer = undefined;
		this.touch();
		if (this.#consumers.length === 0 && this.declaration.autoDelete && !this.#deleted) this.#events.onAbandoned(this);
	}

	/** Gives out what can be given. Call when a message or room has come. */
	pump(): void {
		while (this.depth > 0) {
			const consumer = this.#nextConsumer();
			if (!consumer) return;
			const entry = this.#pop();
			if (!entry) return;
			consumer.take(entry);
		}
	}

	/** Somebody uses it. */
	touch(): void {
		this.#lastUsedMs = Date.now();
	}

	/** Ends its consumers and lets go of its messages. */
	dispose(): void {
		if (this.#deleted) return;
		this.#deleted = true;
		clearTimeout(this.#expiry);
		const consumers = this.#consumers;
		this.#consumers = [];
		for (const consumer of consumers) consumer.cancelled();
		for (let entry = this.#pop(true); entry; entry = this.#pop(true)) entry.message.leave(this);
	}

	/** Stops its timer; the messages stay where they are. */
	stop(): void {
		clearTimeout(this.#expiry);
	}

	#nextConsumer(): Consumer | undefined {
		const count = this.#consumers.length;
		for (let tried = 0; tried < count; tried++) {
			if (this.#turn >= count) this.#turn = 0;
			const consumer = this.#consumers[this.#turn++] as Consumer;
			if (consumer.canTake()) return consumer;
		}
		return undefined;
	}

	#pop(evenExpired = false): Entry | undefined {
		for (;;) {
			const entry = this.#popAny();
			if (!entry || evenExpired || entry.message.expiresAtMs === 0 || entry.message.expiresAtMs > Date.now())
				return entry;
			this.settle(entry);
		}
	}

	#popAny(): Entry | undefined {
		if (this.#returned.length === 0) return this.#ready.shift();
		if (!this.#returnedSorted) {
			this.#returned.sort((a, b) => b.message.id - a.message.id);
			this.#returnedSorted = true;
		}
		return this.#returned.pop();
	}

	#armExpiry(): void {
		const { expiresMs } = this.declaration;
		if (expiresMs === undefined) return;
		const leftMs = this.#lastUsedMs + expiresMs - Date.now();
		this.#expiry = setTimeout(
			() => {
				if (this.#consumers.length > 0) this.touch();
				if (this.#lastUsedMs + expiresMs > Date.now()) this.#armExpiry();
				else this.#events.onAbandoned(this);
			},
			Math.min(Math.max(leftMs, 1), timerLimitMs),
		).unref();
	}
}
