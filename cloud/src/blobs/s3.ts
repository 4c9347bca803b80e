/**
 * Blobs as objects in a bucket of any service with S3's interface. A value is first spooled to a file, because the
 * service wants to know its size and because a wrong checksum must not leave anything behind.
 */
import { openAsBlob } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { blobLimitBytes, Fault } from "@errand/proto";
import { AwsClient } from "aws4fetch";
import type { BlobStore } from "./blobs.ts";
import { blobName, clearParts, partFile, writePart } from "./part-file.ts";

export interface S3Options {
	/** Such as `https://s3.eu-central-1.amazonaws.com`; the bucket goes into the path. */
	readonly endpoint: string;
	readonly bucket: string;
	readonly region: string;
	/** Put before every key. */
	readonly prefix: string;
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
	/** For uploads under way; needs room for the largest values at the same time. */
	readonly spoolDirectory: string;
	readonly limitBytes?: number;
}

/** Of a request that carries no value. */
const answerTimeoutMs = 30_000;
/** Repeats of a request that the service could not serve, with growing pauses. */
const repeats = 4;

export async function openS3Blobs(options: S3Options): Promise<BlobStore> {
	const { spoolDirectory, limitBytes = blobLimitBytes } = options;
	await mkdir(spoolDirectory, { recursive: true, mode: 0o700 });
	await clearParts(spoolDirectory);
	const client = new AwsClient({
		accessKeyId: options.accessKeyId,
		secretAccessKey: options.secretAccessKey,
		region: options.region,
		service: "s3",
		retries: repeats,
	});
	const bucketUrl = `${options.endpoint.replace(/\/+$/, "")}/${encodeURIComponent(options.bucket)}`;
	const urlOf = (sha256: string): string => `${bucketUrl}/${options.prefix}${blobName(sha256)}`;

	/** Resolves with the answer when its status is one of those expected. */
	async function ask(
		what: string,
		url: string,
		expected: readonly number[],
		init: RequestInit = {},
	): Promise<Response> {
		let response: Response;
		try {
			response = await client.fetch(url, init);
		} catch (cause) {
			throw failed(what, (cause as Error).message, cause);
		}
		if (expected.includes(response.status)) return response;
		const words = (await response.text().catch(() => "")).slice(0, 500);
		const code = /<Code>([^<]+)<\/Code>/.exec(words)?.[1] ?? "";
		throw failed(what, `status ${response.status} ${code}`.trim());
	}
	const brief = (): RequestInit => ({ signal: AbortSignal.timeout(answerTimeoutMs) });

	async function size(sha256: string): Promise<number | undefined> {
		const response = await ask("look for", urlOf(sha256), [200, 404], { method: "HEAD", ...brief() });
		return response.status === 404 ? undefined : Number(response.headers.get("content-length"));
	}

	return {
		size,
		async put(sha256, body) {
			const url = urlOf(sha256);
			const part = partFile(spoolDirectory);
			try {
				const written = await writePart(part, body, sha256, limitBytes);
				if ((await size(sha256)) !== written)
					// The service checks the bytes against the checksum in the signature.
					await ask("store", url, [200, 201], {
						method: "PUT",
						body: await openAsBlob(part),
						headers: { "x-amz-content-sha256": sha256, "content-type": "application/octet-stream" },
					});
				return written;
			} catch (cause) {
				throw cause instanceof Fault ? cause : failed("store", (cause as Error).message, cause);
			} finally {
				await rm(part, { force: true });
			}
		},
		async get(sha256) {
			const response = await ask("read", urlOf(sha256), [200, 404]);
			if (response.status === 404 || response.body === null) {
				await response.body?.cancel();
				return undefined;
			}
			return { sizeBytes: Number(response.headers.get("content-length")), body: response.body };
		},
		async delete(sha256) {
			await ask("delete", urlOf(sha256), [200, 204, 404], { method: "DELETE", ...brief() });
		},
		async check() {
			await ask("reach", bucketUrl, [200], { method: "HEAD", ...brief() });
		},
	};
}

/** No key, address or signature in it: callers read it. */
function failed(verb: string, why: string, cause?: unknown): Fault {
	return new Fault("BLOB_STORE_FAILED", `the blob store could not ${verb} a value: ${why}; try again later`, {
		retryAfterS: 30,
		cause,
	});
}
