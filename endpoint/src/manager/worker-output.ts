/** One output file of a worker: which bytes belong to which task, and carrying them to the daemon while they are written. */
import { execFile } from "node:child_process";
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, rmSync } from "node:fs";

/** One report carries at most this much. */
const chunkBytes = 64 * 1024;
/**
 * A file that has grown past this is emptied as soon as everything in it is carried or beyond the cap. While a task
 * writes, so many of its last bytes stay: a command's result quotes them.
 */
const emptyAboveBytes = 8 * 1024 * 1024;

export interface Chunk {
	offsetBytes: number;
	data: Uint8Array;
	truncated: boolean;
}

export class OutputFile {
	readonly path: string;
	readonly #fd: number;
	readonly #limitBytes: number;
	/** Where the running task's output starts in the file; moves below zero when the file is emptied under it. */
	#startBytes = 0;
	/** Of the running task's output, how much was carried. */
	#carriedBytes = 0;
	#cut = false;
	/** Up to here the file's blocks were given back to the disk. */
	#givenBackBytes = 0;
	#givingBack = false;

	/** Makes the file; the worker's descriptor is opened for appending, so that it may be emptied at any time. */
	constructor(path: string, limitBytes: number) {
		this.path = path;
		this.#limitBytes = limitBytes;
		this.#fd = openSync(path, "a+", 0o600);
	}

	/** What a child process gets as its stdout or stderr. */
	get fd(): number {
		return this.#fd;
	}

	get sizeBytes(): number {
		return fstatSync(this.#fd).size;
	}

	/** Whether the task has written anything up to `endBytes` that was not carried: decided without reading. */
	hasNews(endBytes: number): boolean {
		return endBytes - this.#startBytes > this.#carriedBytes && !this.#cut;
	}

	/** What the running task has written up to `endBytes` of the file and was not carried. */
	read(endBytes: number): Chunk[] {
		const chunks: Chunk[] = [];
		const writtenBytes = endBytes - this.#startBytes;
		while (!this.#cut && this.#carriedBytes < writtenBytes) {
			const left = this.#limitBytes - this.#carriedBytes;
			const data = Buffer.allocUnsafe(Math.min(chunkBytes, writtenBytes - this.#carriedBytes, left));
			const read =
				data.length === 0 ? 0 : readSync(this.#fd, data, 0, data.length, this.#startBytes + this.#carriedBytes);
			if (read === 0 && data.length > 0) break;
			this.#cut = left - read <= 0 && writtenBytes > this.#limitBytes;
			chunks.push({ offsetBytes: this.#carriedBytes, data: data.subarray(0, read), truncated: this.#cut });
			this.#carriedBytes += read;
		}
		return chunks;
	}

	/** The task ended with the file this long: returns how much it wrote; the next task's output starts here. */
	finish(endBytes: number): number {
		const writtenBytes = Math.max(0, endBytes - this.#startBytes);
		this.#startBytes = endBytes;
		this.#carriedBytes = 0;
		this.#cut = false;
		return writtenBytes;
	}

	/** The last bytes of the running task's output, as text. */
	tail(limitBytes: number): string {
		const end = this.sizeBytes;
		const start = Math.max(0, this.#startBytes, end - limitBytes);
		const data = Buffer.alloc(Math.max(0, end - start));
		return data.toString("utf8", 0, readSync(this.#fd, data, 0, data.length, start));
	}

	/** Nothing runs: a large file is emptied, unless a hole is being made in it: that would hit what is written next. */
	emptyWhenIdle(): void {
		if (this.#startBytes < emptyAboveBytes || this.#givingBack) return;
		ftruncateSync(this.#fd, 0);
		this.#startBytes = 0;
		this.#givenBackBytes = 0;
	}

	/**
	 * The running task is past the cap: nobody will read what it writes but its end, so a disk need not hold the rest.
	 * A hole is made rather than the file cut, for whoever writes goes on meanwhile and not a byte of the end may be lost.
	 */
	emptyWhenCut(): void {
		const keepFromBytes = this.sizeBytes - emptyAboveBytes;
		if (!this.#cut || this.#givingBack || keepFromBytes - this.#givenBackBytes < emptyAboveBytes) return;
		this.#givingBack = true;
		const hole = ["--punch-hole", "--offset", "0", "--length", String(keepFromBytes), this.path];
		execFile("fallocate", hole, (failure) => {
			this.#givingBack = false;
			// Not all file systems have holes. Then the task's end is seen to be cut, and the disk stays usable.
			if (failure === null) this.#givenBackBytes = keepFromBytes;
			else this.#cutOff();
		});
	}

	#cutOff(): void {
		if (!this.#cut) return; // the task has ended meanwhile
		const size = this.sizeBytes;
		ftruncateSync(this.#fd, 0);
		this.#startBytes -= size;
		this.#givenBackBytes = 0;
	}

	close(): void {
		closeSync(this.#fd);
		rmSync(this.path, { force: true });
	}
}
