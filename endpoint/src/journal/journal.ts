/**
 * What this endpoint has accepted and not yet delivered, on disk: an append-only file in segments. A task is
 * acknowledged to the broker only when it is here; a result is forgotten only when the broker has confirmed it.
 * No database and no file lock: home directories are NFS or Lustre. The endpoint's lease keeps a second writer out.
 */
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FunctionId, idFromBytes, idToBytes, newId, type TaskId } from "@errand/proto";
import {
	create,
	type Function as FunctionMessage,
	fromBinary,
	ResultBatchSchema,
	type Task,
	TaskBatchSchema,
	toBinary,
} from "@errand/proto/wire";
import type { Logger } from "../service/logger.ts";
import { decodeNumber, encodeNumber, idsIn, type JournalRecord, readRecords, recordKinds } from "./record.ts";
import { SegmentWriter } from "./segment-writer.ts";

/** A segment is closed at this size: small enough to be rewritten in a moment, large enough that few are. */
const defaultSegmentBytes = 32 * 1024 * 1024;

export interface JournaledTask {
	readonly id: TaskId;
	readonly functionId: FunctionId;
	readonly task: Task;
	/** How often the machine under it has died, as told by {@link Journal.lose}; absent when it never did. */
	readonly losses?: Losses;
}

/** How often the machine under a task died; and how often of these while the task was known to run. */
export interface Losses {
	readonly all: number;
	readonly whileRunning: number;
}

/** A result batch that the broker has not confirmed. `bytes` is a `ResultBatch`. */
interface UnconfirmedBatch {
	readonly number: number;
	readonly bytes: Uint8Array;
}

export interface Recovered {
	readonly open: readonly JournaledTask[];
	readonly unconfirmed: readonly UnconfirmedBatch[];
	/** Finished tasks and when, oldest first. */
	readonly finished: ReadonlyMap<TaskId, number>;
	readonly cancelled: ReadonlyMap<TaskId, number>;
	/** Bytes behind a damaged record, which were not read: the last write before a crash. */
	readonly tornBytes: number;
}

interface Segment {
	readonly number: number;
	readonly path: string;
	/** Open tasks and unconfirmed batches that only this segment knows. */
	live: number;
	liveBytes: number;
	sizeBytes: number;
}

interface OpenTask extends JournaledTask {
	segment: Segment;
	losses?: Losses;
	readonly sizeBytes: number;
}

export interface JournalOptions {
	readonly directory: string;
	readonly log: Logger;
	readonly nowMs: () => number;
	readonly segmentBytes?: number;
	/** As many finished ids as are kept, and for how long. */
	readonly rememberedTasks: number;
	readonly rememberedMs: number;
}

const segmentName = (number: number): string => `${String(number).padStart(8, "0")}.journal`;

export class Journal {
	/** Names this journal for as long as its directory lives. */
	readonly id: string;
	readonly recovered: Recovered;
	readonly #options: JournalOptions;
	readonly #segmentBytes: number;
	readonly #open = new Map<TaskId, OpenTask>();
	readonly #functions = new Map<FunctionId, FunctionMessage>();
	readonly #unconfirmed = new Map<number, { bytes: Uint8Array; segment: Segment }>();
	readonly #finished = new Map<TaskId, number>();
	readonly #cancelled = new Map<TaskId, number>();
	#older: Segment[] = [];
	#current: Segment;
	#writer: SegmentWriter;
	#nextBatch = 1;
	#rotating: Promise<void> | undefined;

	private constructor(id: string, options: JournalOptions, found: Segment[], current: Segment, writer: SegmentWriter) {
		this.id = id;
		this.#options = options;
		this.#segmentBytes = options.segmentBytes ?? defaultSegmentBytes;
		this.#older = found;
		this.#current = current;
		this.#writer = writer;
		this.recovered = { open: [], unconfirmed: [], finished: this.#finished, cancelled: this.#cancelled, tornBytes: 0 };
	}

	/** Reads what is there and begins a new segment. Resolves when all that was read is kept for sure. */
	static async open(options: JournalOptions): Promise<Journal> {
		await mkdir(options.directory, { recursive: true, mode: 0o700 });
		const id = await journalId(join(options.directory, "id"));
		const numbers = (await readdir(options.directory))
			.map((name) => /^(\d{8})\.journal$/.exec(name)?.[1])
			.filter((digits) => digits !== undefined)
			.map(Number)
			.sort((a, b) => a - b);
		const found: Segment[] = [];
		const contents: JournalRecord[][] = [];
		let tornBytes = 0;
		for (const number of numbers) {
			const path = join(options.directory, segmentName(number));
			const bytes = await readFile(path);
			const { records, soundBytes } = readRecords(bytes);
			const torn = bytes.length - soundBytes;
			if (torn > 0) {
				tornBytes += torn;
				await truncate(path, soundBytes);
				options.log.warn({ path, tornBytes: torn }, "journal: the last write before a crash was cut off");
			}
			found.push({ number, path, live: 0, liveBytes: 0, sizeBytes: soundBytes });
			contents.push(records);
		}
		const number = (numbers.at(-1) ?? 0) + 1;
		const path = join(options.directory, segmentName(number));
		const writer = await SegmentWriter.create(path);
		const journal = new Journal(id, options, found, { number, path, live: 0, liveBytes: 0, sizeBytes: 0 }, writer);
		for (const [at, records] of contents.entries()) {
			for (const record of records) journal.#replay(record, found[at] as Segment);
		}
		Object.assign(journal.recovered, {
			open: [...journal.#open.values()],
			unconfirmed: [...journal.#unconfirmed].map(([batch, { bytes }]) => ({ number: batch, bytes })),
			finished: new Map(journal.#finished),
			cancelled: new Map(journal.#cancelled),
			tornBytes,
		});
		await journal.#writeSnapshot();
		await journal.#dropOldest();
		return journal;
	}

	/** A function that an open task names. */
	functionOf(id: FunctionId): FunctionMessage | undefined {
		return this.#functions.get(id);
	}

	/**
	 * Keeps a batch as it came. Resolves to its tasks when it is on the disk: acknowledge it then.
	 * Tasks that are known already are not among them. Throws a RangeError when the bytes are no batch.
	 * `onWritten` gets them earlier, when only the death of this machine could lose them: then the broker brings them
	 * again, for they were not acknowledged. They may start, which saves each task the disk's wait.
	 */
	async accept(bytes: Uint8Array, onWritten?: (tasks: JournaledTask[]) => void): Promise<JournaledTask[]> {
		const tasks = readTasks(bytes);
		const fresh = tasks.tasks.filter(({ id }) => !this.#open.has(id) && !this.#finished.has(id));
		if (fresh.length === 0) {
			// Known, but perhaps not yet on the disk: its first copy is written before this.
			await this.#append(recordKinds.cancelled, [], true);
			return [];
		}
		const segment = this.#current;
		this.#learn(tasks, fresh, bytes.length, segment);
		await this.#append(recordKinds.tasks, [bytes], true, () => onWritten?.(fresh));
		return fresh;
	}

	/** Keeps results. Resolves with the batch's number when they are on the disk: acknowledge them to the manager then. */
	async finish(bytes: Uint8Array, ids: readonly TaskId[]): Promise<number> {
		const number = this.#nextBatch++;
		const segment = this.#current;
		this.#unconfirmed.set(number, { bytes, segment });
		segment.live++;
		segment.liveBytes += bytes.length;
		for (const id of ids) this.#ended(id, this.#options.nowMs());
		await this.#append(recordKinds.results, [encodeNumber(number), bytes], true);
		return number;
	}

	/** The broker has the batch. Not waited for: forgetting too late only sends it again. */
	confirm(number: number): void {
		const batch = this.#unconfirmed.get(number);
		if (!batch) return;
		this.#unconfirmed.delete(number);
		this.#free(batch.segment, batch.bytes.length);
		this.#append(recordKinds.confirmed, [encodeNumber(number)], false).catch((cause: unknown) =>
			this.#options.log.warn({ err: cause }, "journal: a confirmation was not kept"),
		);
	}

	/** Remembers cancelled ids: the command may overtake the task. Resolves when they are on the disk. */
	async cancel(ids: readonly TaskId[]): Promise<void> {
		const nowMs = this.#options.nowMs();
		const body = new Uint8Array(ids.length * 16);
		for (const [at, id] of ids.entries()) {
			body.set(idToBytes(id), at * 16);
			if (!this.#finished.has(id)) this.#cancelled.set(id, nowMs);
		}
		await this.#append(recordKinds.cancelled, [body], true);
	}

	/**
	 * The machine under an open task has died: so often altogether. Not waited for: what only a dead machine forgets may
	 * cost one more try.
	 */
	lose(id: TaskId, losses: Losses): void {
		const task = this.#open.get(id);
		if (!task) return;
		task.losses = losses;
		this.#append(recordKinds.lost, lostBody(id, losses), false).catch((cause: unknown) =>
			this.#options.log.warn({ err: cause }, "journal: a loss was not kept"),
		);
	}

	/** Everything is on the disk and the file is closed. */
	async close(): Promise<void> {
		await this.#rotating;
		await this.#writer.close();
	}

	async #append(
		kind: (typeof recordKinds)[keyof typeof recordKinds],
		body: Uint8Array[],
		durable: boolean,
		onWritten?: () => void,
	): Promise<void> {
		const written = this.#writer.append(kind, body, durable, onWritten);
		this.#current.sizeBytes = this.#writer.sizeBytes;
		if (this.#writer.sizeBytes > this.#segmentBytes && !this.#rotating) {
			this.#rotating = this.#rotate().finally(() => {
				this.#rotating = undefined;
			});
			this.#rotating.catch((cause: unknown) => this.#options.log.error({ err: cause }, "journal: no new segment"));
		}
		await written;
	}

	async #rotate(): Promise<void> {
		const number = this.#current.number + 1;
		const path = join(this.#options.directory, segmentName(number));
		const next = await SegmentWriter.create(path);
		const full = this.#writer;
		this.#older.push(this.#current);
		this.#current = { number, path, live: 0, liveBytes: 0, sizeBytes: 0 };
		this.#writer = next;
		await full.close();
		await this.#writeSnapshot();
		await this.#dropOldest();
	}

	/** What older segments said of finished and cancelled tasks, so that they may go. */
	async #writeSnapshot(): Promise<void> {
		this.#forgetOld();
		const body = new Uint8Array(this.#finished.size * 24);
		let at = 0;
		for (const [id, atMs] of this.#finished) {
			body.set(idToBytes(id), at);
			body.set(encodeNumber(atMs), at + 16);
			at += 24;
		}
		const cancelled = Buffer.concat([...this.#cancelled.keys()].map((id) => idToBytes(id)));
		const writes = [this.#writer.append(recordKinds.finished, [body], true)];
		if (cancelled.length > 0) writes.push(this.#writer.append(recordKinds.cancelled, [cancelled], true));
		await Promise.all(writes);
		const used = new Set([...this.#open.values()].map((task) => task.functionId));
		for (const id of this.#functions.keys()) if (!used.has(id)) this.#functions.delete(id);
	}

	/** The oldest segments go first, for a later one may say how a task of an earlier one ended. */
	async #dropOldest(): Promise<void> {
		for (let oldest = this.#older[0]; oldest; oldest = this.#older[0]) {
			if (oldest.live > 0 && oldest.liveBytes * 2 > oldest.sizeBytes && !this.#isMostlyDead()) return;
			if (oldest.live > 0) await this.#moveLive(oldest);
			await rm(oldest.path, { force: true });
			this.#older.shift();
		}
	}

	/** One full segment must not keep any number of dead ones behind it; nor may a full journal be rewritten for ever. */
	#isMostlyDead(): boolean {
		let sizeBytes = 0;
		let liveBytes = 0;
		for (const segment of this.#older) {
			sizeBytes += segment.sizeBytes;
			liveBytes += segment.liveBytes;
		}
		return sizeBytes > 8 * this.#segmentBytes && sizeBytes > 3 * liveBytes;
	}

	/** Writes the little that is live in an old segment again, into the current one. */
	async #moveLive(from: Segment): Promise<void> {
		const writes: Promise<void>[] = [];
		const tasks = [...this.#open.values()].filter((task) => task.segment === from);
		for (let at = 0; at < tasks.length; at += 500) {
			const some = tasks.slice(at, at + 500);
			const functions = [...new Set(some.map((task) => task.functionId))].map((id) => this.#functions.get(id));
			const bytes = toBinary(
				TaskBatchSchema,
				create(TaskBatchSchema, {
					functions: functions.filter((f) => f !== undefined),
					tasks: some.map((t) => t.task),
				}),
			);
			writes.push(this.#writer.append(recordKinds.tasks, [bytes], true));
			for (const task of some) {
				this.#move(task, task.sizeBytes);
				if (task.losses) writes.push(this.#writer.append(recordKinds.lost, lostBody(task.id, task.losses), true));
			}
		}
		for (const [number, batch] of this.#unconfirmed) {
			if (batch.segment !== from) continue;
			writes.push(this.#writer.append(recordKinds.results, [encodeNumber(number), batch.bytes], true));
			this.#move(batch, batch.bytes.length);
		}
		await Promise.all(writes);
	}

	#move(holder: { segment: Segment }, sizeBytes: number): void {
		holder.segment.live--;
		holder.segment.liveBytes -= sizeBytes;
		holder.segment = this.#current;
		this.#current.live++;
		this.#current.liveBytes += sizeBytes;
	}

	#free(segment: Segment, sizeBytes: number): void {
		segment.live--;
		segment.liveBytes -= sizeBytes;
	}

	#ended(id: TaskId, atMs: number): void {
		const task = this.#open.get(id);
		if (task) {
			this.#open.delete(id);
			this.#free(task.segment, task.sizeBytes);
		}
		this.#cancelled.delete(id);
		this.#finished.set(id, atMs);
	}

	#forgetOld(): void {
		const since = this.#options.nowMs() - this.#options.rememberedMs;
		for (const remembered of [this.#finished, this.#cancelled]) {
			for (const [id, atMs] of remembered) {
				if (remembered.size <= this.#options.rememberedTasks && atMs >= since) break;
				remembered.delete(id);
			}
		}
	}

	#learn(batch: ReadBatch, fresh: readonly JournaledTask[], sizeBytes: number, segment: Segment): void {
		for (const [id, found] of batch.functions) this.#functions.set(id, found);
		const share = Math.ceil(sizeBytes / batch.tasks.length);
		for (const task of fresh) {
			this.#open.set(task.id, { ...task, segment, sizeBytes: share });
			segment.live++;
			segment.liveBytes += share;
		}
	}

	#replay(record: JournalRecord, segment: Segment): void {
		const nowMs = this.#options.nowMs();
		switch (record.kind) {
			case recordKinds.tasks: {
				const batch = readTasks(record.body);
				const fresh = batch.tasks.filter(({ id }) => !this.#open.has(id) && !this.#finished.has(id));
				this.#learn(batch, fresh, record.body.length, segment);
				return;
			}
			case recordKinds.results: {
				const number = decodeNumber(record.body);
				const bytes = record.body.slice(8);
				this.#nextBatch = Math.max(this.#nextBatch, number + 1);
				const before = this.#unconfirmed.get(number);
				if (before) this.#free(before.segment, before.bytes.length);
				this.#unconfirmed.set(number, { bytes, segment });
				segment.live++;
				segment.liveBytes += bytes.length;
				for (const result of fromBinary(ResultBatchSchema, bytes).results)
					this.#ended(idFromBytes(result.taskId), nowMs);
				return;
			}
			case recordKinds.confirmed: {
				const number = decodeNumber(record.body);
				const batch = this.#unconfirmed.get(number);
				this.#nextBatch = Math.max(this.#nextBatch, number + 1);
				if (!batch) return;
				this.#unconfirmed.delete(number);
				this.#free(batch.segment, batch.bytes.length);
				return;
			}
			case recordKinds.cancelled:
				for (const bytes of idsIn(record.body)) {
					const id = idFromBytes<TaskId>(bytes);
					if (!this.#finished.has(id)) this.#cancelled.set(id, nowMs);
				}
				return;
			case recordKinds.finished:
				for (let at = 0; at + 24 <= record.body.length; at += 24)
					this.#ended(idFromBytes(record.body.subarray(at, at + 16)), decodeNumber(record.body, at + 16));
				return;
			case recordKinds.lost: {
				const task = this.#open.get(idFromBytes(record.body.subarray(0, 16)));
				if (task) task.losses = { all: decodeNumber(record.body, 16), whileRunning: decodeNumber(record.body, 24) };
				return;
			}
			default:
				this.#options.log.warn({ kind: record.kind }, "journal: a record of a newer version was skipped");
		}
	}
}

function lostBody(id: TaskId, { all, whileRunning }: Losses): Uint8Array[] {
	return [idToBytes(id), encodeNumber(all), encodeNumber(whileRunning)];
}

interface ReadBatch {
	readonly tasks: JournaledTask[];
	readonly functions: Map<FunctionId, FunctionMessage>;
}

/** Throws a RangeError when the bytes are no batch, or a task in it names a function that is not in it. */
function readTasks(bytes: Uint8Array): ReadBatch {
	let batch: ReturnType<typeof fromBinary<typeof TaskBatchSchema>>;
	try {
		batch = fromBinary(TaskBatchSchema, bytes);
	} catch (cause) {
		throw new RangeError("task batch: not a TaskBatch message", { cause });
	}
	const functions = new Map<FunctionId, FunctionMessage>();
	for (const one of batch.functions) functions.set(idFromBytes(one.id), one);
	let lastBytes: Uint8Array | undefined;
	let lastId: FunctionId | undefined;
	const tasks = batch.tasks.map((task) => {
		if (!lastBytes || lastId === undefined || !sameBytes(lastBytes, task.functionId)) {
			lastBytes = task.functionId;
			lastId = idFromBytes<FunctionId>(task.functionId);
			if (!functions.has(lastId)) throw new RangeError(`task batch: function ${lastId} is named and not in the batch`);
		}
		return { id: idFromBytes<TaskId>(task.id), functionId: lastId, task };
	});
	return { tasks, functions };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	for (let i = 0; i < 16; i++) if (a[i] !== b[i]) return false;
	return a.length === b.length;
}

async function truncate(path: string, sizeBytes: number): Promise<void> {
	const file = await open(path, "r+");
	try {
		await file.truncate(sizeBytes);
		await file.datasync();
	} finally {
		await file.close();
	}
}

async function journalId(path: string): Promise<string> {
	try {
		return (await readFile(path, "utf8")).trim();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		const id = newId();
		await writeFile(path, `${id}\n`, { mode: 0o600 });
		return id;
	}
}
