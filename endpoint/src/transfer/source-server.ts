/**
 * Lets the agent at a transfer's other end read what the transfer names, and nothing else: by TLS with a certificate that
 * the cloud has told of, and a token that ends soon. Connections come to its port, or by the relay.
 */
import { createHash, timingSafeEqual, X509Certificate } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { SourceAssignment } from "@errand/proto/rest";
import * as z from "zod";
import type { LinkIdentity } from "../link/certificate.ts";
import type { Logger } from "../service/logger.ts";
import type { Work } from "./disk-threads.ts";
import { FileFault, plainFault } from "./file-fault.ts";
import { openLocalSource, type Roots } from "./local-source.ts";
import type { Source } from "./source.ts";

/** Between agents. */
export const answers = { ok: 200, part: 206, unauthorized: 401, unknown: 404, fileFault: 409, failed: 500 } as const;

const bodyLimitBytes = 4 * 1024 * 1024;
const idleMs = 120_000;

const fileRef = z.object({
	item: z.int().min(0),
	path: z.string().max(4096),
	version: z.string().max(200).default(""),
});
const packRequest = z.object({ files: z.array(fileRef).min(1).max(10_000), digest: z.boolean() });

export interface SourceServer {
	/** 0: it does not listen. */
	readonly port: number;
	/** What may be read from now on; what is not named any more may not. */
	serve(assignments: readonly SourceAssignment[]): void;
	/** A connection that the relay has brought. */
	take(socket: Socket): void;
	close(): Promise<void>;
}

export interface SourceServerOptions {
	/** Undefined: it takes no connections but the relay's. */
	readonly port: number | undefined;
	readonly host: string;
	readonly identity: LinkIdentity;
	readonly roots: Roots;
	readonly work: Work;
	readonly log: Logger;
	readonly nowMs: () => number;
}

interface Served {
	readonly assignment: SourceAssignment;
	readonly source: Source;
	readonly peer: Buffer;
}

export async function openSourceServer(options: SourceServerOptions): Promise<SourceServer> {
	const { identity, roots, work, log, nowMs } = options;
	const served = new Map<string, Served>();
	const closing = new AbortController();
	const server = createServer(
		{
			key: identity.key,
			cert: identity.certificate,
			minVersion: "TLSv1.3",
			requestCert: true,
			// No authority has signed it: it is compared with the one that the cloud tells of.
			rejectUnauthorized: false,
		},
		(request, response) => {
			respond(request, response).catch((error: unknown) => {
				if (error instanceof FileFault) sendJson(response, answers.fileFault, plainFault(error));
				else {
					log.warn({ err: error }, "transfer: a request could not be answered");
					sendJson(response, answers.failed, { message: "the source could not answer" });
				}
			});
		},
	);
	server.timeout = idleMs;
	server.requestTimeout = idleMs;
	server.on("tlsClientError", (error, socket) => {
		log.debug({ reason: error.message }, "transfer: a connection was refused");
		socket.destroy();
	});

	/** `unknown`: the cloud has told the other end sooner, or this one of its end. */
	function admit(request: IncomingMessage): Served | "unknown" | undefined {
		const id = /^\/transfers\/([0-9a-f-]{36})\//.exec(request.url ?? "")?.[1] ?? "";
		const found = served.get(id);
		if (found === undefined) return "unknown";
		const token = /^Bearer ([\w-]{20,100})$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
		const given = createHash("sha256").update(token).digest();
		const isGood = found.assignment.read_tokens.some(
			({ sha256, ends_at }) => Date.parse(ends_at) > nowMs() && timingSafeEqual(given, Buffer.from(sha256, "hex")),
		);
		const certificate = (request.socket as TLSSocket).getPeerCertificate().raw as Buffer | undefined;
		if (!isGood || certificate === undefined || !found.peer.equals(certificate)) return undefined;
		return found;
	}

	async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const found = admit(request);
		if (found === "unknown") {
			sendJson(response, answers.unknown, { message: "this transfer is not known here, or not yet" });
			return;
		}
		if (found === undefined) {
			sendJson(response, answers.unauthorized, { message: "the token or the certificate is not good for this" });
			return;
		}
		const url = new URL(request.url ?? "", "https://agent");
		const { source } = found;
		switch (`${request.method} ${url.pathname.split("/").slice(3).join("/")}`) {
			case "GET list":
				return await sendList(source, response);
			case "GET file":
				return await sendChunk(source, url, request, response);
			case "GET digest":
				return sendJson(response, answers.ok, await source.digest(fileOf(url), closing.signal));
			case "GET look":
				return sendJson(response, answers.ok, await source.look(fileOf(url), closing.signal));
			case "POST pack": {
				const { files, digest } = packRequest.parse(JSON.parse(await readBody(request)));
				const { entries, bytes } = await source.pack(files, digest, closing.signal);
				const head = Buffer.from(JSON.stringify(entries));
				const length = Buffer.alloc(4);
				length.writeUInt32BE(head.length);
				response.writeHead(answers.ok, { "content-length": 4 + head.length + bytes.length });
				response.write(length);
				response.write(head);
				response.end(bytes);
				return;
			}
			default:
				sendJson(response, answers.unknown, { message: "there is nothing here" });
		}
	}

	async function sendList(source: Source, response: ServerResponse): Promise<void> {
		response.writeHead(answers.ok, { "content-type": "application/x-ndjson" });
		let lines: string[] = [];
		const flush = async (): Promise<void> => {
			if (response.destroyed) throw new Error("the reader went away");
			const text = lines.join("");
			lines = [];
			if (!response.write(text)) await new Promise<void>((resolve) => onceEither(response, resolve));
		};
		for await (const line of source.list(closing.signal)) {
			lines.push(`${JSON.stringify(line)}\n`);
			if (lines.length >= 500) await flush();
		}
		// Only with this is it complete.
		lines.push(`${JSON.stringify({ type: "end" })}\n`);
		await flush();
		response.end();
	}

	async function sendChunk(
		source: Source,
		url: URL,
		request: IncomingMessage,
		response: ServerResponse,
	): Promise<void> {
		const range = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(request.headers.range ?? "");
		const [from, to] = [Number(range?.[1] ?? 0), Number(range?.[2] ?? -1)];
		const length = to - from + 1;
		if (length < 0 || length > 64 * 1024 * 1024)
			throw new FileFault("FILE_ERROR", "a range of at most 64 MiB is needed");
		const wantsDigest = request.headers["x-errand-digest"] === "sha256";
		const { bytes, digest } = await source.chunk(fileOf(url), from, length, wantsDigest, closing.signal);
		response.writeHead(answers.part, {
			"content-length": bytes.length,
			"content-range": `bytes ${from}-${to}/*`,
			...(digest !== null && { "x-errand-digest": digest }),
		});
		response.end(bytes);
	}

	if (options.port !== undefined)
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(options.port, options.host, resolve);
		});

	return {
		port: options.port === undefined ? 0 : (server.address() as AddressInfo).port,
		serve(assignments) {
			served.clear();
			for (const assignment of assignments) {
				const { items, filter_rules: rules, recursive_symlinks: symlinks } = assignment;
				served.set(assignment.transfer_id, {
					assignment,
					source: openLocalSource({ roots, work, items, rules, symlinks }),
					peer: new X509Certificate(assignment.peer_certificate).raw,
				});
			}
		},
		take: (socket) => void server.emit("connection", socket),
		async close() {
			closing.abort(new Error("the agent is stopping"));
			const closed = new Promise<void>((resolve) => server.close(() => resolve()));
			server.closeAllConnections();
			if (options.port !== undefined) await closed;
		},
	};
}

function fileOf(url: URL): z.output<typeof fileRef> {
	const { searchParams } = url;
	return fileRef.parse({
		item: Number(searchParams.get("item")),
		path: searchParams.get("path") ?? "",
		version: searchParams.get("version") ?? "",
	});
}

function onceEither(response: ServerResponse, done: () => void): void {
	const end = (): void => {
		response.off("drain", end).off("close", end);
		done();
	};
	response.on("drain", end).on("close", end);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
	if (response.headersSent) {
		response.destroy();
		return;
	}
	const text = JSON.stringify(body);
	response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
	response.end(text);
}

async function readBody(request: IncomingMessage): Promise<string> {
	const pieces: Buffer[] = [];
	let size = 0;
	for await (const piece of request as AsyncIterable<Buffer>) {
		size += piece.length;
		if (size > bodyLimitBytes) throw new FileFault("FILE_ERROR", "a request has at most 4 MiB");
		pieces.push(piece);
	}
	return Buffer.concat(pieces).toString("utf8");
}
