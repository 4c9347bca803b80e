/** The functions of expressions: one table that the parser, the evaluator and the reference page read. */
import { isJsonList, isJsonObject, type Json, kindOf } from "../json.ts";
import { isPathFault, type ReferencePath, readPath } from "../reference-path.ts";
import type { Scope } from "../scope.ts";
import type { EvaluationBudget } from "./budget.ts";
import { parseReference } from "./reference.ts";
import {
	asNumber,
	calculate,
	characters,
	checkedNumber,
	compare,
	isTrue,
	keysOf,
	lengthOf,
	refuse,
	textOf,
} from "./values.ts";

interface Surroundings {
	readonly scope: Scope;
	readonly budget: EvaluationBudget;
}

export interface FunctionRow {
	readonly least: number;
	readonly most: number;
	readonly says: string;
	readonly call: (given: readonly Json[], surroundings: Surroundings) => Json;
}

const many = Number.POSITIVE_INFINITY;

/** A call that the parser let through has `least` to `most` arguments. */
export const functions = {
	pathsplit: {
		least: 1,
		most: 1,
		says: "a path as its directory and its last name; `/~/` is not split",
		call: ([path]) => {
			const text = stringOf(path, "pathsplit");
			const cut = text.lastIndexOf("/");
			const directory = text.slice(0, cut + 1);
			const kept = directory === "/~/" || /^\/*$/.test(directory) ? directory : directory.replace(/\/+$/, "");
			return [kept, text.slice(cut + 1)];
		},
	},
	is_present: {
		least: 1,
		most: 1,
		says: "whether the state has a value of this name: `is_present('input.files[0]')`",
		call: ([name], { scope }) => readPath(referenceOf(name), scope) !== undefined,
	},
	getattr: {
		least: 1,
		most: 2,
		says: "the value of this name, or the second argument (else `None`) when there is none",
		call: ([name, otherwise = null], { scope }) => {
			const value = readPath(referenceOf(name), scope);
			return value === undefined ? otherwise : value;
		},
	},
	len: {
		least: 1,
		most: 1,
		says: "how many items, keys or characters",
		call: ([value = null], { budget }) => {
			if (isJsonList(value)) return value.length;
			if (isJsonObject(value)) return keysOf(value, budget).length;
			if (typeof value !== "string") return refuse(`len() takes a string, list or object, not ${kindOf(value)}`);
			budget.read(value);
			return lengthOf(value);
		},
	},
	str: {
		least: 1,
		most: 1,
		says: "a number, `True`, `False` or `None` as text",
		call: ([value = null], { budget }) => made(textOf(value), budget),
	},
	int: {
		least: 1,
		most: 1,
		says: "a number without its fraction, or the whole number that a text is",
		call: ([value = null]) => {
			const number = asNumber(value);
			if (number !== undefined) return checkedNumber(Math.trunc(number), true);
			const text = stringOf(value, "int").trim();
			return /^[+-]?\d+(_\d+)*$/.test(text)
				? checkedNumber(Number(text.replaceAll("_", "")), true)
				: refuse(`int(): "${excerpt(text)}" is not a whole number`);
		},
	},
	float: {
		least: 1,
		most: 1,
		says: "the number that a text is",
		call: ([value = null]) => {
			const number = asNumber(value);
			if (number !== undefined) return number;
			const text = stringOf(value, "float").trim();
			return /^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+)?$/i.test(text)
				? checkedNumber(Number(text.replaceAll("_", "")), false)
				: refuse(`float(): "${excerpt(text)}" is not a number`);
		},
	},
	bool: {
		least: 1,
		most: 1,
		says: "false for 0, `None` and what is empty",
		call: ([value = null], { budget }) => isTrue(value, budget),
	},
	abs: { least: 1, most: 1, says: "without its sign", call: ([value]) => Math.abs(numberOf(value, "abs")) },
	round: {
		least: 1,
		most: 2,
		says: "to so many digits after the point (0); a half goes to the even neighbour",
		call: ([value, digits = 0]) => rounded(numberOf(value, "round"), numberOf(digits, "round")),
	},
	min: {
		least: 1,
		most: many,
		says: "the smallest of a list, or of several arguments",
		call: (given, surroundings) => extreme(given, "min", surroundings, (order) => order < 0),
	},
	max: {
		least: 1,
		most: many,
		says: "the largest of a list, or of several arguments",
		call: (given, surroundings) => extreme(given, "max", surroundings, (order) => order > 0),
	},
	sum: {
		least: 1,
		most: 2,
		says: "of the numbers in a list, and of a start (0)",
		call: ([items, start = 0], { budget }) => {
			const list = valuesOf(items ?? null, "sum()", budget);
			return list.reduce((total: number, item) => calculate("+", total, numberOf(item, "sum")), numberOf(start, "sum"));
		},
	},
	sorted: {
		least: 1,
		most: 1,
		says: "a list from the smallest to the largest",
		call: ([items], { budget }) => {
			const list = valuesOf(items ?? null, "sorted", budget);
			budget.make(list.length);
			return [...list].sort((a, b) => compare(a, b, budget));
		},
	},
	range: {
		least: 1,
		most: 3,
		says: "whole numbers as a list: `range(stop)`, `range(start, stop)`, `range(start, stop, step)`",
		call: (given, { budget }) => {
			const numbers = given.map((value) => {
				const number = numberOf(value, "range");
				return Number.isSafeInteger(number) ? number : refuse("range() takes whole numbers");
			});
			const [start, stop, step] =
				numbers.length === 1 ? [0, numbers[0] ?? 0, 1] : [numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 1];
			if (step === 0) return refuse("range() with a step of 0 has no end");
			const count = Math.max(0, Math.ceil((stop - start) / step));
			budget.make(count);
			return Array.from({ length: count }, (_, i) => start + i * step);
		},
	},
	any: {
		least: 1,
		most: 1,
		says: "whether one of a list is true",
		call: ([items], { budget }) => valuesOf(items ?? null, "any", budget).some((item) => isTrue(item, budget)),
	},
	all: {
		least: 1,
		most: 1,
		says: "whether every one of a list is true",
		call: ([items], { budget }) => valuesOf(items ?? null, "all", budget).every((item) => isTrue(item, budget)),
	},
	zip: {
		least: 1,
		most: many,
		says: "lists side by side, as long as the shortest: `[[a0, b0], [a1, b1]]`",
		call: (given, { budget }) => {
			const lists = given.map((items) => valuesOf(items, "zip", budget));
			const count = Math.min(...lists.map((list) => list.length));
			budget.make(count * (lists.length + 1));
			return Array.from({ length: count }, (_, i) => lists.map((list) => list[i] as Json));
		},
	},
	enumerate: {
		least: 1,
		most: 1,
		says: "items with their places: `[[0, a], [1, b]]`",
		call: ([items], { budget }) => {
			const list = valuesOf(items ?? null, "enumerate", budget);
			budget.make(list.length * 3);
			return list.map((item, i) => [i, item]);
		},
	},
} as const satisfies Record<string, FunctionRow>;

export function functionRow(name: string): FunctionRow | undefined {
	return Object.hasOwn(functions, name) ? functions[name as keyof typeof functions] : undefined;
}

/** What a loop goes over: a list's items, a string's characters, an object's keys. */
export function valuesOf(value: Json, who: string, budget: EvaluationBudget): readonly Json[] {
	const values = isJsonList(value)
		? value
		: typeof value === "string"
			? characters(value)
			: isJsonObject(value)
				? Object.keys(value)
				: refuse(`${who} takes a list, string or object, not ${kindOf(value)}`);
	budget.spend(values.length);
	return values;
}

export function made(text: string, budget: EvaluationBudget): string {
	budget.make(text.length);
	return text;
}

export function stringOf(value: Json | undefined, who: string): string {
	return typeof value === "string" ? value : refuse(`${who}() takes a string, not ${kindOf(value)}`);
}

function numberOf(value: Json | undefined, who: string): number {
	return asNumber(value ?? null) ?? refuse(`${who}() takes numbers, not ${kindOf(value)}`);
}

function referenceOf(name: Json | undefined): ReferencePath {
	if (typeof name !== "string") return refuse(`the name of a value is a string, not ${kindOf(name)}`);
	const path = parseReference(name);
	return isPathFault(path) ? refuse(path.message) : path;
}

function extreme(
	given: readonly Json[],
	who: string,
	{ budget }: Surroundings,
	wins: (order: number) => boolean,
): Json {
	const list = given.length === 1 ? valuesOf(given[0] as Json, `${who}()`, budget) : given;
	const [first] = list;
	if (first === undefined) return refuse(`${who}() of nothing`);
	return list.slice(1).reduce((best, item) => (wins(compare(item, best, budget)) ? item : best), first);
}

/** As Python rounds: the nearest decimal of the exact binary value, and of two as near the even one. */
function rounded(value: number, digits: number): number {
	if (!Number.isInteger(digits) || digits < 0 || digits > 15) return refuse("round() takes 0 to 15 digits");
	if (Math.abs(value) >= 1e21 || Number.isInteger(value)) return value;
	const [whole = "", tail = ""] = splitAfter(Math.abs(value).toFixed(digits + 60), digits);
	const near = Math.abs(Number(Math.abs(value).toFixed(digits)));
	const even = Number(whole.at(-1) === "." ? whole.at(-2) : whole.at(-1)) % 2 === 0;
	const magnitude = /^50*$/.test(tail) && even ? Number(whole) : near;
	return (value < 0 ? -magnitude : magnitude) + 0;
}

/** The digits up to so many after the point, and the rest. */
function splitAfter(decimal: string, digits: number): [string, string] {
	const cut = decimal.indexOf(".") + 1 + digits;
	return [decimal.slice(0, cut), decimal.slice(cut)];
}

function excerpt(text: string): string {
	return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
