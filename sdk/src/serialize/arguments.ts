/** Arguments to the packed text that travels: `pack([args, kwargs])`. */
import { joinBuffer, pack, serializations } from "@errand/proto";
import { jsonObstacle, stringifyStructured, UnserializableValueError } from "@errand/proto/structured-value";
import { SerializationError } from "../errors.ts";
import { isFlatJson } from "./plain.ts";

/** Positional arguments, and keyword arguments (Python's, or a command's parameters). */
export interface CallArguments {
	positional: readonly unknown[];
	keywords: Readonly<Record<string, unknown>>;
}

const noKeywords = joinBuffer(serializations.json, "{}");

/** For JavaScript: JSON where it says the same, else the structured form. Throws a SerializationError. */
export function packStructured(functionName: string, { positional, keywords }: CallArguments): string {
	const kwargs = Object.keys(keywords).length === 0 ? noKeywords : structuredBuffer(functionName, keywords, "keywords");
	if (positional.every(isFlatJson) && kwargs === noKeywords && distinct(positional)) {
		return pack([joinBuffer(serializations.json, JSON.stringify(positional)), kwargs]);
	}
	return pack([structuredBuffer(functionName, positional, "arguments"), kwargs]);
}

/** An object passed twice stays one object in the structured form only. */
function distinct(values: readonly unknown[]): boolean {
	const objects = values.filter((value) => typeof value === "object" && value !== null);
	return objects.length < 2 || new Set(objects).size === objects.length;
}

function structuredBuffer(functionName: string, value: unknown, whole: string): string {
	try {
		return joinBuffer(serializations.structured, stringifyStructured(value));
	} catch (cause) {
		if (!(cause instanceof UnserializableValueError)) throw cause;
		throw new SerializationError(
			`${functionName}: in the ${whole}, ${cause.message}; send data (what structured clone keeps, and errors), not behaviour`,
			`${whole}${cause.path}`,
			{ cause },
		);
	}
}

/** Towards Python and commands: JSON; anything else is refused by name. Throws a SerializationError. */
export function packPlain(functionName: string, { positional, keywords }: CallArguments): string {
	return pack([
		plainBuffer(functionName, positional, "arguments"),
		Object.keys(keywords).length === 0 ? noKeywords : plainBuffer(functionName, keywords, "keywords"),
	]);
}

function plainBuffer(functionName: string, value: unknown, whole: string): string {
	const obstacle = jsonObstacle(value);
	if (obstacle !== undefined) {
		throw new SerializationError(
			`${functionName}: in the ${whole}, ${obstacle.message}; towards Python and commands send null, booleans, finite numbers, strings, arrays and plain objects`,
			`${whole}${obstacle.path}`,
		);
	}
	return joinBuffer(serializations.json, JSON.stringify(value));
}

const keywordsMark = Symbol("errand keywords");

/** Keyword arguments for a Python function, as the last argument of `submit`. */
export interface Keywords {
	readonly [keywordsMark]: Readonly<Record<string, unknown>>;
}

/**
 * `executor.submit(mean, [1, 2, 3], keywords({ weights: [1, 1, 2] }))` calls `mean([1, 2, 3], weights=[1, 1, 2])`.
 */
export function keywords(values: Readonly<Record<string, unknown>>): Keywords {
	return { [keywordsMark]: values };
}

/** Takes a last argument made by {@link keywords} apart from the positional ones. */
export function splitKeywords(values: readonly unknown[]): CallArguments {
	const last = values.at(-1);
	if (typeof last === "object" && last !== null && keywordsMark in last) {
		return { positional: values.slice(0, -1), keywords: (last as Keywords)[keywordsMark] };
	}
	return { positional: values, keywords: {} };
}
