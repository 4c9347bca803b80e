/**
 * Natural batching: what is pushed leaves at once when nothing is in flight, else with the next flush. There is no
 * timer: everything pushed in one turn of the event loop leaves together, and what comes while a flush is under way
 * leaves right after it. Order is kept; each flush ends before the next starts.
 */
export interface BatchLimits {
	/** Items in a flush. */
	items: number;
	/** Their bytes together; a single larger item leaves alone. */
	bytes: number;
}

export interface Batched {
	readonly bytes: number;
}

export class Batcher<Item extends Batched> {
	readonly #limits: BatchLimits;
	readonly #flush: (items: Item[]) => Promise<void>;
	#waiting: Item[] = [];
	/** Where the waiting start: taking from the front of a long array is slow. */
	#first = 0;
	#running = false;
	#idle: PromiseWithResolvers<void> | undefined;

	/** `flush` settles each of its items itself and does not reject. */
	constructor(limits: BatchLimits, flush: (items: Item[]) => Promise<void>) {
		this.#limits = limits;
		this.#flush = flush;
	}

	push(item: Item): void {
		this.#waiting.push(item);
		if (this.#running) return;
		this.#running = true;
		this.#idle ??= Promise.withResolvers<void>();
		queueMicrotask(() => void this.#run());
	}

	/** Takes an item back that has not left yet; false when it has. */
	remove(item: Item): boolean {
		const at = this.#waiting.indexOf(item, this.#first);
		if (at < 0) return false;
		this.#waiting.splice(at, 1);
		return true;
	}

	/** Resolves when nothing waits and nothing is in flight. */
	idle(): Promise<void> {
		return this.#idle?.promise ?? Promise.resolve();
	}

	async #run(): Promise<void> {
		for (let items = this.#take(); items.length > 0; items = this.#take()) await this.#flush(items);
		this.#running = false;
		const idle = this.#idle;
		this.#idle = undefined;
		idle?.resolve();
	}

	#take(): Item[] {
		const from = this.#first;
		let bytes = 0;
		let to = from;
		for (; to < this.#waiting.length && to - from < this.#limits.items; to++) {
			bytes += this.#waiting[to]?.bytes ?? 0;
			if (bytes > this.#limits.bytes && to > from) break;
		}
		const items = this.#waiting.slice(from, to);
		this.#first = to;
		if (this.#first === this.#waiting.length) {
			this.#waiting = [];
			this.#first = 0;
		}
		return items;
	}
}
