/**
 * One segment file, written in groups: what is added while a write is under way goes out with the next one, so a
 * group costs one write and one fdatasync however many records it has.
 */
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { encodeHeader, type RecordKind } from "./record.ts";

interface Group {
	parts: Uint8Array[];
	sync: boolean;
	/** Who goes on as soon as the records are the operating system's: they outlive this process, if not this machine. */
	written: (() => void)[];
	done: PromiseWithResolvers<void>;
}

const newGroup = (): Group => {
	const done = Promise.withResolvers<void>();
	// Records that nobody waits for may fail with the rest: the failure is kept and told to the next who asks.
	done.promise.catch(() => undefined);
	return { parts: [], sync: false, written: [], done };
};

export class SegmentWriter {
	readonly path: string;
	sizeBytes = 0;
	readonly #file: FileHandle;
	#next = newGroup();
	#busy: Promise<void> | undefined;
	#failure: Error | undefined;

	private constructor(path: string, file: FileHandle) {
		this.path = path;
		this.#file = file;
	}

	/** A new file, and its name made durable too. Throws when there is one already. */
	static async create(path: string): Promise<SegmentWriter> {
		const file = await open(path, "ax", 0o600);
		const directory = await open(dirname(path), "r");
		try {
			await directory.sync();
		} finally {
			await directory.close();
		}
		return new SegmentWriter(path, file);
	}

	/**
	 * Resolves when the record is on the disk (`durable`), or written (otherwise). After a failed write nothing is
	 * known of the file's end, so every later call is refused with that failure. `onWritten` is called before the disk
	 * has the record, when a death of this process cannot lose it any more.
	 */
	append(kind: RecordKind, body: readonly Uint8Array[], durable: boolean, onWritten?: () => void): Promise<void> {
		if (this.#failure) return Promise.reject(this.#failure);
		const group = this.#next;
		const header = encodeHeader(kind, body);
		group.parts.push(header, ...body);
		this.sizeBytes += header.length;
		for (const part of body) this.sizeBytes += part.length;
		group.sync ||= durable;
		if (onWritten) group.written.push(onWritten);
		this.#busy ??= this.#flush();
		return group.done.promise;
	}

	/** Everything added so far is on the disk, and the file is closed. */
	async close(): Promise<void> {
		while (this.#busy !== undefined) await this.#busy;
		try {
			if (!this.#failure) await this.#file.datasync();
		} finally {
			await this.#file.close();
		}
	}

	async #flush(): Promise<void> {
		await new Promise((resolve) => setImmediate(resolve));
		while (this.#next.parts.length > 0) {
			const group = this.#next;
			this.#next = newGroup();
			try {
				await this.#write(group.parts);
				for (const goOn of group.written) goOn();
				if (group.sync) await this.#file.datasync();
				group.done.resolve();
			} catch (cause) {
				const failure = new Error(`the journal ${this.path} cannot be written: ${(cause as Error).message}`, { cause });
				this.#failure = failure;
				group.done.reject(failure);
				this.#next.done.reject(failure);
				this.#next = newGroup();
			}
		}
		this.#busy = undefined;
	}

	async #write(parts: readonly Uint8Array[]): Promise<void> {
		// The kernel takes at most 1,024 pieces at once.
		for (let at = 0; at < parts.length; at += 1000) {
			const some = parts.slice(at, at + 1000);
			const wanted = some.reduce((sum, part) => sum + part.length, 0);
			const { bytesWritten } = await this.#file.writev(some);
			if (bytesWritten < wanted) await this.#rest(some, bytesWritten);
		}
	}

	async #rest(parts: readonly Uint8Array[], skipBytes: number): Promise<void> {
		const left = Buffer.concat(parts).subarray(skipBytes);
		for (let at = 0; at < left.length; ) at += (await this.#file.write(left, at)).bytesWritten;
	}
}
