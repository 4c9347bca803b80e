/** A queue in an array ring: every operation costs the same at any depth. */
export class Deque<Item> {
	#ring: (Item | undefined)[] = new Array(16);
	#head = 0;
	#length = 0;

	get length(): number {
		return this.#length;
	}

	push(item: Item): void {
		if (this.#length === this.#ring.length) this.#grow();
		this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item;
		this.#length++;
	}

	peek(): Item | undefined {
		return this.#length === 0 ? undefined : this.#ring[this.#head];
	}

	shift(): Item | undefined {
		if (this.#length === 0) return undefined;
		const item = this.#ring[this.#head];
		this.#ring[this.#head] = undefined;
		this.#head = (this.#head + 1) & (this.#ring.length - 1);
		this.#length--;
		if (this.#length === 0 && this.#ring.length > 1024) {
			this.#ring = new Array(16);
			this.#head = 0;
		}
		return item;
	}

	#grow(): void {
		const grown: (Item | undefined)[] = new Array(this.#ring.length * 2);
		for (let i = 0; i < this.#length; i++) grown[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
		this.#ring = grown;
		this.#head = 0;
	}
}
