/** What a run's state is made of: JSON values, held as plain own properties. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
	readonly [key: string]: Json;
}

export function isJsonObject(value: unknown): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isJsonList(value: unknown): value is readonly Json[] {
	return Array.isArray(value);
}

/** Keys that mean something to JavaScript's objects: no flow, path or expression may name them. */
const prototypeKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

export function isPrototypeKey(key: string): boolean {
	return prototypeKeys.has(key);
}

/** An own property; undefined when there is none, whatever the prototype has. */
export function ownValue(object: JsonObject, key: string): Json | undefined {
	return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** What a value is called in messages. */
export function kindOf(value: unknown): string {
	if (value === null) return "null";
	if (value === undefined) return "nothing";
	if (Array.isArray(value)) return "a list";
	return (
		{ object: "an object", string: "a string", number: "a number", boolean: "a boolean" }[typeof value as string] ??
		typeof value
	);
}
