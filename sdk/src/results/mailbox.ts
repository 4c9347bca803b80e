/** Things told to one reader who takes them when it has time. Bounded: when it overflows, what waited is dropped and said so. */
export class Mailbox<Item> {
	readonly #limit: number;
	readonly #overflowed: Item;
	#items: Item[] = [];
	#wake: (() => void) | undefined;

	/** `overflowed` takes the place of everything that was dropped. */
	constructor(limit: number, overflowed: Item) {
		this.#limit = limit;
		this.#overflowed = overflowed;
	}

	put(item: Item): void {
		if (this.#items.length >= this.#limit) this.#items = [this.#overflowed];
		this.#items.push(item);
		this.#wake?.();
		this.#wake = undefined;
	}

	/** Everything that waits, in order; when nothing does, whatever comes next. For one reader. */
	async take(): Promise<Item[]> {
		if (this.#items.length === 0) {
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
		const items = this.#items;
		this.#items = [];
		return items;
	}
}
