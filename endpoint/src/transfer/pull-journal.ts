/**
 * What is known of one transfer at the end that writes, in a directory: the source's list, what became of each file, and
 * which chunks of large files are written. It is only added to, so that whatever was told before a death is found after it.
 */
import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync, mkdirSync, readFileSync } from "node:fs";
import { appendFile, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import type { TransferFile } from "@errand/proto/rest";
import type { ListLine } from "./source.ts";

export type FileResult = TransferFile & { readonly index: number };

/** Of one large file that is not complete. */
export interface ChunkNotes {
	/** Of the source's file. */
	readonly version: string;
	readonly path: string;
	readonly root: string;
	readonly part: string;
	readonly size: number;
	/** Of the hidden file. */
	readonly ino: number;
	/** Of the machine since it was started: after another start only digests are believed. */
	readonly boot: string;
	readonly chunks: readonly (readonly [chunk: number, digest: string | null])[];
}

/** Whole lines only: the last may have been cut by a death. */
function linesOf(path: string): string[] {
	if (!existsSync(path)) return [];
	const lines = readFileSync(path, "utf8").split("\n");
	lines.pop();
	return lines;
}

export const bootId = (): string => {
	try {
		return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
	} catch {
		return "unknown";
	}
};

export class PullJournal {
	readonly #directory: string;
	readonly #listPath: string;
	readonly #resultsPath: string;

	constructor(directory: string) {
		mkdirSync(directory, { recursive: true, mode: 0o700 });
		this.#directory = directory;
		this.#listPath = join(directory, "list.ndjson");
		this.#resultsPath = join(directory, "results.ndjson");
	}

	get hasList(): boolean {
		return existsSync(this.#listPath);
	}

	/** All of it, or nothing: it has its name only when it is complete and on the disk. */
	async saveList(lines: AsyncIterable<ListLine>): Promise<void> {
		const unfinished = `${this.#listPath}.new`;
		const out = createWriteStream(unfinished, { mode: 0o600 });
		try {
			for await (const line of lines) if (!out.write(`${JSON.stringify(line)}\n`)) await once(out, "drain");
		} finally {
			out.end();
			await finished(out).catch(() => undefined);
		}
		await using file = await open(unfinished, "r");
		await file.sync();
		await rename(unfinished, this.#listPath);
	}

	/** With their position, which stands for them. */
	async *list(): AsyncGenerator<ListLine & { readonly index: number }> {
		let index = 0;
		const input = createReadStream(this.#listPath, "utf8");
		try {
			for await (const text of createInterface({ input })) yield { ...(JSON.parse(text) as ListLine), index: index++ };
		} finally {
			input.destroy();
		}
	}

	/** Of earlier runs; the last one of each file. */
	results(): Map<number, FileResult> {
		const results = linesOf(this.#resultsPath).map((line) => JSON.parse(line) as FileResult);
		return new Map(results.map((result) => [result.index, result]));
	}

	async addResults(results: readonly FileResult[]): Promise<void> {
		await appendFile(this.#resultsPath, results.map((result) => `${JSON.stringify(result)}\n`).join(""), {
			mode: 0o600,
		});
	}

	#chunksPath(index: number): string {
		return join(this.#directory, `chunks-${index}.ndjson`);
	}

	chunkNotes(index: number): ChunkNotes | undefined {
		const [head, ...lines] = linesOf(this.#chunksPath(index));
		if (head === undefined) return undefined;
		return { ...JSON.parse(head), chunks: lines.map((line) => JSON.parse(line)) } as ChunkNotes;
	}

	/** What was noted of this file before is void. */
	async beginChunks(index: number, notes: Omit<ChunkNotes, "chunks">): Promise<void> {
		await rm(this.#chunksPath(index), { force: true });
		await appendFile(this.#chunksPath(index), `${JSON.stringify(notes)}\n`, { mode: 0o600 });
	}

	async addChunk(index: number, chunk: number, digest: string | null): Promise<void> {
		await appendFile(this.#chunksPath(index), `${JSON.stringify([chunk, digest])}\n`);
	}

	async endChunks(index: number): Promise<void> {
		await rm(this.#chunksPath(index), { force: true });
	}

	/** Files that are not complete. */
	async unfinished(): Promise<ChunkNotes[]> {
		const names = await readdir(this.#directory);
		return names.flatMap((name) => {
			const index = /^chunks-(\d+)\.ndjson$/.exec(name)?.[1];
			const notes = index === undefined ? undefined : this.chunkNotes(Number(index));
			return notes === undefined ? [] : [notes];
		});
	}

	async remove(): Promise<void> {
		await rm(this.#directory, { recursive: true, force: true });
	}
}
