/** One transfer at the end that writes: the source's list, then what is wanted of it, then what is too much here. */
import { chunkBytes, formatCollectionPath, parseCollectionPath, syncLevels } from "@errand/proto";
import type { DestinationAssignment } from "@errand/proto/rest";
import type { Logger } from "../service/logger.ts";
import { chunkCount, fileDigest } from "./digest.ts";
import type { Work } from "./disk-threads.ts";
import { deleteExtra } from "./extra.ts";
import { FileFault, faultOfPlain, faultOfSystem } from "./file-fault.ts";
import { Lanes } from "./lanes.ts";
import { below, placeIn, type Roots } from "./local-source.ts";
import { partName } from "./part-name.ts";
import { Persistence } from "./persistence.ts";
import { bootId, type FileResult, type PullJournal } from "./pull-journal.ts";
import type { Outcome, Reporter } from "./reporter.ts";
import type { ListedLine, Source } from "./source.ts";

/** Files up to this size travel many in one reply. */
const packedLimitBytes = 1024 * 1024;
const packLimitBytes = 4 * 1024 * 1024;
const packLimitFiles = 256;
/** Large files that are begun and not finished. */
const openFiles = 4;
/** A file that changes so often while it is read is not sent. */
const changesLimit = 5;

export interface PullOptions {
	/** As it is now: tokens change. */
	readonly assignment: () => DestinationAssignment;
	/** Asks for newer tokens. */
	readonly renew: () => Promise<void>;
	readonly source: Source;
	readonly roots: Roots;
	readonly work: Work;
	readonly journal: PullJournal;
	readonly reporter: Reporter;
	/** Requests at a time. */
	readonly connections: number;
	readonly signal: AbortSignal;
	readonly log: Logger;
}

type Line = ListedLine & { readonly index: number };
interface Target {
	readonly root: string;
	readonly path: string;
	/** For people. */
	readonly shown: string;
}

export class Pull {
	readonly #options: PullOptions;
	readonly #persistence: Persistence;
	readonly #requests: Lanes;
	readonly #files = new Lanes(openFiles);
	/** Of the source's list. */
	#lines = 0;
	/** What ended it. */
	#fatal: FileFault | undefined;

	constructor(options: PullOptions) {
		this.#options = options;
		const { reporter, renew, signal, log, assignment } = options;
		const isDirect = (): boolean => assignment().used_route === "direct";
		this.#persistence = new Persistence({ reporter, renew, isDirect, signal, log });
		this.#requests = new Lanes(options.connections);
	}

	/** Resolves with how it ended; rejects with the signal's reason, or by a fault of ours. */
	async run(): Promise<Outcome> {
		const { journal, reporter, source, signal } = this.#options;
		const earlier = journal.results();
		reporter.event(
			journal.hasList ? "RESUMED" : "STARTED",
			journal.hasList ? `from the journal, ${earlier.size} files are done` : "asking the source what there is",
		);
		if (!journal.hasList) await this.#persistence.over(() => journal.saveList(source.list(signal)));
		await this.#count(earlier);
		await this.#move(earlier);
		signal.throwIfAborted();
		if (this.#fatal !== undefined) {
			await discardParts(journal, this.#options.work);
			return {
				status: "FAILED",
				fatal_error: { code: this.#fatal.code, description: this.#fatal.message.slice(0, 900) },
			};
		}
		await this.#removeExtra();
		const { files_failed: failed } = reporter.counters;
		if (failed > 0) reporter.event("SKIPPED_ERRORS", `${failed} files were left out`, { error: true });
		return { status: "SUCCEEDED" };
	}

	/** Before anything is moved, so that people see how much there is. */
	async #count(earlier: ReadonlyMap<number, FileResult>): Promise<void> {
		const { journal, reporter } = this.#options;
		const { counters } = reporter;
		for await (const line of journal.list()) {
			this.#lines = line.index + 1;
			if (line.type === "file") {
				counters.files++;
				counters.bytes += line.size;
			} else if (line.type === "directory") counters.directories++;
			else if (line.type === "symlinks") counters.symlinks += line.count;
		}
		for (const result of earlier.values()) this.#countResult(result);
		reporter.files([...earlier.values()]);
	}

	#countResult({ outcome, bytes, digest }: FileResult): void {
		const { counters } = this.#options.reporter;
		if (outcome === "transferred") {
			counters.files_transferred++;
			counters.bytes_transferred += bytes;
			if (digest !== null) counters.bytes_checksummed += bytes;
		} else if (outcome === "skipped") {
			counters.files_skipped++;
			counters.bytes_skipped += bytes;
		} else if (outcome === "deleted") counters.files_deleted++;
		else counters.files_failed++;
	}

	async #move(earlier: ReadonlyMap<number, FileResult>): Promise<void> {
		const { journal, signal } = this.#options;
		let batch: Line[] = [];
		let bytes = 0;
		const flush = async (): Promise<void> => {
			const lines = batch;
			[batch, bytes] = [[], 0];
			if (lines.length > 0) await this.#requests.begin(() => this.#guarded(lines, () => this.#pack(lines)));
		};
		let folders: { item: number; paths: string[] } | undefined;
		const makeFolders = async (): Promise<void> => {
			if (folders === undefined) return;
			const { item, paths } = folders;
			folders = undefined;
			try {
				const { root, path } = this.#target({ item, path: "" });
				await this.#options.work.makeDirectories({ root, paths: paths.map((one) => below(path, one)) });
			} catch (error) {
				this.#fatal ??= faultOfSystem(error, "");
			}
		};
		for await (const line of journal.list()) {
			if (this.#fatal !== undefined || signal.aborted) break;
			if (earlier.has(line.index)) continue;
			if (line.type === "fault") {
				await this.#fail({ ...line, size: 0 }, faultOfPlain(line.fault));
			} else if (line.type === "directory") {
				if (folders !== undefined && (folders.item !== line.item || folders.paths.length >= 1000)) await makeFolders();
				folders ??= { item: line.item, paths: [] };
				folders.paths.push(line.path);
			} else if (line.type === "file") {
				if (line.size > packedLimitBytes) {
					await this.#files.begin(() => this.#guarded([line], () => this.#large(line)));
					continue;
				}
				// A pack is of one item: its files are in one collection at either end.
				const full = bytes + line.size > packLimitBytes || batch.length >= packLimitFiles;
				if (full || (batch[0] !== undefined && batch[0].item !== line.item)) await flush();
				batch.push(line);
				bytes += line.size;
			}
		}
		await makeFolders();
		await flush();
		await this.#files.idle();
		await this.#requests.idle();
	}

	/** What goes wrong is told of the files; what is nobody's fault but ours ends the transfer. */
	async #guarded(lines: readonly Line[], work: () => Promise<void>): Promise<void> {
		if (this.#fatal !== undefined) return;
		try {
			await work();
		} catch (error) {
			if (this.#options.signal.aborted) return;
			if (!(error instanceof FileFault))
				this.#options.log.error({ err: error }, "transfer: a fault of the agent's own");
			const fault = error instanceof FileFault ? error : faultOfSystem(error, lines[0]?.path ?? "");
			for (const line of lines) await this.#fail(line, fault);
		}
	}

	#target({ item, path }: { item: number; path: string }): Target {
		const destination = this.#options.assignment().items[item]?.destination_path ?? "";
		const { root, path: base } = placeIn(this.#options.roots, destination);
		const whole = below(base, path);
		const collection = parseCollectionPath(destination)?.collection ?? "";
		return { root, path: whole, shown: formatCollectionPath({ collection, path: whole }) };
	}

	async #record(results: readonly FileResult[]): Promise<void> {
		await this.#options.journal.addResults(results);
		for (const result of results) this.#countResult(result);
		this.#options.reporter.files(results);
	}

	#resultOf(
		line: Pick<Line, "index" | "item" | "path" | "size">,
		outcome: FileResult["outcome"],
		more: { digest?: string | null; beganMs?: number; reason?: string } = {},
	): FileResult {
		return {
			index: line.index,
			path: this.#target(line).shown,
			outcome,
			bytes: line.size,
			digest: more.digest ?? null,
			took_ms: more.beganMs === undefined ? 0 : Math.max(0, Math.round(performance.now() - more.beganMs)),
			reason: more.reason ?? null,
		};
	}

	async #fail(line: Pick<Line, "index" | "item" | "path" | "size">, fault: FileFault): Promise<void> {
		const { assignment, reporter } = this.#options;
		reporter.event(fault.code, fault.message, { error: true });
		await this.#record([this.#resultOf({ ...line, size: 0 }, "failed", { reason: fault.message })]);
		if (fault.code === "DISK_FULL" || !assignment().skip_source_errors) this.#fatal ??= fault;
	}

	/** Those of the lines that are not here already, as the sync level has it; the others are recorded. */
	async #wanted(lines: readonly Line[]): Promise<Line[]> {
		const { assignment, work } = this.#options;
		const level = assignment().sync_level;
		if (level === undefined) return [...lines];
		const targets = lines.map((line) => this.#target(line));
		const there = await work.lookAt({ root: targets[0]?.root ?? "", paths: targets.map(({ path }) => path) });
		const same = await Promise.all(
			lines.map(async (line, at) => {
				const found = there[at];
				if (found === null || found === undefined) return false;
				const name = syncLevels[level];
				if (name === "exists") return true;
				if (found.size !== line.size) return false;
				if (name === "size") return true;
				if (name === "mtime") return found.mtimeMs >= Math.floor(line.mtimeMs / 1000) * 1000;
				return await this.#sameContent(line, targets[at] as Target);
			}),
		);
		await this.#record(lines.flatMap((line, at) => (same[at] ? [this.#resultOf(line, "skipped")] : [])));
		return lines.filter((_, at) => !same[at]);
	}

	async #sameContent(line: Line, { root, path }: Target): Promise<boolean> {
		const { source, work, signal } = this.#options;
		const [theirs, ours] = await Promise.all([
			this.#persistence.over(() => source.digest(line, signal)),
			work.digestFile({ root, path }),
		]);
		return theirs.digest === ours.digest;
	}

	get #verifies(): boolean {
		return this.#options.assignment().verify !== "off";
	}

	#dress(line: Pick<Line, "mode" | "mtimeMs">) {
		const mtimeMs = this.#options.assignment().preserve_timestamp ? line.mtimeMs : undefined;
		return { mode: line.mode & 0o777, mtimeMs };
	}

	async #pack(lines: readonly Line[]): Promise<void> {
		const { source, work, signal, assignment } = this.#options;
		let wanted = await this.#wanted(lines);
		const beganMs = performance.now();
		for (let round = 1; wanted.length > 0; round++) {
			const files = wanted;
			const { entries, bytes } = await this.#persistence.over(() => source.pack(files, this.#verifies, signal));
			const good = files.flatMap((line, at) => {
				const entry = entries[at];
				return entry === undefined || entry.fault !== undefined ? [] : [{ line, entry }];
			});
			const packed = good.map(({ line, entry }) => ({
				path: this.#target(line).path,
				part: partName(assignment().transfer_id, line.index),
				size: entry.size,
				digest: entry.digest,
				dress: this.#dress(line),
			}));
			const { root } = this.#target(files[0] as Line);
			const disk = assignment().verify === "disk";
			const written = await work.writePack({ root, files: packed, bytes, disk });
			await this.#record(
				good.flatMap(({ line, entry }, at) => {
					if (written[at] !== null) return [];
					const digest = entry.digest === null ? null : `sha256:${entry.digest}`;
					return [this.#resultOf({ ...line, size: entry.size }, "transferred", { digest, beganMs })];
				}),
			);
			const faults = [
				...files.map((line, at) => ({ line, fault: entries[at]?.fault })),
				...good.map(({ line }, at) => ({ line, fault: written[at] ?? undefined })),
			].flatMap(({ line, fault }) => (fault === undefined ? [] : [{ line, fault: faultOfPlain(fault) }]));
			wanted = [];
			for (const { line, fault } of faults) {
				const again = await this.#again(line, fault, round);
				if (again !== undefined) wanted.push(again);
			}
		}
	}

	/** The file as it is now when it may be tried once more; undefined when it failed for good, which is recorded. */
	async #again(line: Line, fault: FileFault, round: number): Promise<Line | undefined> {
		const { source, reporter, signal } = this.#options;
		const worth = fault.code === "SOURCE_CHANGED" || fault.code === "CHECKSUM_MISMATCH";
		if (!worth || round >= changesLimit) {
			await this.#fail(line, fault);
			return undefined;
		}
		reporter.fault(fault.code, fault.message);
		try {
			const now = await this.#persistence.over(() => source.look(line, signal));
			return { ...line, size: now.size, mtimeMs: now.mtimeMs, mode: now.mode, version: now.version };
		} catch (error) {
			if (!(error instanceof FileFault)) throw error;
			await this.#fail(line, error);
			return undefined;
		}
	}

	async #large(listed: Line): Promise<void> {
		const [wanted] = await this.#wanted([listed]);
		const beganMs = performance.now();
		let line: Line | undefined = wanted;
		for (let round = 1; line !== undefined; round++) {
			try {
				const digest = await this.#chunks(line);
				await this.#record([this.#resultOf(line, "transferred", { digest, beganMs })]);
				await this.#options.journal.endChunks(line.index);
				return;
			} catch (error) {
				if (!(error instanceof FileFault)) throw error;
				line = await this.#again(line, error, round);
			}
		}
	}

	/** All chunks that are missing, and then the name. Returns the content's digest. */
	async #chunks(line: Line): Promise<string | null> {
		const { source, work, journal, reporter, signal, assignment } = this.#options;
		const { root, path } = this.#target(line);
		const part = partName(assignment().transfer_id, line.index);
		const digests = await this.#begin(line, { root, path, part });
		const { counters } = reporter;
		const lengthOf = (chunk: number): number => Math.min(chunkBytes, line.size - chunk * chunkBytes);
		let moving = 0;
		for (const chunk of digests.keys()) moving += lengthOf(chunk);
		counters.bytes_transferred += moving;
		let fault: unknown;
		const chunksUnderWay: Promise<void>[] = [];
		for (let chunk = 0; chunk < chunkCount(line.size); chunk++) {
			if (digests.has(chunk)) continue;
			if (fault !== undefined || signal.aborted || this.#fatal !== undefined) break;
			const [offset, length] = [chunk * chunkBytes, lengthOf(chunk)];
			const { promise, resolve } = Promise.withResolvers<void>();
			chunksUnderWay.push(promise);
			await this.#requests.begin(async () => {
				try {
					const digest = await this.#persistence.over(async () => {
						const read = await source.chunk(line, offset, length, this.#verifies, signal);
						return await work.writeChunk({ root, path, part, offset, bytes: read.bytes, digest: read.digest });
					});
					await journal.addChunk(line.index, chunk, digest);
					digests.set(chunk, digest);
					moving += length;
					counters.bytes_transferred += length;
					reporter.changed();
				} catch (error) {
					fault ??= error;
				} finally {
					resolve();
				}
			});
		}
		await Promise.all(chunksUnderWay);
		// Counted with the file when that is done; until then by the chunk.
		counters.bytes_transferred -= moving;
		signal.throwIfAborted();
		if (fault !== undefined) throw fault;
		if (this.#fatal !== undefined) throw this.#fatal;
		const ordered = Array.from({ length: chunkCount(line.size) }, (_, chunk) => digests.get(chunk) ?? null);
		const whole = ordered.every((digest) => digest !== null) ? ordered : undefined;
		const disk = assignment().verify === "disk" ? whole : undefined;
		await work.finishPart({ root, path, part, size: line.size, dress: this.#dress(line), digests: disk });
		return whole === undefined ? null : fileDigest(line.size, whole);
	}

	/** The hidden file, and the chunks of it that an earlier run has written. */
	async #begin(
		{ index, version, size }: Line,
		target: { root: string; path: string; part: string },
	): Promise<Map<number, string | null>> {
		const { work, journal, reporter } = this.#options;
		const notes = journal.chunkNotes(index);
		const ino = await work.preparePart({ ...target, size });
		const boot = bootId();
		const kept = notes?.version === version && notes.ino === ino && notes.path === target.path ? notes : undefined;
		if (kept !== undefined) {
			const all = new Map(kept.chunks);
			if (kept.boot === boot && boot !== "unknown") {
				reporter.event("RESUMED", `${target.path}: ${all.size} of ${chunkCount(size)} chunks are there`);
				return all;
			}
			// The machine, or another one, was started anew: what it had not yet written to the disk is lost.
			const found = await work.checkPart({ ...target, size, digests: kept.chunks });
			await journal.beginChunks(index, { ...target, version, size, ino, boot });
			for (const chunk of found) await journal.addChunk(index, chunk, all.get(chunk) ?? null);
			return new Map(found.map((chunk) => [chunk, all.get(chunk) ?? null]));
		}
		if (notes !== undefined) reporter.event("SOURCE_CHANGED", `${target.path} is begun anew`);
		await journal.beginChunks(index, { ...target, version, size, ino, boot });
		return new Map();
	}

	async #removeExtra(): Promise<void> {
		const { assignment, reporter, journal, work, signal } = this.#options;
		if (!assignment().delete_destination_extra) return;
		if (reporter.counters.files_failed > 0) {
			reporter.event("DELETE_DESTINATION_EXTRA_SKIPPED", "because some files of the source could not be read");
			return;
		}
		let index = this.#lines;
		for (const [item, { recursive }] of assignment().items.entries()) {
			if (!recursive) continue;
			const { root, path } = this.#target({ item, path: "" });
			const rules = assignment().filter_rules;
			for await (const removed of deleteExtra({ work, journal, item, root, path, rules, signal }))
				await this.#record([this.#resultOf({ index: index++, item, path: removed, size: 0 }, "deleted")]);
		}
	}
}

/** Takes away the hidden files of a transfer that does not go on. */
export async function discardParts(journal: PullJournal, work: Pick<Work, "discardPart">): Promise<void> {
	for (const { root, path, part } of await journal.unfinished())
		await work.discardPart({ root, path, part }).catch(() => undefined);
}
