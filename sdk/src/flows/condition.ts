/** What a choice asks, with the words of the flow language chosen by the values' types. */
import { formatPath } from "@errand/proto/flow";
import { pathOf, type Reference } from "./reference.ts";

/** A rule of a Choice, without its `Next`. */
export interface Rule {
	readonly [word: string]: unknown;
}

type Ordered = string | number | Date;
type Operand<T> = (T extends string ? string | Date : T) | Reference<T>;

/** Questions about one place: those that its type has. */
export interface Question<T> {
	equals(value: Operand<T>): Rule;
	lessThan(value: T extends Ordered ? Operand<T> : never): Rule;
	atMost(value: T extends Ordered ? Operand<T> : never): Rule;
	greaterThan(value: T extends Ordered ? Operand<T> : never): Rule;
	atLeast(value: T extends Ordered ? Operand<T> : never): Rule;
	/** `*` is any text. */
	matches(pattern: T extends string ? string : never): Rule;
	readonly present: Rule;
	readonly missing: Rule;
	readonly null: Rule;
}

/** Asks about the value at a place: `is(steps.List.details.total).equals(0)`. A `Date` compares times. */
export function is<T>(place: Reference<T>, type?: "number" | "string" | "boolean" | "timestamp"): Question<T> {
	const variable = formatPath(pathOf(place) ?? []);
	const ask =
		(word: string) =>
		(value: unknown): Rule => {
			const other = pathOf(value);
			const kind = kinds[type ?? (value instanceof Date ? "timestamp" : other ? "string" : (typeof value as "string"))];
			if (kind === undefined)
				throw new TypeError(`a choice compares strings, numbers, booleans and times, not ${typeof value}`);
			const operand = other ? formatPath(other) : value instanceof Date ? value.toISOString() : value;
			return { Variable: variable, [`${kind}${word}${other ? "Path" : ""}`]: operand };
		};
	return {
		equals: ask("Equals"),
		lessThan: ask("LessThan"),
		atMost: ask("LessThanEquals"),
		greaterThan: ask("GreaterThan"),
		atLeast: ask("GreaterThanEquals"),
		matches: (pattern) => ({ Variable: variable, StringMatches: pattern }),
		present: { Variable: variable, IsPresent: true },
		missing: { Variable: variable, IsPresent: false },
		null: { Variable: variable, IsNull: true },
	};
}

const kinds = { string: "String", number: "Numeric", boolean: "Boolean", timestamp: "Timestamp" } as const;

export const allOf = (...rules: readonly Rule[]): Rule => ({ And: rules });
export const anyOf = (...rules: readonly Rule[]): Rule => ({ Or: rules });
export const not = (rule: Rule): Rule => ({ Not: rule });
