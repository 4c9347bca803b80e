/** What the rules of a Choice ask: one table of comparisons, and whether a condition holds. */
import type { ChoiceState, Condition } from "./definition.ts";
import { FlowFailure } from "./flow-failure.ts";
import { patternLimitChars } from "./flow-limits.ts";
import type { Json } from "./json.ts";
import { readPath, requirePath } from "./reference-path.ts";
import type { Scope } from "./scope.ts";
import { parseTimestamp } from "./timestamp.ts";

/** What a comparison's operand is. `flag`: true or false, asking whether the variable is so. */
export type OperandKind = "string" | "number" | "boolean" | "timestamp" | "pattern" | "flag";

interface ComparisonRow {
	readonly operand: OperandKind;
	/** Whether there is a form with `Path` at its end, whose operand is a path. */
	readonly path: boolean;
	/** The variable is undefined when it leads to nothing; that happens to flags only. */
	readonly holds: (variable: Json | undefined, operand: Json) => boolean;
}

/** A variable of another type fulfils nothing: it is no error. */
const ordered = <T extends string | number>(
	operand: OperandKind,
	read: (value: Json | undefined) => T | undefined,
	holds: (a: T, b: T) => boolean,
): ComparisonRow => ({
	operand,
	path: true,
	holds: (variable, value) => {
		const a = read(variable);
		const b = read(value);
		return a !== undefined && b !== undefined && holds(a, b);
	},
});

const string = (value: Json | undefined): string | undefined => (typeof value === "string" ? value : undefined);
const number = (value: Json | undefined): number | undefined => (typeof value === "number" ? value : undefined);
const timestamp = (value: Json | undefined): number | undefined =>
	typeof value === "string" ? parseTimestamp(value) : undefined;

const flag = (is: (variable: Json | undefined) => boolean): ComparisonRow => ({
	operand: "flag",
	path: false,
	holds: (variable, wanted) => is(variable) === wanted,
});

export const comparisons = {
	StringEquals: ordered("string", string, (a, b) => a === b),
	StringLessThan: ordered("string", string, (a, b) => a < b),
	StringGreaterThan: ordered("string", string, (a, b) => a > b),
	StringLessThanEquals: ordered("string", string, (a, b) => a <= b),
	StringGreaterThanEquals: ordered("string", string, (a, b) => a >= b),
	StringMatches: {
		operand: "pattern",
		path: false,
		holds: (variable, pattern) => typeof variable === "string" && matchesPattern(variable, String(pattern)),
	},
	NumericEquals: ordered("number", number, (a, b) => a === b),
	NumericLessThan: ordered("number", number, (a, b) => a < b),
	NumericGreaterThan: ordered("number", number, (a, b) => a > b),
	NumericLessThanEquals: ordered("number", number, (a, b) => a <= b),
	NumericGreaterThanEquals: ordered("number", number, (a, b) => a >= b),
	BooleanEquals: {
		operand: "boolean",
		path: true,
		holds: (variable, operand) => typeof variable === "boolean" && variable === operand,
	},
	TimestampEquals: ordered("timestamp", timestamp, (a, b) => a === b),
	TimestampLessThan: ordered("timestamp", timestamp, (a, b) => a < b),
	TimestampGreaterThan: ordered("timestamp", timestamp, (a, b) => a > b),
	TimestampLessThanEquals: ordered("timestamp", timestamp, (a, b) => a <= b),
	TimestampGreaterThanEquals: ordered("timestamp", timestamp, (a, b) => a >= b),
	IsPresent: flag((variable) => variable !== undefined),
	IsNull: flag((variable) => variable === null),
	IsNumeric: flag((variable) => typeof variable === "number"),
	IsString: flag((variable) => typeof variable === "string"),
	IsBoolean: flag((variable) => typeof variable === "boolean"),
	IsTimestamp: flag((variable) => timestamp(variable) !== undefined),
} as const satisfies Record<string, ComparisonRow>;

export type ComparisonName = keyof typeof comparisons;

export function isComparison(name: string): name is ComparisonName {
	return Object.hasOwn(comparisons, name);
}

/** And and Or stop at the first that decides, so `IsPresent` may guard what follows it. */
export function conditionHolds(condition: Condition, scope: Scope): boolean {
	switch (condition.kind) {
		case "and":
			return condition.conditions.every((part) => conditionHolds(part, scope));
		case "or":
			return condition.conditions.some((part) => conditionHolds(part, scope));
		case "not":
			return !conditionHolds(condition.condition, scope);
		case "comparison": {
			const row: ComparisonRow = comparisons[condition.operator];
			if (row.operand === "flag" && "value" in condition.operand)
				return row.holds(readPath(condition.variable, scope), condition.operand.value);
			const { operand } = condition;
			return row.holds(
				requirePath(condition.variable, scope),
				"path" in operand ? requirePath(operand.path, scope) : operand.value,
			);
		}
	}
}

/** The state that a Choice goes on to. Throws `States.NoChoiceMatched`, or `States.ParameterPathFailure` for what is not there. */
export function chooseNext(choice: ChoiceState, scope: Scope): string {
	const next = choice.choices.find(({ condition }) => conditionHolds(condition, scope))?.next ?? choice.default;
	if (next !== undefined) return next;
	throw new FlowFailure(
		"States.NoChoiceMatched",
		`none of the ${choice.choices.length} rules of "${choice.name}" holds`,
	);
}

/** What stands for itself in a pattern after a backslash. */
const escapable = new Set(["*", "\\"]);

/** Why a pattern cannot be read; undefined when it can. */
export function patternObstacle(pattern: string): string | undefined {
	if (pattern.length > patternLimitChars)
		return `a pattern has at most ${patternLimitChars} characters, this one has ${pattern.length}`;
	for (let i = 0; i < pattern.length; i++) {
		if (pattern[i] !== "\\") continue;
		if (!escapable.has(pattern[++i] ?? ""))
			return `a backslash stands before * or another backslash: at character ${i}`;
	}
	return undefined;
}

/** `*` is any text, `\*` a star, `\\` a backslash. Time: the product of the lengths at most. */
export function matchesPattern(text: string, pattern: string): boolean {
	const parts: (string | undefined)[] = [];
	for (let i = 0; i < pattern.length; i++) {
		const letter = pattern[i] as string;
		parts.push(letter === "*" ? undefined : letter === "\\" ? pattern[++i] : letter);
	}
	let at = 0;
	let part = 0;
	/** The last star, and where in the text what follows it is tried. */
	let star: { part: number; at: number } | undefined;
	while (at < text.length) {
		if (part < parts.length && parts[part] === undefined) star = { part: part++, at };
		else if (part < parts.length && parts[part] === text[at]) {
			part++;
			at++;
		} else if (star) {
			part = star.part + 1;
			at = ++star.at;
		} else return false;
	}
	while (part < parts.length && parts[part] === undefined) part++;
	return part === parts.length;
}
