/** Work by name: each name at most once at a time, once more when it was asked for meanwhile, and so many at a time. */
export class WorkQueue {
	readonly #work: (name: string) => Promise<void>;
	readonly #limit: number;
	readonly #waiting = new Set<string>();
	readonly #running = new Map<string, Promise<void>>();
	#closed = false;

	/** `work` never rejects. */
	constructor(limit: number, work: (name: string) => Promise<void>) {
		this.#limit = limit;
		this.#work = work;
	}

	add(name: string): void {
		if (this.#closed) return;
		this.#waiting.add(name);
		this.#begin();
	}

	/** What waits is given up, and what runs is waited for. */
	async close(): Promise<void> {
		this.#closed = true;
		this.#waiting.clear();
		await Promise.all(this.#running.values());
	}

	#begin(): void {
		for (const name of this.#waiting) {
			if (this.#running.size >= this.#limit) return;
			if (this.#running.has(name)) continue;
			this.#waiting.delete(name);
			const run = this.#work(name).finally(() => {
				this.#running.delete(name);
				this.#begin();
			});
			this.#running.set(name, run);
		}
	}
}
