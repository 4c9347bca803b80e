/**
 * Results on their way out: into the journal and to the broker at the same time. A manager may forget a result when it
 * is in the journal, the journal when the broker has confirmed it. What comes while a write is under way joins the next.
 */
import { batchLimitBytes, batchLimitTasks, type TaskId } from "@errand/proto";
import { create, type Result, ResultBatchSchema, toBinary } from "@errand/proto/wire";
import type { Journal } from "../journal/journal.ts";
import type { StoredBlob } from "../link/blob-cache.ts";
import type { Logger } from "./logger.ts";

export interface ResultOutletOptions {
	readonly journal: Pick<Journal, "finish" | "confirm">;
	/** Resolves when the broker has the batch. */
	readonly publish: (batch: Uint8Array) => Promise<void>;
	/** Resolves when the cloud has the blob: before that a result must not name it. */
	readonly deliver: (blob: StoredBlob) => Promise<void>;
	readonly acknowledge: (managerId: string, ids: readonly TaskId[]) => void;
	/** The journal cannot be written: nothing may be taken or given any more. */
	readonly onFailure: (error: Error) => void;
	readonly log: Logger;
}

interface Outgoing {
	readonly id: TaskId;
	readonly result: Result;
	readonly managerId: string | undefined;
}

export class ResultOutlet {
	readonly #options: ResultOutletOptions;
	#waiting: Outgoing[] = [];
	/** Acknowledgements of results that are known: their first copy may still be on its way to the disk. */
	#known: { id: TaskId; managerId: string }[] = [];
	#writing: Promise<void> | undefined;
	#unconfirmed = 0;
	#quiet: (() => void)[] = [];

	constructor(options: ResultOutletOptions) {
		this.#options = options;
	}

	/** Takes a task's only result. */
	add(id: TaskId, result: Result, managerId: string | undefined): void {
		this.#waiting.push({ id, result, managerId });
		this.#writing ??= this.#write();
	}

	/** Acknowledges a result that needs no record, after those that came before it have theirs. */
	acknowledge(id: TaskId, managerId: string): void {
		this.#known.push({ id, managerId });
		this.#writing ??= this.#write();
	}

	/** At start: batches of the journal that an earlier daemon could not deliver. */
	resume(batches: readonly { number: number; bytes: Uint8Array; results: readonly Result[] }[]): void {
		for (const { number, bytes, results } of batches) this.#publish(bytes, results, Promise.resolve(number));
	}

	/** Nothing is on its way. */
	get quiet(): boolean {
		return this.#writing === undefined && this.#unconfirmed === 0;
	}

	/** Resolves when everything is in the journal. */
	async written(): Promise<void> {
		while (this.#writing !== undefined) await this.#writing;
	}

	/** Resolves when the broker has everything too. */
	async delivered(): Promise<void> {
		await this.written();
		if (this.#unconfirmed > 0) await new Promise<void>((resolve) => this.#quiet.push(resolve));
	}

	async #write(): Promise<void> {
		await new Promise((resolve) => setImmediate(resolve));
		while (this.#waiting.length > 0 || this.#known.length > 0) {
			const outgoing = this.#waiting;
			const known = this.#known;
			this.#waiting = [];
			this.#known = [];
			try {
				await Promise.all(batchesOf(outgoing).map((batch) => this.#record(batch)));
			} catch (error) {
				this.#options.onFailure(error as Error);
				break;
			}
			this.#acknowledge(outgoing);
			this.#acknowledge(known);
		}
		this.#writing = undefined;
	}

	async #record(batch: readonly Outgoing[]): Promise<void> {
		const results = batch.map(({ result }) => result);
		const bytes = toBinary(ResultBatchSchema, create(ResultBatchSchema, { results }));
		const recorded = this.#options.journal.finish(
			bytes,
			batch.map(({ id }) => id),
		);
		this.#publish(bytes, results, recorded);
		await recorded;
	}

	#publish(bytes: Uint8Array, results: readonly Result[], recorded: Promise<number>): void {
		this.#unconfirmed++;
		const { publish, deliver, journal, log } = this.#options;
		const blobs = results.flatMap(({ outcome }) =>
			outcome.case === "valueReference"
				? [{ sha256: Buffer.from(outcome.value.sha256).toString("hex"), sizeBytes: outcome.value.sizeBytes }]
				: [],
		);
		const published = blobs.length === 0 ? publish(bytes) : Promise.all(blobs.map(deliver)).then(() => publish(bytes));
		Promise.all([recorded, published])
			.then(
				([number]) => journal.confirm(number),
				(error: unknown) =>
					log.warn({ err: error, results: results.length }, "results: not delivered; the next start sends them again"),
			)
			.finally(() => {
				if (--this.#unconfirmed > 0) return;
				for (const resolve of this.#quiet.splice(0)) resolve();
			});
	}

	#acknowledge(results: readonly { id: TaskId; managerId: string | undefined }[]): void {
		const byManager = new Map<string, TaskId[]>();
		for (const { id, managerId } of results) {
			if (managerId === undefined) continue;
			const ids = byManager.get(managerId);
			if (ids) ids.push(id);
			else byManager.set(managerId, [id]);
		}
		for (const [managerId, ids] of byManager) this.#options.acknowledge(managerId, ids);
	}
}

function batchesOf(outgoing: readonly Outgoing[]): Outgoing[][] {
	const batches: Outgoing[][] = [];
	let batch: Outgoing[] = [];
	let bytes = 0;
	for (const one of outgoing) {
		const { outcome } = one.result;
		const size = outcome.case === "value" ? outcome.value.length : 1024;
		if (batch.length > 0 && (batch.length >= batchLimitTasks || bytes + size > batchLimitBytes)) {
			batches.push(batch);
			batch = [];
			bytes = 0;
		}
		batch.push(one);
		bytes += size;
	}
	if (batch.length > 0) batches.push(batch);
	return batches;
}
