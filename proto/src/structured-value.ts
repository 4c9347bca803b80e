/**
 * Values between TypeScript ends (serialization `ev`): devalue text, which keeps what structured clone keeps (Date, Map,
 * Set, BigInt, RegExp, URL, typed arrays, undefined, NaN, cycles, repeated references), and errors besides.
 */
import { DevalueError, parse, stringify } from "devalue";

/** `[name, message, stack, cause]`; `cause` is undefined when there is none. */
type ErrorParts = [name: string, message: string, stack: string | undefined, cause: unknown];

const reducers = {
	Error: (value: unknown): ErrorParts | undefined =>
		value instanceof Error ? [value.name, value.message, value.stack, value.cause] : undefined,
};

const builtIn: Readonly<Record<string, new (message: string) => Error>> = {
	EvalError,
	RangeError,
	ReferenceError,
	SyntaxError,
	TypeError,
	URIError,
};

const revivers = {
	Error: ([name, message, stack, cause]: ErrorParts): Error => {
		const error = new (builtIn[name] ?? Error)(message);
		const hidden = { configurable: true, enumerable: false, writable: true };
		if (error.name !== name) Object.defineProperty(error, "name", { ...hidden, value: name });
		Object.defineProperty(error, "stack", { ...hidden, value: stack });
		if (cause !== undefined) Object.defineProperty(error, "cause", { ...hidden, value: cause });
		return error;
	},
};

/** A value that no serialization carries; `path` is where it sits: `.rows[3].callback`, or "" for the value itself. */
export class UnserializableValueError extends Error {
	override readonly name = "UnserializableValueError";
	readonly path: string;

	constructor(path: string, message: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.path = path;
	}
}

/**
 * Inverse of {@link parseStructured}.
 * Throws an {@link UnserializableValueError} that names the path of a function, symbol, promise, class instance or the like.
 */
export function stringifyStructured(value: unknown): string {
	try {
		return stringify(value, reducers);
	} catch (error) {
		if (!(error instanceof DevalueError)) throw error;
		const path = error.path ?? "";
		throw new UnserializableValueError(path, `${whereIs(path)}: ${error.message}`, error);
	}
}

/** Inverse of {@link stringifyStructured}. Throws an Error when the text is not what it writes. */
export function parseStructured(text: string): unknown {
	return parse(text, revivers);
}

/**
 * Why JSON would not give this value back, or undefined when it would. Properties that are undefined count as absent.
 * What JSON.stringify silently changes (Date, Map, NaN, class instances, …) is refused as well.
 */
export function jsonObstacle(value: unknown): { path: string; message: string } | undefined {
	return obstacle(value, "", new Set());
}

function obstacle(value: unknown, path: string, above: Set<object>): { path: string; message: string } | undefined {
	const refuse = (what: string) => ({ path, message: `${whereIs(path)}: ${what} has no JSON form` });
	switch (typeof value) {
		case "string":
		case "boolean":
			return undefined;
		case "number":
			return Number.isFinite(value) ? undefined : refuse(`the number ${value}`);
		case "undefined":
			return refuse("undefined");
		case "object":
			break;
		case "bigint":
		case "function":
		case "symbol":
			return refuse(`a ${typeof value}`);
	}
	if (value === null) return undefined;
	if (above.has(value)) return refuse("a reference to what contains it");
	above.add(value);
	const found = Array.isArray(value) ? itemObstacle(value, path, above) : propertyObstacle(value, path, above, refuse);
	above.delete(value);
	return found;
}

function itemObstacle(items: readonly unknown[], path: string, above: Set<object>) {
	for (let i = 0; i < items.length; i++) {
		const found = obstacle(items[i], `${path}[${i}]`, above);
		if (found !== undefined) return found;
	}
	return undefined;
}

function propertyObstacle(
	value: object,
	path: string,
	above: Set<object>,
	refuse: (what: string) => { path: string; message: string },
) {
	const prototype: unknown = Object.getPrototypeOf(value);
	if (prototype !== null && prototype !== Object.prototype)
		return refuse(`a ${(value.constructor as { name?: string } | undefined)?.name || "class instance"}`);
	for (const [key, item] of Object.entries(value)) {
		if (item === undefined) continue;
		const found = obstacle(
			item,
			/^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`,
			above,
		);
		if (found !== undefined) return found;
	}
	return undefined;
}

function whereIs(path: string): string {
	return path === "" ? "the value" : `the value at ${path}`;
}
