/** Paths such as `$.runs[0]['sample name']`: one place in a run's state, read and written without changing it. */
import { FlowFailure } from "./flow-failure.ts";
import { pathLimitChars } from "./flow-limits.ts";
import { isJsonList, isJsonObject, isPrototypeKey, type Json, kindOf, ownValue } from "./json.ts";
import type { Scope } from "./scope.ts";

/** `$.a.b[0]`, parsed. `[]` is `$`, the whole state. Strings are keys of objects; numbers are places in lists, from the end when negative. */
export type ReferencePath = readonly (string | number)[];

/** Why a text is no path; `at` is the character, from 0. */
export interface PathFault {
	readonly message: string;
	readonly at: number;
}

const dotted = /\.([\p{L}_$][\p{L}\p{N}_$-]*)/uy;
const place = /\[(-?\d{1,9})\]/y;
const quoted = /\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]/y;

/** What other dialects of JSONPath have at this place, with what to do instead. */
const foreign: readonly (readonly [RegExp, string])[] = [
	[/\.\./y, '".." searches; a path names one place'],
	[/\.\*|\[\*\]/y, '"*" matches several places; a path names one: use a comprehension, `[x.name for x in items]`'],
	[/\[\?/y, "filters are not taken: use a comprehension, `[x for x in items if x.size > 0]`"],
	[/\[[^\]'"]*:/y, "slices are not taken: use an expression, `items[1:3]`"],
	[/\[[^\]'"]*,/y, "several places at once are not taken: a path names one"],
	[/\[\d{10,}/y, "a place in a list has at most 9 digits"],
	[/\.\d/y, "a place in a list is written in brackets: [0]"],
	[/\[\s|\[[^\]]*\s\]/y, "no blanks in brackets"],
	[/\[[^'"\d-]/y, "a key in brackets is written in quotes: ['sample name']"],
];

/** The inverse of {@link formatPath}. A fault instead of an exception: a linter wants all of them. */
export function parsePath(text: string): ReferencePath | PathFault {
	if (text.length > pathLimitChars)
		return { message: `a path has at most ${pathLimitChars} characters, this one has ${text.length}`, at: 0 };
	if (text.startsWith("$$")) return { message: "the run's context is at $._context", at: 0 };
	if (!text.startsWith("$")) return { message: "a path begins with $, the run's state: $.input.files", at: 0 };
	const path: (string | number)[] = [];
	let at = 1;
	while (at < text.length) {
		const found = match(dotted, text, at) ?? match(place, text, at) ?? match(quoted, text, at);
		if (!found) return { message: obstacle(text, at), at };
		const [whole, name, other] = found;
		if (whole.startsWith("[") && name !== undefined && /^-?\d/.test(whole.slice(1))) path.push(Number(name));
		else {
			const key = whole.startsWith(".") ? (name as string) : (name ?? other ?? "").replaceAll(/\\(.)/gu, "$1");
			if (isPrototypeKey(key)) return { message: `"${key}" is not taken as a key`, at };
			path.push(key);
		}
		at += whole.length;
	}
	return path;
}

export function isPathFault(parsed: ReferencePath | PathFault): parsed is PathFault {
	return !Array.isArray(parsed);
}

/** The text of a path; the inverse of {@link parsePath}. */
export function formatPath(path: ReferencePath): string {
	const segment = (key: string | number): string => {
		if (typeof key === "number") return `[${key}]`;
		dotted.lastIndex = 0;
		return dotted.exec(`.${key}`)?.[1] === key ? `.${key}` : `['${key.replaceAll(/['\\]/g, "\\$&")}']`;
	};
	return `$${path.map(segment).join("")}`;
}

/** What is there; undefined when nothing is. */
export function readPath(path: ReferencePath, { state, context }: Scope): Json | undefined {
	let value: Json | undefined = path[0] === "_context" ? context : state;
	for (const key of path[0] === "_context" ? path.slice(1) : path) {
		if (typeof key === "number") value = isJsonList(value) ? value.at(key) : undefined;
		else value = isJsonObject(value) ? ownValue(value, key) : undefined;
		if (value === undefined) return undefined;
	}
	return value;
}

/** What is there; a {@link FlowFailure} that says how far the path leads when nothing is. */
export function requirePath(path: ReferencePath, scope: Scope): Json {
	const value = readPath(path, scope);
	if (value !== undefined) return value;
	let reached = path.length - 1;
	while (readPath(path.slice(0, reached), scope) === undefined) reached--;
	const there = readPath(path.slice(0, reached), scope);
	throw new FlowFailure(
		"States.ParameterPathFailure",
		`${formatPath(path)} leads to nothing: ${formatPath(path.slice(0, reached))} is ${contents(there)}`,
	);
}

/** The state with the value at that place. Objects on the way are made; lists are not, nor are they made longer. */
export function writePath(path: ReferencePath | null, state: Json, value: Json): Json {
	return path === null ? state : put(path, 0, state, value);
}

function put(path: ReferencePath, depth: number, there: Json | undefined, value: Json): Json {
	const key = path[depth];
	if (key === undefined) return value;
	const refuse = (why: string): never => {
		throw new FlowFailure(
			"States.ResultPathMatchFailure",
			`a result cannot be put at ${formatPath(path)}: ${formatPath(path.slice(0, depth))} is ${why}`,
		);
	};
	if (typeof key === "number") {
		if (!isJsonList(there)) return refuse(`${kindOf(there)}, not a list`);
		const index = key < 0 ? there.length + key : key;
		if (index < 0 || index >= there.length) return refuse(`a list of ${there.length}, which is not made longer`);
		return there.with(index, put(path, depth + 1, there[index], value));
	}
	if (there !== undefined && there !== null && !isJsonObject(there)) return refuse(`${kindOf(there)}, not an object`);
	const object = there ?? {};
	return { ...object, [key]: put(path, depth + 1, ownValue(object, key), value) };
}

function contents(value: Json | undefined): string {
	if (isJsonList(value)) return `a list of ${value.length}`;
	if (!isJsonObject(value)) return kindOf(value);
	const keys = Object.keys(value);
	const few = keys.slice(0, 8).join(", ");
	return keys.length === 0 ? "an empty object" : `an object with ${few}${keys.length > 8 ? ", …" : ""}`;
}

function match(expression: RegExp, text: string, at: number): RegExpExecArray | null {
	expression.lastIndex = at;
	return expression.exec(text);
}

function obstacle(text: string, at: number): string {
	const known = foreign.find(([expression]) => match(expression, text, at));
	return (
		known?.[1] ??
		`"${text.slice(at, at + 12)}" is not read at character ${at + 1}: a path goes on with .key, ['key'] or [0]`
	);
}
