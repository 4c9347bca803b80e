/** Whether the bytes of a field table are one, without decoding it: what is passed on must not surprise who reads it. */
import { Refusal } from "./refusal.ts";

/** Real clients have three; readers of tables go down by recursion. */
const depthLimit = 32;

/** Bytes of the values that have one size. */
const sizes: Readonly<Record<string, number>> = {
	t: 1,
	b: 1,
	B: 1,
	s: 2,
	u: 2,
	I: 4,
	i: 4,
	l: 8,
	f: 4,
	d: 8,
	D: 5,
	T: 8,
	V: 0,
};

/** Of the values that say their own size. */
const sized = new Set(["S", "x", "A", "F"]);

/** Throws a Refusal (SYNTAX_ERROR) when what is between the two places is not a list of named values. */
export function checkTable(bytes: Buffer, start: number, end: number, depth = 0): void {
	let at = start;
	while (at < end) {
		const nameEnd = at + 1 + (bytes[at] as number);
		if (nameEnd > end) throw tableRefusal("a name is cut short");
		at = checkValue(bytes, nameEnd, end, depth);
	}
}

function checkArray(bytes: Buffer, start: number, end: number, depth: number): void {
	let at = start;
	while (at < end) at = checkValue(bytes, at, end, depth);
}

/** Where the value ends. */
function checkValue(bytes: Buffer, at: number, end: number, depth: number): number {
	if (at >= end) throw tableRefusal("a value is missing");
	const type = String.fromCharCode(bytes[at] as number);
	const start = at + 1;
	const size = sizes[type];
	if (size !== undefined) {
		if (start + size > end) throw tableRefusal(`a value of type '${type}' is cut short`);
		return start + size;
	}
	if (!sized.has(type)) throw tableRefusal(`there is no type ${bytes[at]}`);
	const contentStart = start + 4;
	const contentEnd = contentStart <= end ? contentStart + bytes.readUInt32BE(start) : Number.POSITIVE_INFINITY;
	if (contentEnd > end) throw tableRefusal(`a value of type '${type}' is longer than what it is in`);
	if (type === "A" || type === "F") {
		if (depth === depthLimit) throw tableRefusal(`values are nested more than ${depthLimit} deep`);
		const check = type === "A" ? checkArray : checkTable;
		check(bytes, contentStart, contentEnd, depth + 1);
	}
	return contentEnd;
}

const tableRefusal = (what: string): Refusal => new Refusal("SYNTAX_ERROR", `a field table is none: ${what}`);
