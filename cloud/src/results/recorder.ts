/**
 * Where tasks end: every result and every cancellation goes through here, is recorded once, and only then told.
 */
import {
	contentTypes,
	type EndpointId,
	encodeMessage,
	Fault,
	groupQueuePrefix,
	type TaskGroupId,
	type TaskId,
	taskStateToWire,
} from "@errand/proto";
import type { StreamResult } from "@errand/proto/rest";
import type { BlobStore } from "../blobs/blobs.ts";
import type { CloudEventBus } from "../observe/events.ts";
import type { MessagePublisher } from "../outlet.ts";
import { blobOfEndpoint } from "../store/blobs.ts";
import type { Log } from "../store/embedded-postgres.ts";
import { naturalBatches } from "../store/natural-batch.ts";
import type { Database } from "../store/pool.ts";
import { type Ending, endedAmong, type Recorded, recordEndings } from "../store/results.ts";
import { failureDocument, publicResultMessage, streamResultOfEnding, streamResultOfRow } from "./documents.ts";

export interface Recorder {
	/**
	 * Resolves when the endings are durable and told. An ending of a task that has ended before changes nothing.
	 * `again`: this may have been recorded and not told (a redelivered message), so tell it once more.
	 */
	record(endings: readonly Ending[], again: boolean): Promise<void>;
	idle(): Promise<void>;
}

interface Piece {
	readonly endings: readonly Ending[];
	readonly again: boolean;
}

/** One recorded result on its way to whoever waits. */
interface Told {
	readonly group: TaskGroupId;
	readonly cursor: bigint;
	readonly result: StreamResult;
}

const statementRows = 500;
/** Larger results by reference are not put into a message for clients of the public interface. */
const publicInlineBytes = 10 * 1024 * 1024;

export function openRecorder(ports: {
	database: Database;
	publisher: MessagePublisher;
	blobs: BlobStore;
	events: CloudEventBus;
	log: Log;
	/** After the commit, for the other cloud processes. */
	tellOthers: (groups: readonly TaskGroupId[]) => Promise<void>;
}): Recorder {
	const { database, publisher, blobs, events, log } = ports;

	/** One statement at a time: the order of cursors is the order of events in this process. */
	const batches = naturalBatches<Piece, Map<Piece, unknown>>(
		{ limit: statementRows, weigh: (piece) => piece.endings.length, concurrency: 1 },
		async (pieces) => {
			const failed = new Map<Piece, unknown>();
			try {
				await recordPieces(pieces);
			} catch (cause) {
				// It may have been committed all the same: readers must look before anything later is told.
				events.emit("results:uncertain");
				// One bad row must not hold back the others: each message on its own, and the bad one fails alone.
				// A database that is away is nobody's fault in particular.
				const away = cause instanceof Fault && cause.code === "NOT_READY";
				for (const piece of pieces) {
					if (pieces.length === 1 || away) failed.set(piece, cause);
					else await recordPieces([piece]).catch((alone: unknown) => failed.set(piece, alone));
				}
			}
			return failed;
		},
	);

	async function recordPieces(pieces: readonly Piece[]): Promise<void> {
		const endings = new Map<TaskId, Ending>();
		for (const piece of pieces)
			for (const ending of piece.endings) if (!endings.has(ending.id)) endings.set(ending.id, ending);
		const checked = await Promise.all([...endings.values()].map(withStoredBlob));
		const repeatsBefore = database.repeats;
		const recorded = await recordEndings(database, checked);
		const byId = new Map(checked.map((ending) => [ending.id, ending]));
		const told: Told[] = [];
		const copies: Promise<void>[] = [];
		for (const row of recorded) {
			const ending = byId.get(row.id) as Ending;
			byId.delete(row.id);
			const result = streamResultOfEnding(ending);
			told.push({ group: row.group_id, cursor: row.finished_seq, result });
			if (row.result_queue) copies.push(copyToQueue(row, result, ending.endpoint));
		}
		if (byId.size > 0) {
			const again = database.repeats !== repeatsBefore || pieces.some((piece) => piece.again);
			for (const row of await explainMissing(byId)) {
				if (!again) continue;
				const result = streamResultOfRow(row);
				told.push({ group: row.group_id, cursor: row.finished_seq, result });
				if (row.result_queue) copies.push(copyToQueue(row, result, row.sender_id));
			}
		}
		await Promise.all(copies);
		tell(told);
		if (told.length > 0) await ports.tellOthers([...new Set(told.map((one) => one.group))]);
	}

	/** Those that had ended before; the rest is unknown here or another endpoint's, and dropped with a trace. */
	async function explainMissing(missing: ReadonlyMap<TaskId, Ending>) {
		const rows = await endedAmong(database, [...missing.keys()]);
		const ended = rows.filter((row) => {
			const { endpoint } = missing.get(row.id) as Ending;
			return endpoint === null || endpoint === row.sender_id;
		});
		const known = new Set(ended.map((row) => row.id));
		for (const [task, { endpoint }] of missing) {
			if (known.has(task) || endpoint === null) continue;
			log.warn({ task, endpoint }, "dropped a result for a task that is not this endpoint's");
			events.emit("task:unknown-result", { endpoint, task });
		}
		return ended;
	}

	function tell(told: Told[]): void {
		told.sort((a, b) => (a.cursor < b.cursor ? -1 : 1));
		for (const [group, some] of Map.groupBy(told, (one) => one.group)) {
			try {
				events.emit("results:recorded", {
					group,
					cursors: some.map((one) => one.cursor),
					results: some.map((one) => one.result),
				});
			} catch (cause) {
				// Recorded is recorded: a listener's fault must not send the message round again.
				log.error({ group, reason: String(cause) }, "a listener to results failed");
			}
		}
	}

	/** A reference counts only when this endpoint has stored the bytes: else it could name somebody else's. */
	async function withStoredBlob(ending: Ending): Promise<Ending> {
		if (ending.blob === null || ending.endpoint === null) return ending;
		const stored = await blobOfEndpoint(database, ending.endpoint, ending.blob.sha256);
		if (stored !== undefined) return { ...ending, blob: { sha256: ending.blob.sha256, sizeBytes: stored } };
		return {
			...ending,
			blob: null,
			state: taskStateToWire.failed,
			failure: failureDocument(
				"BLOB_STORE_FAILED",
				"the endpoint named a result that it has not put into the blob store",
			),
		};
	}

	/** Before the acknowledgement, so that it is done at least once. */
	async function copyToQueue(row: Recorded, result: StreamResult, endpoint: EndpointId | null): Promise<void> {
		const queue = groupQueuePrefix(row.owner_id) + row.group_id;
		const message = publicResultMessage(result, endpoint ?? ("" as EndpointId), await wholeValue(blobs, result));
		try {
			await publisher.publish("", queue, encodeMessage("result", message), {
				contentType: contentTypes.json,
				timestamp: Math.floor(Date.now() / 1000),
			});
		} catch (cause) {
			// The queue expires when nobody reads it; the result stays readable over REST.
			log.info({ queue, task: row.id, reason: String(cause) }, "nobody waits at the group's queue any more");
		}
	}

	return {
		async record(endings, again) {
			if (endings.length === 0) return;
			const piece = { endings, again };
			const failed = await batches.add(piece);
			if (failed.has(piece)) throw failed.get(piece);
		},
		idle: () => batches.idle(),
	};
}

/** The buffer itself, also when it is in the blob store; undefined when there is none or it is too large for a message. */
export async function wholeValue(blobs: BlobStore, result: StreamResult): Promise<string | undefined> {
	const { value, value_reference: reference } = result;
	if (reference === undefined || reference.size_bytes > publicInlineBytes) return value;
	const blob = await blobs.get(reference.sha256);
	if (blob === undefined) return undefined;
	const chunks: Uint8Array[] = [];
	for await (const chunk of blob.body) chunks.push(chunk);
	return Buffer.concat(chunks).toString("utf8");
}
