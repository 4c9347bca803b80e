/**
 * Values of a person in a template: every text becomes JSON, which is one word of YAML whatever it holds, so a value can
 * never become a setting.
 */
import { Fault } from "@errand/proto";
import { shellWord } from "../scheduler/shell-word.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** Names are written into the template's text as they are, so they are plain. */
const plainName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const notNames: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
const depthLimit = 20;

const quoteText = (text: string): string =>
	JSON.stringify(text).replace(
		/[\u2028\u2029\ufeff]|[^\P{Cc}\n]/gu,
		(character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);

/** Lists and objects written into a template are JSON as well. */
function asText<T extends object>(value: T, text: () => string): T {
	return Object.defineProperty(value, "toString", { value: text, enumerable: false });
}

/** `at` is where it stands, for messages. Throws a SEMANTICALLY_INVALID fault for what cannot be in a template. */
function quoteValue(value: Json, at: string, depth = 0): unknown {
	if (depth > depthLimit)
		throw new Fault("SEMANTICALLY_INVALID", `${at}: values may be nested ${depthLimit} deep at most`);
	if (value === null) return "null";
	if (typeof value === "string") return quoteText(value);
	if (typeof value !== "object") return value;
	if (Array.isArray(value)) {
		const items = value.map((item: Json, index) => quoteValue(item, `${at}[${index}]`, depth + 1));
		return asText(items, () => `[${items.join(", ")}]`);
	}
	return quoteObject(value as JsonObject, at, depth);
}

/** The same for each property. */
export function quoteObject(value: JsonObject, at: string, depth = 0): Record<string, unknown> {
	const entries = Object.entries(value).map(([key, item]): [string, unknown] => {
		if (!plainName.test(key) || notNames.has(key))
			throw new Fault(
				"SEMANTICALLY_INVALID",
				`${at}: ${JSON.stringify(key.slice(0, 128))} cannot be a name here: letters, digits, "_", "." and "-", up to 128`,
			);
		return [key, quoteValue(item, `${at}.${key}`, depth + 1)];
	});
	return asText(
		Object.fromEntries(entries),
		() => `{${entries.map(([key, item]) => `${quoteText(key)}: ${String(item)}`).join(", ")}}`,
	);
}

/** The template's filter: a text as one word of a shell, still one word of YAML; anything else as it is. */
export function shellEscape(value: unknown): unknown {
	if (typeof value !== "string") return value;
	let text: unknown;
	try {
		text = JSON.parse(value);
	} catch (cause) {
		throw new TypeError(`shell_escape: ${value} is not a value of the person who asks`, { cause });
	}
	return typeof text === "string" ? quoteText(shellWord(text)) : value;
}
