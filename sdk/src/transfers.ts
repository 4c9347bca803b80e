/** Moving files between collections: a part of the client. */
import { type FileOutcome, isTransferOver, type TransferStatus } from "@errand/proto";
import * as rest from "@errand/proto/rest";
import { pause } from "./back-off.ts";
import type { PageOptions } from "./client.ts";
import type { Rest } from "./rest.ts";

/** What is moved and how; `source_endpoint` and `destination_endpoint` by id or name. */
export type TransferOptions = rest.TransferSubmission;

export interface TransferFilter extends PageOptions {
	statuses?: readonly TransferStatus[];
	/** First characters of the transfer's id, at least 4. */
	idPrefix?: string;
}

export interface TransferWait {
	/** After this the waiting ends, and what there is of it is returned; the transfer goes on. Milliseconds. */
	timeoutMs?: number;
	/** Called with each look at it. */
	onProgress?: (transfer: rest.TransferDocument) => void;
	signal?: AbortSignal;
}

const id = encodeURIComponent;
const pages = {
	transfers: rest.page(rest.transferDocument),
	events: rest.page(rest.transferEvent),
	files: rest.page(rest.transferFile),
};
const firstLookMs = 100;
const longestLookMs = 2_000;

export class Transfers {
	readonly #rest: Rest;
	readonly #endpointId: (idOrName: string) => Promise<string>;

	constructor(restClient: Rest, endpointId: (idOrName: string) => Promise<string>) {
		this.#rest = restClient;
		this.#endpointId = endpointId;
	}

	/** Returns when the cloud has it on record. `idempotencyKey`: a repeat returns the same transfer. */
	async submit(
		options: TransferOptions,
		idempotencyKey: string = globalThis.crypto.randomUUID(),
	): Promise<rest.TransferDocument> {
		const [source, destination] = await Promise.all([
			this.#endpointId(options.source_endpoint),
			this.#endpointId(options.destination_endpoint),
		]);
		const body = { ...options, source_endpoint: source, destination_endpoint: destination };
		const request = { method: "POST", path: "/v1/transfers", body, idempotencyKey, patient: true } as const;
		return await this.#rest.json(request, rest.transferDocument);
	}

	get(transferId: string): Promise<rest.TransferDocument> {
		return this.#rest.json({ method: "GET", path: `/v1/transfers/${id(transferId)}` }, rest.transferDocument);
	}

	/** Newest first. */
	list({ statuses, idPrefix, ...paging }: TransferFilter = {}): Promise<rest.Page<rest.TransferDocument>> {
		const query = { ...paging, status: statuses, id_prefix: idPrefix };
		return this.#rest.json({ method: "GET", path: "/v1/transfers", query }, pages.transfers);
	}

	/** Files that are complete stay. May be repeated. */
	cancel(transferId: string): Promise<rest.TransferDocument> {
		return this.#rest.json({ method: "POST", path: `/v1/transfers/${id(transferId)}/cancel` }, rest.transferDocument);
	}

	/** What has happened, oldest first. */
	events(transferId: string, options: PageOptions = {}): Promise<rest.Page<rest.TransferEvent>> {
		const path = `/v1/transfers/${id(transferId)}/events`;
		return this.#rest.json({ method: "GET", path, query: { ...options } }, pages.events);
	}

	/** What became of each file. */
	files(
		transferId: string,
		options: PageOptions & { outcome?: FileOutcome } = {},
	): Promise<rest.Page<rest.TransferFile>> {
		const path = `/v1/transfers/${id(transferId)}/files`;
		return this.#rest.json({ method: "GET", path, query: { ...options } }, pages.files);
	}

	/** Until it is over, well or not, or the time is: look at `status`. An INACTIVE one is waited for too. */
	async wait(transferId: string, options: TransferWait = {}): Promise<rest.TransferDocument> {
		const untilMs = Date.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
		for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 1.5, longestLookMs)) {
			const transfer = await this.get(transferId);
			options.onProgress?.(transfer);
			if (isTransferOver(transfer.status)) return transfer;
			options.signal?.throwIfAborted();
			const leftMs = untilMs - Date.now();
			if (leftMs <= 0) return transfer;
			await pause(Math.min(waitMs, leftMs), options.signal);
		}
	}
}
