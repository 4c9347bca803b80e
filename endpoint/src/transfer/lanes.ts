/** So many things at a time; who wants to begin another waits. */
export class Lanes {
	#free: number;
	readonly #waiting: (() => void)[] = [];
	readonly #running = new Set<Promise<void>>();

	constructor(count: number) {
		this.#free = count;
	}

	/** Resolves when it has begun. The work tells of its failures itself: what it throws is lost. */
	async begin(work: () => Promise<void>): Promise<void> {
		if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
		else this.#free--;
		const running = work()
			.catch(() => undefined)
			.finally(() => {
				this.#running.delete(running);
				const next = this.#waiting.shift();
				if (next === undefined) this.#free++;
				else next();
			});
		this.#running.add(running);
	}

	/** Resolves when nothing runs. */
	async idle(): Promise<void> {
		while (this.#running.size > 0) await Promise.all(this.#running);
	}
}
