/**
 * Natural batching: an item leaves at once when nothing is under way; what arrives meanwhile leaves together as soon
 * as there is room. No timers: idle costs no latency, load makes its own batches.
 */
export interface Batcher<Item, Outcome> {
	/** Resolves with what `work` said about the batch that this item was in. */
	add(item: Item): Promise<Outcome>;
	/** Resolves when nothing is waiting or under way. */
	idle(): Promise<void>;
}

export interface BatchLimits<Item> {
	/** A batch closes when the weights in it reach this; one heavier item makes a batch of its own. */
	readonly limit: number;
	readonly weigh: (item: Item) => number;
	/** Batches under way at the same time. With 1 their order is kept. */
	readonly concurrency: number;
}

interface Waiting<Item, Outcome> {
	readonly item: Item;
	readonly weight: number;
	readonly resolve: (outcome: Outcome) => void;
	readonly reject: (cause: unknown) => void;
}

export function naturalBatches<Item, Outcome>(
	limits: BatchLimits<Item>,
	work: (items: readonly Item[]) => Promise<Outcome>,
): Batcher<Item, Outcome> {
	let waiting: Waiting<Item, Outcome>[] = [];
	let head = 0;
	let running = 0;
	let scheduled = false;
	let idlers: (() => void)[] = [];

	function take(): Waiting<Item, Outcome>[] {
		let weight = 0;
		let end = head;
		while (end < waiting.length) {
			weight += (waiting[end] as Waiting<Item, Outcome>).weight;
			if (end > head && weight > limits.limit) break;
			end++;
		}
		const batch = waiting.slice(head, end);
		head = end;
		if (head === waiting.length) {
			waiting = [];
			head = 0;
		}
		return batch;
	}

	function flush(): void {
		scheduled = false;
		while (running < limits.concurrency && head < waiting.length) {
			running++;
			void run(take());
		}
	}

	async function run(batch: Waiting<Item, Outcome>[]): Promise<void> {
		try {
			const outcome = await work(batch.map((entry) => entry.item));
			for (const entry of batch) entry.resolve(outcome);
		} catch (cause) {
			for (const entry of batch) entry.reject(cause);
		} finally {
			running--;
			if (head < waiting.length) schedule();
			else if (running === 0) {
				for (const done of idlers) done();
				idlers = [];
			}
		}
	}

	/** After this turn of the event loop, so that one read from a socket becomes one batch. */
	function schedule(): void {
		if (scheduled) return;
		scheduled = true;
		setImmediate(flush);
	}

	return {
		add(item) {
			return new Promise<Outcome>((resolve, reject) => {
				waiting.push({ item, weight: limits.weigh(item), resolve, reject });
				if (running < limits.concurrency) schedule();
			});
		},
		idle() {
			if (running === 0 && waiting.length === 0) return Promise.resolve();
			return new Promise<void>((done) => idlers.push(done));
		},
	};
}
