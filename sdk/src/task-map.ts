/** One function over many arguments: submitted as far ahead as allowed, read in order or as completed. */
import type { TaskFuture } from "./future.ts";

export interface MapOptions {
	/** In the order of the arguments (the default), or as they complete. */
	ordered?: boolean;
	/** Tasks that have been submitted and not read: how far a slow reader is run ahead of. 10,000 unless told. */
	window?: number;
	/** Tasks that are under way at once. As the window unless told. */
	concurrency?: number;
}

/** What became of one task of a map. */
export type MapOutcome<T> = { index: number; future: TaskFuture<T> } & (
	| { status: "fulfilled"; value: T }
	| { status: "rejected"; error: unknown }
);

type Source = Iterator<readonly unknown[]> | AsyncIterator<readonly unknown[]>;

/**
 * The tasks of one `map`. Iterate it for the values; a task that fails throws at its place and ends the iteration
 * (`outcomes()` does not). It is read once. Arguments are taken, and tasks submitted, as far as the window allows:
 * what is left is taken while results are read.
 */
export class TaskMap<T> implements AsyncIterable<T> {
	readonly #submit: (args: readonly unknown[]) => TaskFuture<T>;
	readonly #source: Source;
	readonly #ordered: boolean;
	readonly #window: number;
	readonly #concurrency: number;
	readonly #futures: TaskFuture<T>[] = [];
	/** Indexes to read: of submitted tasks in order, or of ended ones as they end. */
	readonly #ready: number[] = [];
	#next = 0;
	#unread = 0;
	#unfinished = 0;
	#pumping = false;
	#exhausted = false;
	#failure: { error: unknown } | undefined;
	#wake: (() => void) | undefined;

	constructor(source: Source, submit: (args: readonly unknown[]) => TaskFuture<T>, options: MapOptions) {
		this.#source = source;
		this.#submit = submit;
		this.#ordered = options.ordered ?? true;
		this.#window = atLeastOne("window", options.window ?? 10_000);
		this.#concurrency = atLeastOne("concurrency", options.concurrency ?? this.#window);
		this.#pump();
	}

	/** The tasks submitted so far, in the order of their arguments. */
	get futures(): readonly TaskFuture<T>[] {
		return this.#futures;
	}

	/** Submits nothing more, and cancels what has not ended. */
	async cancel(): Promise<void> {
		await this.#stop();
		await Promise.all(this.#futures.map((future) => future.cancel()));
	}

	/** All values. Rejects with the error of the first task that failed, in reading order. */
	async toArray(): Promise<T[]> {
		const values: T[] = [];
		for await (const value of this) values.push(value);
		return values;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
		for await (const outcome of this.outcomes()) {
			if (outcome.status === "rejected") throw outcome.error;
			yield outcome.value;
		}
	}

	/** Every task with its value or its error; a failure does not end the iteration. */
	async *outcomes(): AsyncGenerator<MapOutcome<T>, void> {
		try {
			for (;;) {
				const index = await this.#take();
				if (index === undefined) return;
				const future = this.#futures[index] as TaskFuture<T>;
				const outcome = await future.then(
					(value) => ({ index, future, status: "fulfilled" as const, value }),
					(error: unknown) => ({ index, future, status: "rejected" as const, error }),
				);
				this.#unread--;
				this.#pump();
				yield outcome;
			}
		} finally {
			await this.#stop();
		}
	}

	/** The next index to read; undefined at the end. Rejects with what the source of arguments threw. */
	async #take(): Promise<number | undefined> {
		for (;;) {
			const index = this.#ready[this.#next];
			if (index !== undefined) {
				this.#next++;
				return index;
			}
			if (this.#unread === 0 && this.#failure !== undefined) throw this.#failure.error;
			if (this.#unread === 0 && this.#exhausted) return undefined;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}

	#tell(): void {
		this.#wake?.();
		this.#wake = undefined;
	}

	get #mayPull(): boolean {
		return !this.#exhausted && this.#unread < this.#window && this.#unfinished < this.#concurrency;
	}

	/** Takes and submits what is allowed; from a synchronous source at once. */
	#pump(): void {
		if (this.#pumping) return;
		this.#pumping = true;
		try {
			while (this.#mayPull) {
				const step = this.#source.next();
				if (step instanceof Promise) {
					void this.#pumpLater(step);
					return;
				}
				this.#use(step);
			}
		} catch (error) {
			this.#fail(error);
		}
		this.#pumping = false;
	}

	async #pumpLater(first: Promise<IteratorResult<readonly unknown[]>>): Promise<void> {
		try {
			this.#use(await first);
			while (this.#mayPull) this.#use(await this.#source.next());
		} catch (error) {
			this.#fail(error);
		}
		this.#pumping = false;
	}

	#use(step: IteratorResult<readonly unknown[]>): void {
		if (this.#exhausted) return;
		if (step.done === true) {
			this.#exhausted = true;
			this.#tell();
			return;
		}
		const index = this.#futures.length;
		const future = this.#submit(step.value);
		this.#futures.push(future);
		this.#unread++;
		this.#unfinished++;
		if (this.#ordered) this.#ready.push(index);
		const ended = (): void => {
			this.#unfinished--;
			if (!this.#ordered) this.#ready.push(index);
			this.#tell();
			this.#pump();
		};
		future.then(ended, ended);
		this.#tell();
	}

	#fail(error: unknown): void {
		this.#exhausted = true;
		this.#failure = { error };
		this.#tell();
	}

	async #stop(): Promise<void> {
		if (this.#exhausted) return;
		this.#exhausted = true;
		this.#tell();
		await this.#source.return?.();
	}
}

function atLeastOne(name: string, value: number): number {
	if (value >= 1) return value;
	throw new RangeError(`map: ${name} is ${value}, it must be at least 1`);
}

/** Whether a value can be gone through, now or by and by. Strings are values here. */
export function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
	return typeof value === "object" && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value);
}

/** Argument lists from one or several sources side by side; the shortest ends it. */
export function argumentsFrom(sources: readonly (Iterable<unknown> | AsyncIterable<unknown>)[]): Source {
	const synchronous = sources.every((source) => Symbol.iterator in source);
	return synchronous ? zip(sources as readonly Iterable<unknown>[]) : zipLater(sources);
}

function* zip(sources: readonly Iterable<unknown>[]): Generator<readonly unknown[], void> {
	const iterators = sources.map((source) => source[Symbol.iterator]());
	try {
		for (;;) {
			const args: unknown[] = [];
			for (const iterator of iterators) {
				const step = iterator.next();
				if (step.done === true) return;
				args.push(step.value);
			}
			yield args;
		}
	} finally {
		for (const iterator of iterators) iterator.return?.();
	}
}

async function* zipLater(
	sources: readonly (Iterable<unknown> | AsyncIterable<unknown>)[],
): AsyncGenerator<readonly unknown[], void> {
	const iterators = sources.map((source) =>
		Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator](),
	);
	try {
		for (;;) {
			const steps = await Promise.all(iterators.map((iterator) => iterator.next()));
			if (steps.some((step) => step.done === true)) return;
			yield steps.map((step) => step.value);
		}
	} finally {
		await Promise.all(iterators.map((iterator) => iterator.return?.()));
	}
}
