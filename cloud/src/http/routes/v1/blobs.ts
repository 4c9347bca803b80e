import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { blobLimitBytes, Fault } from "@errand/proto";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type BodyLimit, contentLength, RequestAborted, streamBody } from "../../body.ts";
import { bytesRoute, type Route } from "../../route.ts";
import { sendJson } from "../../send.ts";

const byChecksum = z.object({
	sha256: z
		.string()
		.regex(/^[0-9a-fA-F]{64}$/, "is not a SHA-256 in hexadecimal")
		.transform((text) => text.toLowerCase()),
});
const limit: BodyLimit = { bytes: blobLimitBytes, code: "BLOB_TOO_LARGE" };
const bytesType = "application/octet-stream";
const path = "/v1/blobs/{sha256}";

/** The bytes under a checksum never change, and are for those only who may read them. */
function describe(response: ServerResponse, sha256: string): void {
	response.setHeader("ETag", `"${sha256}"`);
	response.setHeader("Cache-Control", "private, max-age=31536000, immutable");
}

/** Values by reference: streamed in both directions, never held whole. */
export const blobs = (operations: Operations): Route[] => [
	bytesRoute({
		method: "PUT",
		path,
		summary: "Stores a value under its checksum",
		params: byChecksum,
		takes: bytesType,
		reply: z.object({ sha256: z.string() }),
		faults: ["BLOB_TOO_LARGE", "CHECKSUM_MISMATCH", "BLOB_STORE_FAILED"],
		async serve(caller, { params }, request, response) {
			const declared = contentLength(request);
			if (declared !== undefined && declared > limit.bytes) {
				throw new Fault(limit.code, `A value has at most ${limit.bytes} bytes, this has ${declared}.`, {
					args: [String(limit.bytes)],
				});
			}
			await operations.putBlob(caller, params.sha256, streamBody(request, limit), declared);
			sendJson(response, 200, { sha256: params.sha256 });
		},
	}),
	bytesRoute({
		method: "HEAD",
		path,
		summary: "Whether the caller may read this value",
		params: byChecksum,
		faults: ["BLOB_NOT_FOUND"],
		async serve(caller, { params }, _request, response) {
			if (!(await operations.hasBlob(caller, params.sha256))) {
				throw new Fault("BLOB_NOT_FOUND", `There is no value ${params.sha256} that you may read.`, {
					args: [params.sha256],
				});
			}
			describe(response, params.sha256);
			response.writeHead(200, { "Content-Type": bytesType }).end();
		},
	}),
	bytesRoute({
		method: "GET",
		path,
		summary: "A value that the caller stored, or that one of its tasks has",
		params: byChecksum,
		gives: bytesType,
		faults: ["BLOB_NOT_FOUND", "BLOB_STORE_FAILED"],
		async serve(caller, { params }, _request, response) {
			const { sizeBytes, body } = await operations.getBlob(caller, params.sha256);
			describe(response, params.sha256);
			response.writeHead(200, {
				"Content-Type": bytesType,
				"Content-Length": sizeBytes,
				"Content-Disposition": "attachment",
			});
			try {
				await pipeline(Readable.from(body, { objectMode: false }), response);
			} catch (error) {
				const gone = error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
				throw gone ? new RequestAborted("the reader went away", { cause: error }) : error;
			}
		},
	}),
];
