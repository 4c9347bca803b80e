/**
 * The ids of the last so many things, the oldest forgotten first: bounded memory of what has ended.
 * An id that is forgotten is one that the broker can no longer deliver twice.
 */
export class RememberedIds<Id extends string> {
	readonly #ids = new Map<Id, number>();
	readonly #limit: number;
	readonly #maxAgeMs: number;

	constructor(limit: number, maxAgeMs: number) {
		this.#limit = limit;
		this.#maxAgeMs = maxAgeMs;
	}

	get size(): number {
		return this.#ids.size;
	}

	has(id: Id): boolean {
		return this.#ids.has(id);
	}

	add(id: Id, nowMs: number): void {
		if (this.#ids.has(id)) return;
		this.#ids.set(id, nowMs);
		for (const [oldest, atMs] of this.#ids) {
			if (this.#ids.size <= this.#limit && nowMs - atMs <= this.#maxAgeMs) break;
			this.#ids.delete(oldest);
		}
	}

	delete(id: Id): boolean {
		return this.#ids.delete(id);
	}

	/** Oldest first, with the time of each. */
	entries(): IterableIterator<[Id, number]> {
		return this.#ids.entries();
	}
}
