/** The few REST calls of a daemon: its lease, its registration, its blobs. Faults are the cloud's own; what may succeed later is tried again. */
import { createReadStream } from "node:fs";
import { Fault, type FaultCode, faults, isFaultCode } from "@errand/proto";
import {
	type EndpointRegistered,
	type EndpointRegistration,
	endpointRegistered,
	type Lease,
	lease,
	type leaseRequest,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Credentials } from "../config/credentials.ts";
import type { BlobRemote } from "../link/blob-cache.ts";
import type { Logger } from "../service/logger.ts";
import { BackOff, pause } from "./back-off.ts";
import { openTokens } from "./token.ts";

const requestTimeoutMs = 30_000;
const firstWaitMs = 200;
const longestWaitMs = 20_000;

const owned = z.object({ owner_id: z.uuid() });
const problem = z.object({ code: z.string(), detail: z.string() });

export interface CloudClient {
	/** One try. LEASE_HELD when another daemon has it. */
	takeLease(request: z.input<typeof leaseRequest>, signal: AbortSignal): Promise<Lease>;
	/** One try. */
	releaseLease(request: z.input<typeof leaseRequest>, signal: AbortSignal): Promise<void>;
	/** Tries until the cloud answers. `whileLocked`: whether a lock on the endpoint is waited out or the answer. */
	register(
		registration: EndpointRegistration,
		signal: AbortSignal,
		options: { whileLocked: "wait" | "refuse" },
	): Promise<EndpointRegistered>;
	/** The account that the endpoint belongs to. Tries until the cloud answers. */
	ownerId(signal: AbortSignal): Promise<string>;
	/** The cloud's version document, without credentials: for the doctor. One try. */
	version(signal: AbortSignal): Promise<unknown>;
	readonly blobs: BlobRemote;
}

interface Call {
	readonly method: string;
	readonly path: string;
	readonly json?: unknown;
	readonly headers?: Record<string, string>;
	readonly body?: () => { stream: AsyncIterable<Uint8Array>; sizeBytes: number };
	/** Undefined: the body takes as long as it takes. */
	readonly timeoutMs?: number;
}

export function openCloudClient(credentials: Credentials, nowMs: () => number, log: Logger): CloudClient {
	const tokens = openTokens(credentials, nowMs);
	const endpointPath = `/v1/endpoints/${credentials.endpointId}`;

	async function once(call: Call, signal: AbortSignal, fresh: boolean): Promise<Response> {
		const token = await tokens.accessToken({ fresh });
		const body = call.body?.();
		const signals =
			call.timeoutMs === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(call.timeoutMs)]);
		const response = await fetch(credentials.cloudUrl + call.path, {
			method: call.method,
			headers: {
				authorization: `Bearer ${token}`,
				accept: "application/json",
				...(call.json !== undefined && { "content-type": "application/json" }),
				...(body && { "content-type": "application/octet-stream", "content-length": String(body.sizeBytes) }),
				...call.headers,
			},
			...(call.json !== undefined && { body: JSON.stringify(call.json) }),
			...(body && { body: body.stream as unknown as BodyInit, duplex: "half" }),
			signal: signals,
		});
		if (response.ok) return response;
		throw await faultOf(response, call);
	}

	async function request(call: Call, signal: AbortSignal): Promise<Response> {
		try {
			return await once(call, signal, false);
		} catch (error) {
			const refused = error instanceof Fault && faults[error.code].httpStatus === 401;
			if (!refused) throw error;
			return await once(call, signal, true);
		}
	}

	/** `final`: a fault that would pass, and is the answer all the same. */
	async function patiently<T>(
		what: string,
		signal: AbortSignal,
		call: () => Promise<T>,
		final?: FaultCode,
	): Promise<T> {
		const backOff = new BackOff(firstWaitMs, longestWaitMs);
		for (;;) {
			try {
				return await call();
			} catch (error) {
				if (signal.aborted) throw error;
				if (error instanceof Fault && (error.code === final || !faults[error.code].retry)) throw error;
				const waitMs = error instanceof Fault && error.retryAfterS ? error.retryAfterS * 1000 : backOff.nextMs();
				log.warn({ what, waitMs: Math.round(waitMs), err: error }, "cloud: no success yet, waiting to try again");
				await pause(waitMs, signal);
			}
		}
	}

	return {
		async takeLease(body, signal) {
			const response = await request(
				{ method: "PUT", path: `${endpointPath}/lease`, json: body, timeoutMs: requestTimeoutMs },
				signal,
			);
			return lease.parse(await response.json());
		},
		async releaseLease(body, signal) {
			const response = await request(
				{ method: "DELETE", path: `${endpointPath}/lease`, json: body, timeoutMs: requestTimeoutMs },
				signal,
			);
			await response.body?.cancel();
		},
		register(body, signal, { whileLocked }) {
			const path = `/v3/endpoints/${credentials.endpointId}`;
			const call = async (): Promise<EndpointRegistered> => {
				const response = await request({ method: "PUT", path, json: body, timeoutMs: requestTimeoutMs }, signal);
				return endpointRegistered.parse(await response.json());
			};
			return patiently("registration", signal, call, whileLocked === "refuse" ? "RESOURCE_LOCKED" : undefined);
		},
		ownerId: (signal) =>
			patiently("the endpoint's owner", signal, async () => {
				const response = await request({ method: "GET", path: endpointPath, timeoutMs: requestTimeoutMs }, signal);
				return owned.parse(await response.json()).owner_id;
			}),
		async version(signal) {
			const response = await fetch(`${credentials.cloudUrl}/v2/version`, {
				signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]),
			});
			return await response.json();
		},
		blobs: {
			download: (sha256, offsetBytes, signal) =>
				patiently("blob download", signal, async () => {
					const headers: Record<string, string> = offsetBytes > 0 ? { range: `bytes=${offsetBytes}-` } : {};
					const response = await request({ method: "GET", path: `/v1/blobs/${sha256}`, headers }, signal);
					if (!response.body) throw new Error("the cloud sent no body");
					const stream = response.body as unknown as AsyncIterable<Uint8Array>;
					return offsetBytes > 0 && response.status !== 206 ? skip(stream, offsetBytes) : stream;
				}),
			upload: (sha256, path, sizeBytes, signal) =>
				patiently("blob upload", signal, async () => {
					const known = await request(
						{ method: "HEAD", path: `/v1/blobs/${sha256}`, timeoutMs: requestTimeoutMs },
						signal,
					).then(
						() => true,
						(error: unknown) => {
							if (error instanceof Fault && faults[error.code].httpStatus === 404) return false;
							throw error;
						},
					);
					if (known) return;
					const body = () => ({ stream: createReadStream(path, { highWaterMark: 1024 * 1024 }), sizeBytes });
					const response = await request({ method: "PUT", path: `/v1/blobs/${sha256}`, body }, signal);
					await response.body?.cancel();
				}),
		},
	};
}

/** For a server that does not know ranges: what is there already is read and dropped. */
async function* skip(stream: AsyncIterable<Uint8Array>, offsetBytes: number): AsyncGenerator<Uint8Array> {
	let left = offsetBytes;
	for await (const piece of stream) {
		if (piece.length <= left) left -= piece.length;
		else {
			yield left > 0 ? piece.subarray(left) : piece;
			left = 0;
		}
	}
}

/** The cloud's own fault where it told one; otherwise the nearest by status. */
async function faultOf(response: Response, call: Call): Promise<Error> {
	const text = await response.text().catch(() => "");
	const retryAfter = Number(response.headers.get("retry-after"));
	const options = Number.isFinite(retryAfter) && retryAfter > 0 ? { retryAfterS: retryAfter } : {};
	const read = problem.safeParse(jsonOf(text));
	if (read.success && isFaultCode(read.data.code)) return new Fault(read.data.code, read.data.detail, options);
	const nearest = Object.entries(faults).find(([, row]) => row.httpStatus === response.status)?.[0];
	const message = `${call.method} ${call.path} was answered with ${response.status}`;
	if (response.status === 404 && call.path.startsWith("/v1/blobs/")) return new Fault("BLOB_NOT_FOUND", message);
	return nearest !== undefined && isFaultCode(nearest) && response.status < 500
		? new Fault(nearest, message, options)
		: new Error(message);
}

function jsonOf(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
