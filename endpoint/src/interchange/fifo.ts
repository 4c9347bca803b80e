/** First in, first out; what is put back comes first again. Every operation is O(1) (amortized). */
export class Fifo<T> {
	#back: (T | undefined)[] = [];
	#head = 0;
	/** A stack: what was put back last comes first. */
	#front: T[] = [];

	get length(): number {
		return this.#front.length + this.#back.length - this.#head;
	}

	push(item: T): void {
		this.#back.push(item);
	}

	/** Undoes a {@link shift}: the item is the next one again. */
	putBack(item: T): void {
		this.#front.push(item);
	}

	peek(): T | undefined {
		return this.#front.length > 0 ? this.#front[this.#front.length - 1] : this.#back[this.#head];
	}

	shift(): T | undefined {
		if (this.#front.length > 0) return this.#front.pop();
		const item = this.#back[this.#head];
		if (this.#head >= this.#back.length) return undefined;
		this.#back[this.#head++] = undefined;
		if (this.#head > 1024 && this.#head * 2 > this.#back.length) {
			this.#back = this.#back.slice(this.#head);
			this.#head = 0;
		}
		return item;
	}
}
