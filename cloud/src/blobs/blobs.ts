/**
 * The port to where large values are kept, named by their content. Who may read what is not its business
 * (`operations/blobs.ts`).
 */
export interface BlobStore {
	/**
	 * Stores the stream. On success all bytes are durable and readable under `sha256`; on failure nothing is there that
	 * was not before. Rejects with CHECKSUM_MISMATCH when the bytes are others, BLOB_TOO_LARGE past the limit,
	 * BLOB_STORE_FAILED when the store does not take them. May be repeated. Returns the size.
	 */
	put(sha256: string, body: AsyncIterable<Uint8Array>): Promise<number>;
	/** The bytes as a stream; undefined when there is no such blob. */
	get(sha256: string): Promise<{ sizeBytes: number; body: AsyncIterable<Uint8Array> } | undefined>;
	/** Its size; undefined when there is no such blob. Cheap. */
	size(sha256: string): Promise<number | undefined>;
	/** May be repeated; no such blob is success. */
	delete(sha256: string): Promise<void>;
	/** Rejects when the store cannot be used. */
	check(): Promise<void>;
}
