/** Request bodies: read whole up to a limit (JSON), or passed through and counted (blobs). */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { Fault, type FaultCode } from "@errand/proto";

/** How much a JSON body may hold, and the fault that says it holds more. */
export interface BodyLimit {
	readonly bytes: number;
	readonly code: Extract<FaultCode, `${string}_TOO_LARGE`>;
}

/** A JSON body that takes longer than this is not coming; the peers' own clients give up after 60 s. */
const bodyDeadlineMs = 60_000;

/** All bodies in memory together: 25 of the largest submits. Beyond it callers are asked to wait. */
const bodiesInMemoryBytes = 256 * 1024 * 1024;

/** The request went away; there is nobody to answer. */
export class RequestAborted extends Error {
	override readonly name = "RequestAborted";
}

/** A positive whole number from the header, or undefined when there is none. */
export function contentLength(request: IncomingMessage): number | undefined {
	const text = request.headers["content-length"];
	return text === undefined ? undefined : Number(text);
}

const tooLarge = (limit: BodyLimit): Fault =>
	new Fault(
		limit.code,
		`The request's body has more than the ${limit.bytes} bytes that this route takes: send less in one request.`,
		{
			args: [String(limit.bytes)],
		},
	);

/** Reads JSON bodies within one budget of memory. */
export class BodyReader {
	#held = 0;
	readonly #budgetBytes: number;

	constructor(budgetBytes = bodiesInMemoryBytes) {
		this.#budgetBytes = budgetBytes;
	}

	/**
	 * The parsed body, or undefined when there is none. Faults: the limit's code, REQUEST_MALFORMED (not JSON, not
	 * UTF-8, encoded, too slow), NOT_READY (memory).
	 */
	async json(request: IncomingMessage, limit: BodyLimit): Promise<unknown> {
		const declared = contentLength(request);
		if (declared !== undefined && declared > limit.bytes) throw tooLarge(limit);
		checkHeaders(request);
		const reserved = declared ?? (request.headers["transfer-encoding"] === undefined ? 0 : limit.bytes);
		if (this.#held + reserved > this.#budgetBytes) {
			throw new Fault("NOT_READY", "The service is reading as many request bodies as it can hold: try again.", {
				retryAfterS: 2,
			});
		}
		this.#held += reserved;
		try {
			return parseJson(await readWhole(request, limit));
		} finally {
			this.#held -= reserved;
		}
	}
}

function checkHeaders(request: IncomingMessage): void {
	const encoding = request.headers["content-encoding"];
	if (encoding !== undefined && encoding !== "identity") {
		throw new Fault(
			"REQUEST_MALFORMED",
			`The body's Content-Encoding ${encoding.slice(0, 32)} is not supported: send it unencoded.`,
		);
	}
	const type = request.headers["content-type"];
	if (type !== undefined && !/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) {
		throw new Fault(
			"REQUEST_MALFORMED",
			`The body's Content-Type is ${type.slice(0, 64)}: this route takes application/json.`,
		);
	}
}

function readWhole(request: IncomingMessage, limit: BodyLimit): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let size = 0;
		const deadline = setTimeout(() => {
			finish(() =>
				reject(new Fault("REQUEST_MALFORMED", `The body did not arrive within ${bodyDeadlineMs / 1000} s.`)),
			);
		}, bodyDeadlineMs);
		const onData = (chunk: Buffer): void => {
			size += chunk.length;
			if (size > limit.bytes) finish(() => reject(tooLarge(limit)));
			else chunks.push(chunk);
		};
		const onEnd = (): void =>
			finish(() => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
		const onGone = (): void => finish(() => reject(new RequestAborted("the request ended before its body did")));
		const finish = (settle: () => void): void => {
			clearTimeout(deadline);
			request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
			settle();
		};
		request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
	});
}

function parseJson(bytes: Buffer): unknown {
	if (bytes.length === 0) return undefined;
	if (!isUtf8(bytes)) throw new Fault("REQUEST_MALFORMED", "The body is not UTF-8.");
	try {
		return JSON.parse(bytes.toString("utf8"));
	} catch (error) {
		const said = error instanceof Error ? error.message.replace(/, ".*$/s, "").slice(0, 120) : "";
		throw new Fault("REQUEST_MALFORMED", `The body is not JSON: ${said}.`, { cause: error });
	}
}

/** The database's text has no NUL and its JSON no half characters; a value nested deeper than this is an attack. */
const deepest = 64;
/**
 * Numbers, texts, lists and objects of one body. The largest submits have 20,000 tasks, each a list of three texts in the
 * older form; with many more that are all wrong, a schema would find more faults than there is memory for.
 */
const mostValues = 100_000;

interface Count {
	left: number;
}

/**
 * Refuses what cannot be stored: half surrogate pairs, NUL characters (except below the `opaque` key at the top, which
 * holds payloads that are stored as bytes), nesting without end, and values without number.
 */
export function refuseUnstorable(body: unknown, opaque: string | undefined): void {
	const count = { left: mostValues };
	if (typeof body !== "object" || body === null) {
		check(body, false, 0, "", count);
		return;
	}
	for (const [key, value] of Object.entries(body)) {
		check(key, false, 0, "a key", count);
		check(value, key === opaque, 1, key, count);
	}
}

function check(value: unknown, nulAllowed: boolean, depth: number, at: string, count: Count): void {
	if (--count.left < 0) throw unstorable("", `has more than ${mostValues} values`);
	if (typeof value === "string") {
		if (!value.isWellFormed()) throw unstorable(at, "has half a surrogate pair");
		if (!nulAllowed && value.includes("\0")) throw unstorable(at, "has a NUL character");
	} else if (typeof value === "object" && value !== null) {
		if (depth > deepest) throw unstorable(at, `is nested more than ${deepest} levels deep`);
		if (Array.isArray(value)) for (const item of value) check(item, nulAllowed, depth + 1, at, count);
		else {
			for (const [key, inner] of Object.entries(value)) {
				check(key, false, depth, at, count);
				check(inner, nulAllowed, depth + 1, at, count);
			}
		}
	}
}

const unstorable = (at: string, what: string): Fault =>
	new Fault("SEMANTICALLY_INVALID", `The request's body does not fit: ${at === "" ? "it" : at.slice(0, 64)} ${what}.`);

/** The body as it comes, counted: more than `limit` ends it with the limit's fault. */
export async function* streamBody(request: IncomingMessage, limit: BodyLimit): AsyncGenerator<Uint8Array> {
	let size = 0;
	try {
		for await (const chunk of request) {
			size += (chunk as Buffer).length;
			if (size > limit.bytes) throw tooLarge(limit);
			yield chunk as Buffer;
		}
	} catch (error) {
		if (error instanceof Fault) throw error;
		throw new RequestAborted("the request ended before its body did", { cause: error });
	}
}
