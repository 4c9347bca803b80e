/** Places in a run's state, as TypeScript sees them: `input.files[0].path` stands for `$.input.files[0].path`. */
import { formatPath, isPrototypeKey, type ReferencePath } from "@errand/proto/flow";

const path = Symbol("path");
const text = Symbol("expression");

/** A place whose value is a `T` when the flow runs. Its properties and items are places as well. */
export type Reference<T> = { readonly [path]: ReferencePath; readonly type?: T } & (T extends readonly (infer Item)[]
	? { readonly 0: Reference<Item>; readonly [index: number]: Reference<Item> }
	: T extends object
		? { readonly [Key in keyof T]-?: Reference<T[Key]> }
		: unknown);

/** What a flow computes from its state when it runs. */
export interface Computed<T> {
	readonly [text]: string;
	/** Never there: what it gives. */
	readonly gives?: T;
}

/** A `T`, known now or when the flow runs. */
export type Value<T> =
	| T
	| Reference<T>
	| Computed<T>
	| (T extends readonly (infer Item)[]
			? readonly Value<Item>[]
			: T extends object
				? { readonly [Key in keyof T]: Value<T[Key]> }
				: never);

export function reference<T>(segments: ReferencePath): Reference<T> {
	const target = { [path]: segments };
	return new Proxy(target, {
		get: (_, key) => {
			if (key === path) return segments;
			// What JavaScript asks of values on its own; a flow's key of such a name is in `computed`.
			if (typeof key === "symbol" || key === "then" || key === "toJSON") return undefined;
			if (isPrototypeKey(key)) throw new TypeError(`"${key}" is not taken as a key`);
			return reference([...segments, /^\d+$/.test(key) ? Number(key) : key]);
		},
	}) as unknown as Reference<T>;
}

/**
 * An expression of the flow language: places that stand in it are written as paths, other values as they are.
 *
 * ```ts
 * computed<string>`${input.directory}.rstrip('/') + '/' + ${"results"}`
 * ```
 */
export function computed<T>(strings: TemplateStringsArray, ...values: readonly unknown[]): Computed<T> {
	return { [text]: strings.map((part, i) => part + (i < values.length ? expressionOf(values[i]) : "")).join("") };
}

export function pathOf(value: unknown): ReferencePath | undefined {
	return typeof value === "object" && value !== null ? (value as { [path]?: ReferencePath })[path] : undefined;
}

function textOf(value: unknown): string | undefined {
	return typeof value === "object" && value !== null && text in value ? String(value[text]) : undefined;
}

/** A value as `Parameters` have it: places under keys that end in `.$`, what is computed under keys that end in `.=`. */
export function parametersOf(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
	return Object.fromEntries(
		Object.entries(values).flatMap(([key, value]): [string, unknown][] =>
			value === undefined ? [] : [entryOf(key, value)],
		),
	);
}

/** One key of an object of parameters, with its ending. */
export function entryOf(key: string, value: unknown): [string, unknown] {
	if (/\.[$=]$/.test(key))
		throw new TypeError(`"${key}": a key does not end in .$ or .= here; give a reference or computed\`…\``);
	const segments = pathOf(value);
	if (segments) return [`${key}.$`, formatPath(segments)];
	const expression = textOf(value);
	if (expression !== undefined) return [`${key}.=`, expression];
	if (Array.isArray(value)) return value.some(isLive) ? [`${key}.=`, expressionOf(value)] : [key, value.map(plain)];
	return [key, plain(value)];
}

/** Lists have no keys that could say that an item is a path: such a list is an expression. */
function isLive(item: unknown): boolean {
	return pathOf(item) !== undefined || textOf(item) !== undefined || (Array.isArray(item) && item.some(isLive));
}

function plain(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(plain);
	return typeof value === "object" && value !== null ? parametersOf(value as Record<string, unknown>) : value;
}

/** A value as a part of an expression. */
function expressionOf(value: unknown): string {
	const segments = pathOf(value);
	if (segments) return `\`${formatPath(segments)}\``;
	const expression = textOf(value);
	if (expression !== undefined) return `(${expression})`;
	if (value === null || value === undefined) return "None";
	if (typeof value === "boolean") return value ? "True" : "False";
	if (typeof value === "string") return quoted(value);
	// Digits alone are an integer, of which the language takes only those that JSON carries exactly.
	if (typeof value === "number" && Number.isFinite(value))
		return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value);
	if (Array.isArray(value)) return `[${value.map(expressionOf).join(", ")}]`;
	if (typeof value !== "object") throw new TypeError(`a ${typeof value} has no place in a flow: only what JSON has`);
	const entries = Object.entries(value).filter(([, item]) => item !== undefined);
	return `{${entries.map(([key, item]) => `${quoted(key)}: ${expressionOf(item)}`).join(", ")}}`;
}

/** In the escapes that expressions have. */
function quoted(string: string): string {
	const escaped = string
		.replaceAll(/['\\]/g, "\\$&")
		.replaceAll(/\p{Cc}/gu, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
	return `'${escaped}'`;
}
