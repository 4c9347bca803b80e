/**
 * Values between TypeScript ends as text: devalue's, which keeps what structured clone keeps (Date, Map, Set, BigInt,
 * typed arrays, cycles, shared references, undefined, -0, …), and errors besides.
 */
import { parse, stringify } from "devalue";

const reducers = {
	Error: (value: unknown) => value instanceof Error && [value.name, value.message, value.stack, value.cause],
};

const errorClasses: Record<string, new (message: string) => Error> = {
	EvalError,
	RangeError,
	ReferenceError,
	SyntaxError,
	TypeError,
	URIError,
};

const revivers = {
	Error: ([name, message, stack, cause]: [string, string, string | undefined, unknown]): Error => {
		const error = new (errorClasses[name] ?? Error)(message);
		if (error.name !== name) Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
		if (stack !== undefined) error.stack = stack;
		if (cause !== undefined)
			Object.defineProperty(error, "cause", { value: cause, configurable: true, writable: true });
		return error;
	},
};

/** Inverse of {@link parseStructured}. Throws devalue's error, whose `path` says where the value cannot be told. */
export function stringifyStructured(value: unknown): string {
	return stringify(value, reducers);
}

/** Inverse of {@link stringifyStructured}. */
export function parseStructured(text: string): unknown {
	return parse(text, revivers);
}
