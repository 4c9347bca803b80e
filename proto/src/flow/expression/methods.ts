/** The methods of strings, objects and lists in expressions, as Python has them. */
import { isJsonList, isJsonObject, type Json, kindOf, ownValue } from "../json.ts";
import type { EvaluationBudget } from "./budget.ts";
import { type FunctionRow, made, stringOf, valuesOf } from "./functions.ts";
import { areEqual, characters, refuse } from "./values.ts";

interface MethodRow extends Omit<FunctionRow, "call"> {
	readonly of: "string" | "object" | "list";
	readonly call: (object: never, given: readonly Json[], budget: EvaluationBudget) => Json;
}

const ofString = (
	least: number,
	most: number,
	says: string,
	call: (text: string, given: readonly Json[], budget: EvaluationBudget) => Json,
): MethodRow => ({ of: "string", least, most, says, call });

const ofObject = (least: number, most: number, says: string, call: MethodRow["call"]): MethodRow => ({
	of: "object",
	least,
	most,
	says,
	call,
});

type Keyed = Readonly<Record<string, Json>>;

export const methods = {
	strip: ofString(0, 1, "without blanks, or these characters, at both ends", (text, [set]) =>
		trim(text, set, true, true),
	),
	lstrip: ofString(0, 1, "at its beginning only", (text, [set]) => trim(text, set, true, false)),
	rstrip: ofString(0, 1, "at its end only", (text, [set]) => trim(text, set, false, true)),
	split: ofString(0, 1, "its parts between blanks, or between this separator", (text, [separator], budget) => {
		if (separator === "") return refuse("split() takes a separator that is not empty");
		const parts =
			separator === undefined || separator === null
				? text.split(blanks).filter((part) => part !== "")
				: text.split(stringOf(separator, "split"));
		budget.make(parts.length + text.length);
		return parts;
	}),
	join: ofString(
		1,
		1,
		"the strings of a list with this one between them: `', '.join(names)`",
		(text, [items], budget) => {
			const parts = valuesOf(items ?? null, "join()", budget).map((item) => stringOf(item, "join"));
			budget.make(parts.reduce((size, part) => size + part.length + text.length, 0));
			return parts.join(text);
		},
	),
	lower: ofString(0, 0, "in small letters", (text, _, budget) => made(text.toLowerCase(), budget)),
	upper: ofString(0, 0, "in capital letters", (text, _, budget) => made(text.toUpperCase(), budget)),
	startswith: ofString(1, 1, "whether it begins so", (text, [part]) => text.startsWith(stringOf(part, "startswith"))),
	endswith: ofString(1, 1, "whether it ends so", (text, [part]) => text.endsWith(stringOf(part, "endswith"))),
	replace: ofString(2, 2, "with the first text replaced by the second everywhere", (text, [old, by], budget) => {
		const from = stringOf(old, "replace");
		const to = stringOf(by, "replace");
		const parts = from === "" ? ["", ...characters(text), ""] : text.split(from);
		budget.make(text.length + parts.length * (to.length + 1));
		return parts.join(to);
	}),
	zfill: ofString(1, 1, "with zeros before it up to this length", (text, [width], budget) => {
		if (typeof width !== "number" || !Number.isInteger(width)) return refuse("zfill() takes a whole number");
		const sign = /^[+-]/.test(text) ? text.slice(0, 1) : "";
		const missing = Math.max(0, width - characters(text).length);
		budget.make(missing + text.length);
		return sign + "0".repeat(missing) + text.slice(sign.length);
	}),
	get: ofObject(
		1,
		2,
		"the value of this key, or the second argument (else `None`)",
		(object: Keyed, [key, otherwise = null]) => {
			const value = ownValue(object, stringOf(key, "get"));
			return value === undefined ? otherwise : value;
		},
	),
	keys: ofObject(0, 0, "its keys as a list", (object: Keyed, _, budget) => {
		const keys = Object.keys(object);
		budget.make(keys.length);
		return keys;
	}),
	values: ofObject(0, 0, "its values as a list", (object: Keyed, _, budget) => {
		const values = Object.values(object);
		budget.make(values.length);
		return values;
	}),
	items: ofObject(0, 0, "its keys with their values: `[[key, value]]`", (object: Keyed, _, budget) => {
		const entries = Object.entries(object);
		budget.make(3 * entries.length);
		return entries;
	}),
	index: {
		of: "list",
		least: 1,
		most: 1,
		says: "the place of this value",
		call: (list: readonly Json[], [value = null], budget) => {
			const found = list.findIndex((item) => areEqual(item, value, budget));
			return found < 0 ? refuse("index(): the value is not in the list") : found;
		},
	},
	count: {
		of: "list",
		least: 1,
		most: 1,
		says: "how often this value is there",
		call: (list: readonly Json[], [value = null], budget) =>
			list.filter((item) => areEqual(item, value, budget)).length,
	},
} as const satisfies Record<string, MethodRow>;

export function methodRow(name: string): MethodRow | undefined {
	return Object.hasOwn(methods, name) ? methods[name as keyof typeof methods] : undefined;
}

export function callMethod(object: Json, name: string, given: readonly Json[], budget: EvaluationBudget): Json {
	const row = methodRow(name);
	const kind =
		typeof object === "string" ? "string" : isJsonList(object) ? "list" : isJsonObject(object) ? "object" : "";
	if (row?.of !== kind) return refuse(`${kindOf(object)} has no method ${name}()`);
	if (typeof object === "string") budget.read(object);
	return row.call(object as never, given, budget);
}

const blanks = /\s+/u;

function trim(text: string, set: Json | undefined, start: boolean, end: boolean): string {
	const marks = set === undefined || set === null ? undefined : new Set(characters(stringOf(set, "strip")));
	const goes = (letter: string): boolean => (marks ? marks.has(letter) : blanks.test(letter));
	const letters = characters(text);
	let from = 0;
	let to = letters.length;
	while (start && from < to && goes(letters[from] as string)) from++;
	while (end && to > from && goes(letters[to - 1] as string)) to--;
	return letters.slice(from, to).join("");
}
