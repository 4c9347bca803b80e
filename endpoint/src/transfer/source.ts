/** The end that is read, as the end that writes sees it: on the same machine, or behind a connection. */
import type { PlainFault } from "./file-fault.ts";
import type { PackEntry, ReadChunk } from "./source-jobs.ts";

/** One line of the list of what a transfer has to move. Paths are below the item's own. */
export type ListLine =
	| {
			readonly type: "file";
			readonly item: number;
			/** Empty: the item is this file. */
			readonly path: string;
			readonly size: number;
			readonly mtimeMs: number;
			/** Permission bits. */
			readonly mode: number;
			readonly version: string;
	  }
	| { readonly type: "directory"; readonly item: number; readonly path: string }
	/** Links that were left out. */
	| { readonly type: "symlinks"; readonly item: number; readonly path: string; readonly count: number }
	| { readonly type: "fault"; readonly item: number; readonly path: string; readonly fault: PlainFault };

export type ListedLine = Extract<ListLine, { type: "file" }>;
type FileRef = Pick<ListedLine, "item" | "path" | "version">;

/**
 * What fails with a FileFault is about a file; with a {@link ConnectionLost} about the way there: it may be repeated, as
 * everything here may.
 */
export interface Source {
	/** Every directory comes before what is in it. Ends with an error unless it is complete. */
	list(signal: AbortSignal): AsyncIterable<ListLine>;
	/** SOURCE_CHANGED when the file is not the version that was listed. `digest`: with the chunk's. */
	chunk(file: FileRef, offset: number, length: number, digest: boolean, signal: AbortSignal): Promise<ReadChunk>;
	/** Whole files, one behind the other. */
	pack(
		files: readonly FileRef[],
		digest: boolean,
		signal: AbortSignal,
	): Promise<{ entries: PackEntry[]; bytes: Uint8Array<ArrayBuffer> }>;
	/** Of the whole file as it is now. */
	digest(file: Pick<FileRef, "item" | "path">, signal: AbortSignal): Promise<{ digest: string; version: string }>;
	/** The file as it is now. */
	look(file: Pick<FileRef, "item" | "path">, signal: AbortSignal): Promise<ListedLine>;
	close(): void;
}

/**
 * `tokenEnded`: the other side does not accept the token; a newer one may do. `notYet`: it has not heard of the transfer.
 * `undialled`: not even the connection was made.
 */
export class ConnectionLost extends Error {
	override readonly name = "ConnectionLost";
	readonly tokenEnded: boolean;
	readonly undialled: boolean;
	readonly notYet: boolean;

	constructor(
		message: string,
		options: { tokenEnded?: boolean; undialled?: boolean; notYet?: boolean; cause?: unknown } = {},
	) {
		super(message, { cause: options.cause });
		this.tokenEnded = options.tokenEnded ?? false;
		this.undialled = options.undialled ?? false;
		this.notYet = options.notYet ?? false;
	}
}
