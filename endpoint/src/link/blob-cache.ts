/**
 * Values above the inline limit, on their way through this endpoint. A file in the cache is whole and has the checksum
 * of its name; what is not whole has another name. Arguments are fetched from the cloud when first asked for; results
 * are kept until the cloud has them.
 */
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import type { Logger } from "../service/logger.ts";

/** The cloud's blob store, as far as the cache needs it. Both may be repeated; they retry what may succeed later. */
export interface BlobRemote {
	/** The blob's bytes from `offsetBytes` on. A Fault when the endpoint may not have it or there is none. */
	download(sha256: string, offsetBytes: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
	/** Resolves when the cloud keeps it. */
	upload(sha256: string, path: string, sizeBytes: number, signal: AbortSignal): Promise<void>;
}

export interface StoredBlob {
	readonly sha256: string;
	readonly sizeBytes: number;
}

export class BlobCache {
	readonly #directory: string;
	readonly #remote: BlobRemote;
	readonly #log: Logger;
	readonly #fetching = new Map<string, Promise<string>>();
	readonly #uploading = new Map<string, Promise<void>>();
	readonly #ending = new AbortController();

	private constructor(directory: string, remote: BlobRemote, log: Logger) {
		this.#directory = directory;
		this.#remote = remote;
		this.#log = log;
	}

	/** Removes what an earlier process left half done. */
	static async open(directory: string, remote: BlobRemote, log: Logger): Promise<BlobCache> {
		await mkdir(directory, { recursive: true, mode: 0o700 });
		for (const name of await readdir(directory)) if (name.endsWith(".part")) await rm(join(directory, name));
		return new BlobCache(directory, remote, log);
	}

	/** The path of a whole, checked file. Fetches it if need be, once for all who ask at the same time. */
	async get(blob: StoredBlob): Promise<string> {
		const path = this.#pathOf(blob.sha256);
		const found = await stat(path).catch(() => undefined);
		if (found?.size === blob.sizeBytes) return path;
		let fetching = this.#fetching.get(blob.sha256);
		if (!fetching) {
			fetching = this.#fetch(blob).finally(() => this.#fetching.delete(blob.sha256));
			this.#fetching.set(blob.sha256, fetching);
		}
		return fetching;
	}

	/** The bytes, in pieces. */
	async *read(blob: StoredBlob): AsyncGenerator<Uint8Array> {
		yield* createReadStream(await this.get(blob), { highWaterMark: 1024 * 1024 });
	}

	/** Keeps a value; it is on the disk when this resolves. */
	async put(content: AsyncIterable<Uint8Array>): Promise<StoredBlob> {
		const part = join(this.#directory, `${randomUUID()}.part`);
		const hash = createHash("sha256");
		let sizeBytes = 0;
		const file = await open(part, "wx", 0o600);
		try {
			for await (const piece of content) {
				hash.update(piece);
				sizeBytes += piece.length;
				await file.writeFile(piece);
			}
			await file.sync();
		} catch (error) {
			await rm(part, { force: true });
			throw error;
		} finally {
			await file.close();
		}
		const sha256 = hash.digest("hex");
		await rename(part, this.#pathOf(sha256));
		return { sha256, sizeBytes };
	}

	/** Resolves when the cloud has the blob and it is gone from here. One upload for all who ask. */
	async deliver(blob: StoredBlob): Promise<void> {
		let uploading = this.#uploading.get(blob.sha256);
		if (!uploading) {
			uploading = this.#upload(blob).finally(() => this.#uploading.delete(blob.sha256));
			this.#uploading.set(blob.sha256, uploading);
		}
		return uploading;
	}

	/** Ends what is under way; it is done again when asked again. */
	close(): void {
		this.#ending.abort(new Error("the endpoint is stopping"));
	}

	async #fetch(blob: StoredBlob): Promise<string> {
		const part = join(this.#directory, `${blob.sha256}.${randomUUID()}.part`);
		const hash = createHash("sha256");
		const file = await open(part, "wx", 0o600);
		let haveBytes = 0;
		try {
			while (haveBytes < blob.sizeBytes) {
				const before = haveBytes;
				try {
					for await (const piece of await this.#remote.download(blob.sha256, haveBytes, this.#ending.signal)) {
						hash.update(piece);
						await file.writeFile(piece);
						haveBytes += piece.length;
					}
				} catch (error) {
					// A connection that broke on the way is taken up where it broke; one that brought nothing is given up.
					if (error instanceof Fault || haveBytes === before || this.#ending.signal.aborted) throw error;
					this.#log.warn({ sha256: blob.sha256, haveBytes, err: error }, "blob: the download broke and goes on");
				}
				if (haveBytes === before) break;
			}
			if (haveBytes !== blob.sizeBytes || hash.digest("hex") !== blob.sha256)
				throw new Fault(
					"CHECKSUM_MISMATCH",
					`blob ${blob.sha256}: ${haveBytes} of ${blob.sizeBytes} bytes came, or others than were stored; submit the task again`,
				);
			await file.datasync();
			await rename(part, this.#pathOf(blob.sha256));
		} catch (error) {
			await rm(part, { force: true });
			throw error;
		} finally {
			await file.close();
		}
		return this.#pathOf(blob.sha256);
	}

	async #upload(blob: StoredBlob): Promise<void> {
		const path = this.#pathOf(blob.sha256);
		// Delivered before, and the confirmation of the result that names it was lost.
		if (!(await stat(path).catch(() => undefined))) return;
		await this.#remote.upload(blob.sha256, path, blob.sizeBytes, this.#ending.signal);
		await rm(path, { force: true });
	}

	#pathOf(sha256: string): string {
		if (!/^[0-9a-f]{64}$/.test(sha256)) throw new RangeError("a blob's name is 64 hexadecimal digits");
		return join(this.#directory, sha256);
	}
}
