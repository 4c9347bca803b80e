/** The end that is read, behind a connection: dialled directly, or by the relay; TLS with a certificate that the cloud has told of. */
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import type { DestinationAssignment } from "@errand/proto/rest";
import * as z from "zod";
import { type LinkIdentity, linkServerName } from "../link/certificate.ts";
import { FileFault, fileFaultCodes } from "./file-fault.ts";
import { dialRelay } from "./relay-dial.ts";
import { ConnectionLost, type ListedLine, type ListLine, type Source } from "./source.ts";
import type { PackEntry } from "./source-jobs.ts";
import { answers } from "./source-server.ts";

const dialTimeoutMs = 10_000;
/** A reply of which nothing comes for so long. Reading a chunk from a slow file system is part of it. */
const idleMs = 60_000;
const smallReplyBytes = 1024 * 1024;

const count = z.int().min(0);
const path = z.string().max(4096);
const listLine = z.discriminatedUnion("type", [
	z.object({
		type: z.literal("file"),
		item: count,
		path,
		size: count,
		mtimeMs: z.number(),
		mode: count,
		version: z.string().max(200),
	}),
	z.object({ type: z.literal("directory"), item: count, path }),
	z.object({ type: z.literal("symlinks"), item: count, path, count }),
	z.object({
		type: z.literal("fault"),
		item: count,
		path,
		fault: z.object({ code: z.enum(fileFaultCodes), message: z.string() }),
	}),
	z.object({ type: z.literal("end") }),
]);

const faultBody = z.object({ code: z.enum(fileFaultCodes), message: z.string() });

export interface RemoteSourceOptions {
	/** As it is now: tokens and addresses change. */
	readonly assignment: () => DestinationAssignment;
	readonly identity: LinkIdentity;
	readonly cloudUrl: string;
	readonly connections: number;
}

export function openRemoteSource({ assignment, identity, cloudUrl, connections }: RemoteSourceOptions): Source {
	const closing = new AbortController();
	const agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
	agent.createConnection = (_options: unknown, done?: (error: Error | null, socket: Duplex) => void) => {
		dial().then(
			(socket) => done?.(null, socket),
			(error: Error) => done?.(error, undefined as never),
		);
		return undefined as never;
	};

	async function dial(): Promise<TLSSocket> {
		const { used_route, peer_addresses, peer_certificate, transfer_id, relay_token } = assignment();
		const tls = {
			key: identity.key,
			cert: identity.certificate,
			ca: peer_certificate,
			servername: linkServerName,
			minVersion: "TLSv1.3" as const,
		};
		if (used_route === "relay") {
			const dialled = { cloudUrl, transferId: transfer_id, side: "destination", token: relay_token } as const;
			const socket = await dialRelay({ ...dialled, signal: closing.signal }).catch((cause: Error) => {
				throw new ConnectionLost(`the relay: ${cause.message}`, { cause });
			});
			return await secured(connect({ ...tls, socket }), "the relay");
		}
		let last = new ConnectionLost("the source tells no address", { undialled: true });
		for (const address of peer_addresses) {
			const at = address.lastIndexOf(":");
			const host = address.slice(0, at).replace(/^\[|\]$/g, "");
			try {
				return await secured(connect({ ...tls, host, port: Number(address.slice(at + 1)) }), address);
			} catch (error) {
				last = error as ConnectionLost;
			}
		}
		throw last;
	}

	function request(
		method: string,
		path: string,
		signal: AbortSignal,
		options: { headers?: Record<string, string>; body?: string } = {},
	): Promise<IncomingMessage> {
		const { transfer_id, read_token } = assignment();
		const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
		const sent = httpsRequest({
			agent,
			method,
			path: `/transfers/${transfer_id}/${path}`,
			host: linkServerName,
			signal: AbortSignal.any([signal, closing.signal]),
			timeout: idleMs,
			headers: {
				authorization: `Bearer ${read_token}`,
				...(options.body !== undefined && { "content-length": String(Buffer.byteLength(options.body)) }),
				...options.headers,
			},
		});
		sent.once("response", resolve);
		sent.once("timeout", () => sent.destroy(new Error("the source does not answer")));
		sent.on("error", (error) => reject(lost(error)));
		sent.end(options.body);
		return promise;
	}

	async function bytesOf(response: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
		await refuse(response);
		const length = Number(response.headers["content-length"]);
		if (!Number.isSafeInteger(length)) throw new ConnectionLost("the source does not say how much comes");
		const bytes = Buffer.allocUnsafeSlow(length);
		let at = 0;
		await new Promise<void>((resolve, reject) => {
			response.on("data", (piece: Buffer) => {
				if (at + piece.length > length) response.destroy(new Error("more came than was said"));
				else bytes.set(piece, at);
				at += piece.length;
			});
			response.once("end", resolve);
			response.once("error", (error) => reject(lost(error)));
			response.once("close", () => reject(new ConnectionLost("the connection ended in the middle of a reply")));
		});
		if (at !== length) throw new ConnectionLost("the connection ended in the middle of a reply");
		return bytes;
	}

	async function refuse(response: IncomingMessage): Promise<void> {
		const status = response.statusCode ?? 0;
		if (status === answers.ok || status === answers.part) return;
		const text = await textOf(response);
		if (status === answers.unknown)
			throw new ConnectionLost("the source has not heard of this transfer", { notYet: true });
		if (status === answers.unauthorized)
			throw new ConnectionLost("the source does not accept the token any more", { tokenEnded: true });
		const read = faultBody.safeParse(jsonOf(text));
		if (status === answers.fileFault && read.success) throw new FileFault(read.data.code, read.data.message);
		throw new ConnectionLost(`the source answered ${status}`);
	}

	const json = async <T>(path: string, signal: AbortSignal): Promise<T> => {
		const response = await request("GET", path, signal);
		await refuse(response);
		return JSON.parse(await textOf(response)) as T;
	};
	const query = (file: { item: number; path: string; version?: string }): string =>
		new URLSearchParams({ item: String(file.item), path: file.path, version: file.version ?? "" }).toString();

	return {
		async *list(signal) {
			const response = await request("GET", "list", signal);
			await refuse(response);
			let rest = "";
			try {
				for await (const piece of response.setEncoding("utf8") as AsyncIterable<string>) {
					const lines = (rest + piece).split("\n");
					rest = lines.pop() ?? "";
					for (const text of lines) {
						const line: ListLine | { type: "end" } = listLine.parse(JSON.parse(text));
						if (line.type === "end") return;
						yield line;
					}
				}
			} catch (error) {
				throw lost(error);
			}
			throw new ConnectionLost("the list ended too early");
		},
		async chunk(file, offset, length, wantsDigest, signal) {
			const headers = {
				range: `bytes=${offset}-${offset + length - 1}`,
				...(wantsDigest && { "x-errand-digest": "sha256" }),
			};
			const response = await request("GET", `file?${query(file)}`, signal, { headers });
			const bytes = await bytesOf(response);
			const digest = response.headers["x-errand-digest"];
			if (bytes.length !== length || (wantsDigest && typeof digest !== "string"))
				throw new ConnectionLost("the source answered with something else");
			return { bytes, digest: typeof digest === "string" ? digest : null };
		},
		async pack(files, digest, signal) {
			const refs = files.map(({ item, path, version }) => ({ item, path, version }));
			const body = JSON.stringify({ files: refs, digest });
			const whole = await bytesOf(await request("POST", "pack", signal, { body }));
			const headLength = new DataView(whole.buffer).getUint32(0);
			const head = Buffer.from(whole.buffer, 4, headLength).toString("utf8");
			return { entries: JSON.parse(head) as PackEntry[], bytes: whole.slice(4 + headLength) };
		},
		digest: (file, signal) => json(`digest?${query(file)}`, signal),
		look: (file, signal) => json<ListedLine>(`look?${query(file)}`, signal),
		close() {
			closing.abort(new Error("the transfer is over"));
			agent.destroy();
		},
	};
}

function secured(socket: TLSSocket, where: string): Promise<TLSSocket> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => socket.destroy(new Error("no answer")), dialTimeoutMs);
		socket.once("secureConnect", () => {
			clearTimeout(timer);
			socket.off("error", fail);
			socket.setNoDelay(true);
			resolve(socket);
		});
		const fail = (cause: Error): void => {
			clearTimeout(timer);
			reject(new ConnectionLost(`${where}: ${cause.message}`, { undialled: true, cause }));
		};
		socket.once("error", fail);
	});
}

function lost(error: unknown): Error {
	if (error instanceof ConnectionLost || error instanceof FileFault) return error;
	return new ConnectionLost(error instanceof Error ? error.message : String(error), { cause: error });
}

async function textOf(response: IncomingMessage): Promise<string> {
	const pieces: Buffer[] = [];
	let size = 0;
	try {
		for await (const piece of response as AsyncIterable<Buffer>) {
			size += piece.length;
			if (size > smallReplyBytes) throw new ConnectionLost("the source answered with something else");
			pieces.push(piece);
		}
	} catch (error) {
		throw lost(error);
	}
	return Buffer.concat(pieces).toString("utf8");
}

function jsonOf(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}
