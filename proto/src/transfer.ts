/** The words of transfers, in the vocabulary of the peer's own; lower case is ours where it has none. */

/** `INACTIVE`: an agent that the transfer needs is away; it goes on by itself when that one is back. Expired and cancelled ones are FAILED. */
export const transferStatuses = ["ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"] as const;
export type TransferStatus = (typeof transferStatuses)[number];

export const isTransferOver = (status: TransferStatus): boolean => status === "SUCCEEDED" || status === "FAILED";

/** `local`: one agent has both ends. `direct`: the destination dials the source. `relay`: both dial the cloud, which joins the two. */
export const transferRoutes = ["local", "direct", "relay"] as const;
export type TransferRoute = (typeof transferRoutes)[number];

/** When a file that is there already is taken for the same: the position in the list is the peer's number. */
export const syncLevels = ["exists", "size", "mtime", "checksum"] as const;

/** `wire`: each chunk's digest is compared as it comes. `disk`: and what was written is read again and compared. */
export const verifyLevels = ["off", "wire", "disk"] as const;
export type VerifyLevel = (typeof verifyLevels)[number];

/** What becomes of one file. */
export const fileOutcomes = ["transferred", "skipped", "failed", "deleted"] as const;
export type FileOutcome = (typeof fileOutcomes)[number];

/** A file's bytes travel in chunks of this size, each with its digest; the last is shorter. */
export const chunkBytes = 8 * 1024 * 1024;

/** Of one report: the rest comes with the next. */
export const reportLimitFiles = 1000;

/** Files and directories that one request may name; a recursive item is one. */
export const transferLimitItems = 1000;

/** The upgrade by which both ends of a transfer ask the cloud to join their connections. */
export const relayProtocol = "errand-relay";
export const relaySides = ["source", "destination"] as const;
export type RelaySide = (typeof relaySides)[number];

/** An agent that has not asked for work for so long is away. It asks at least every {@link agentPollMs}. */
export const agentSilenceMs = 30_000;
export const agentPollMs = 10_000;

export interface CollectionPath {
	readonly collection: string;
	/** Below the collection's root, without a slash at either end; empty: the root itself. */
	readonly path: string;
}

const collectionName = /^[A-Za-z0-9][\w.-]{0,63}$/;

export const isCollectionName = (name: string): boolean => collectionName.test(name);

/**
 * `/data/run7/a.h5`, with or without the first slash → its collection and the path below that. Undefined for what has
 * no collection, goes up (`..`), or is longer than any file system takes. Inverse of {@link formatCollectionPath}.
 */
export function parseCollectionPath(text: string): CollectionPath | undefined {
	if (text.length > 4096 || text.includes("\0")) return undefined;
	const [collection = "", ...parts] = text.split("/").filter((part) => part !== "" && part !== ".");
	if (!isCollectionName(collection) || parts.some((part) => part === "..")) return undefined;
	return { collection, path: parts.join("/") };
}

export const formatCollectionPath = ({ collection, path }: CollectionPath): string =>
	path === "" ? `/${collection}` : `/${collection}/${path}`;

/** The variable in which tasks find a collection's directory: `ERRAND_COLLECTION_RAW_DATA` of `raw-data`. */
export const collectionVariable = (name: string): string =>
	`ERRAND_COLLECTION_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
