/**
 * Function, argument and result buffers of the public interface, as text.
 * A buffer is a two-character serialization id, a newline, and content. `pack` puts buffers behind one another, each
 * with its length in Unicode code points (not bytes, not UTF-16 units).
 */
import { Runtime } from "./gen/errand/v1/task_pb.js";

/** The ids that Errand reads or writes. Those of the public interface first, ours (starting with `e`) after. */
export const serializations = {
	/** Data: base64 of dill. Python only. */
	dillData: "00",
	/** Data: JSON. */
	json: "11",
	/** Code: base64 of dill. Python only. */
	dillCode: "01",
	/** Code: `NAME:SOURCE`, Python. */
	pythonSource: "st",
	/** Code: `NAME:SOURCE`, JavaScript: an ES module that exports NAME (`default` for an anonymous function). */
	javascriptSource: "ej",
	/** Code: JSON of a {@link CommandFunction}. */
	command: "ec",
	/** Data: devalue text; keeps what structured clone keeps. JavaScript only. */
	structured: "ev",
	/** Data: JSON of a {@link ReferenceText}: the real buffer is in the blob store. */
	reference: "er",
} as const;

export type Serialization = (typeof serializations)[keyof typeof serializations];

/** A command template: `{name}` is replaced by the shell-quoted keyword argument, `{{` and `}}` are literal braces. */
export interface CommandFunction {
	command: string;
	/** Milliseconds until the process group is ended with return code 124. */
	walltime_ms?: number;
	/** Lines of stdout and stderr in the result; 1,000 unless told, as in the public interface. */
	snippet_lines?: number;
	/** Environment variables added for the command. */
	environment?: Record<string, string>;
}

/** What a command's result holds; the public interface's five keys. */
export interface CommandResult {
	cmd: string;
	stdout: string;
	stderr: string;
	returncode: number;
	exception_name: string | null;
}

export interface ReferenceText {
	sha256: string; // hexadecimal
	size_bytes: number;
}

function codePoints(text: string): number {
	let pairs = 0;
	for (let i = 0; i < text.length; i++) {
		const unit = text.charCodeAt(i);
		if (unit >= 0xd800 && unit <= 0xdbff) {
			const next = text.charCodeAt(i + 1);
			if (next >= 0xdc00 && next <= 0xdfff) {
				pairs++;
				i++;
			}
		}
	}
	return text.length - pairs;
}

/** Inverse of {@link unpack}. */
export function pack(buffers: readonly string[]): string {
	let out = "";
	for (const buffer of buffers) out += `${codePoints(buffer)}\n${buffer}`;
	return out;
}

/** Inverse of {@link pack}. Throws a RangeError that says where the text stops making sense. */
export function unpack(text: string): string[] {
	const buffers: string[] = [];
	let at = 0;
	while (at < text.length) {
		const newline = text.indexOf("\n", at);
		const digits = newline < 0 ? "" : text.slice(at, newline);
		if (!/^\d{1,10}$/.test(digits)) throw new RangeError(`packed text: no length at position ${at}`);
		let left = Number(digits);
		const start = newline + 1;
		at = start;
		while (left > 0) {
			const point = text.codePointAt(at);
			if (point === undefined)
				throw new RangeError(`packed text: the buffer at position ${start} ends ${left} characters early`);
			at += point > 0xffff ? 2 : 1;
			left--;
		}
		buffers.push(text.slice(start, at));
	}
	return buffers;
}

/** `["11", "[1]"]` → `"11\n[1]"`. Inverse of {@link splitBuffer}. */
export function joinBuffer(id: Serialization, content: string): string {
	return `${id}\n${content}`;
}

/** Inverse of {@link joinBuffer}. The id may be one that Errand does not know. */
export function splitBuffer(buffer: string): { id: string; content: string } {
	if (buffer[2] !== "\n") throw new RangeError("a serialized buffer starts with a two-character id and a newline");
	return { id: buffer.slice(0, 2), content: buffer.slice(3) };
}

/** `NAME:SOURCE` → its two parts. */
export function splitSource(content: string): { name: string; source: string } {
	const colon = content.indexOf(":");
	if (colon < 1) throw new RangeError("source code needs a name, a colon and the source");
	return { name: content.slice(0, colon), source: content.slice(colon + 1) };
}

/** Which worker runs this packed code; undefined for an id of neither the public interface nor ours. */
export function runtimeOf(packedCode: string): Runtime | undefined {
	const id = packedCode.slice(packedCode.indexOf("\n") + 1).slice(0, 2);
	return runtimeBySerialization[id];
}

const runtimeBySerialization: Record<string, Runtime> = {
	ej: Runtime.JAVASCRIPT,
	ec: Runtime.COMMAND,
	"00": Runtime.PYTHON,
	"01": Runtime.PYTHON,
	"02": Runtime.PYTHON,
	"03": Runtime.PYTHON,
	"04": Runtime.PYTHON,
	"10": Runtime.PYTHON,
	"12": Runtime.PYTHON,
	st: Runtime.PYTHON,
	sd: Runtime.PYTHON,
};

/** The packed arguments that stand for a blob: one buffer instead of two. */
export function packReference(reference: ReferenceText): string {
	return pack([joinBuffer(serializations.reference, JSON.stringify(reference))]);
}

/**
 * The blob that these packed arguments stand for; undefined when they are the arguments themselves. Throws a RangeError
 * when they are a reference that makes no sense.
 */
export function referenceOf(packed: string): ReferenceText | undefined {
	const newline = packed.indexOf("\n");
	if (newline < 0 || !packed.startsWith("er\n", newline + 1)) return undefined;
	const { sha256, size_bytes } = (readJson(packed.slice(newline + 4)) ?? {}) as Partial<ReferenceText>;
	if (
		typeof sha256 !== "string" ||
		!/^[0-9a-f]{64}$/.test(sha256) ||
		!Number.isSafeInteger(size_bytes) ||
		Number(size_bytes) < 0
	)
		throw new RangeError("a reference needs sha256 (64 hexadecimal digits) and size_bytes");
	return { sha256, size_bytes: Number(size_bytes) };
}

function readJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (cause) {
		throw new RangeError("a reference is JSON, and this is not", { cause });
	}
}
