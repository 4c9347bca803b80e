/** Large values: who may store and who may read them. */
import { type AccountId, blobLimitBytes, Fault } from "@errand/proto";
import type { Caller } from "../policy/caller.ts";
import { blobOfAccount, blobOfEndpoint, grantBlob } from "../store/blobs.ts";
import type { Operations } from "./operations.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";

export function blobOperations({ database, blobs }: Ports): Pick<Operations, "putBlob" | "getBlob" | "hasBlob"> {
	/** The size when the caller stored it or a task of the caller names it. */
	function granted(caller: Caller, sha256: string): Promise<number | undefined> {
		const name = bytesOf(sha256);
		return caller.kind === "endpoint" && caller.endpointId !== undefined
			? blobOfEndpoint(database, caller.endpointId, name)
			: blobOfAccount(database, caller.accountId, name);
	}

	return {
		async putBlob(caller, sha256, body, sizeBytes) {
			permit(caller, "blob.put");
			const name = bytesOf(sha256);
			if (sizeBytes !== undefined && sizeBytes > blobLimitBytes)
				throw new Fault(
					"BLOB_TOO_LARGE",
					`a value may have ${blobLimitBytes} bytes; this one has ${sizeBytes}. Put it into a file and transfer that`,
				);
			// The bytes are read even when they are there: having them is what earns the right to read them.
			const stored = await blobs.put(sha256, body);
			// An endpoint's grants are its own: its owner reads a result through the task that names it.
			const holder = caller.kind === "endpoint" ? (caller.endpointId as string as AccountId) : caller.accountId;
			await grantBlob(database, holder, name, stored);
			if ((await blobs.size(sha256)) === undefined)
				throw new Fault("BLOB_STORE_FAILED", `${sha256} was cleared away while you stored it; store it again`, {
					retryAfterS: 1,
				});
		},

		async getBlob(caller, sha256) {
			permit(caller, "blob.get", { granted: (await granted(caller, sha256)) !== undefined }, sha256);
			const blob = await blobs.get(sha256);
			if (blob === undefined)
				throw new Fault("BLOB_NOT_FOUND", `the blob store has lost ${sha256}; store it again`, { args: [sha256] });
			return blob;
		},

		async hasBlob(caller, sha256) {
			const sizeBytes = await granted(caller, sha256);
			return sizeBytes !== undefined && (await blobs.size(sha256)) === sizeBytes;
		},
	};
}

function bytesOf(sha256: string): Buffer {
	if (!/^[0-9a-f]{64}$/.test(sha256))
		throw new Fault("REQUEST_MALFORMED", "a blob is named by its SHA-256: 64 lower-case hexadecimal digits");
	return Buffer.from(sha256, "hex");
}
