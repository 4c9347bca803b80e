/** What a channel has delivered and not heard of again, in the order of delivery tags. */
import type { Entry } from "./message.ts";
import type { MessageQueue } from "./message-queue.ts";
import { Refusal } from "./refusal.ts";

/** Counts what it was given and has not settled. */
interface Taker {
	unacked: number;
}

interface Delivery {
	readonly entry: Entry;
	readonly taker: Taker | undefined;
}

export class Unacked {
	readonly #deliveries = new Map<number, Delivery>();
	#nextTag = 1;

	get size(): number {
		return this.#deliveries.size;
	}

	get tags(): number[] {
		return [...this.#deliveries.keys()];
	}

	/** The tag of the next delivery, also of one that needs no answer. */
	nextTag(): number {
		return this.#nextTag++;
	}

	/** Keeps a delivery under its tag; `taker` is the consumer that it counts for. */
	add(tag: number, entry: Entry, taker?: Taker): void {
		if (taker) taker.unacked++;
		this.#deliveries.set(tag, { entry, taker });
	}

	/** The tags that an answer speaks of. Throws a Refusal when it speaks of none. */
	named(tag: number, multiple: boolean): number[] {
		if (multiple && tag < this.#nextTag) {
			const tags: number[] = [];
			for (const known of this.#deliveries.keys()) {
				if (tag !== 0 && known > tag) break;
				tags.push(known);
			}
			if (tags.length > 0 || tag === 0) return tags;
		} else if (!multiple && this.#deliveries.has(tag)) return [tag];
		throw new Refusal("PRECONDITION_FAILED", `unknown delivery tag ${tag}`);
	}

	/** They are done with: their queues forget them. */
	settle(tags: readonly number[]): void {
		for (const tag of tags) {
			const entry = this.#forget(tag);
			entry?.queue.settle(entry);
		}
	}

	/** Back to their queues. */
	requeue(tags: readonly number[]): void {
		const byQueue = new Map<MessageQueue, Entry[]>();
		for (const tag of tags) {
			const entry = this.#forget(tag);
			if (!entry) continue;
			const entries = byQueue.get(entry.queue);
			if (entries) entries.push(entry);
			else byQueue.set(entry.queue, [entry]);
		}
		// Newest first: queues take returned messages back from the end.
		for (const [queue, entries] of byQueue) queue.requeue(entries.reverse());
	}

	#forget(tag: number): Entry | undefined {
		const delivery = this.#deliveries.get(tag);
		if (!delivery) return undefined;
		this.#deliveries.delete(tag);
		if (delivery.taker) delivery.taker.unacked--;
		return delivery.entry;
	}
}
