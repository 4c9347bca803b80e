/** A rule of a Choice → a condition. */
import { comparisons, isComparison, type OperandKind, patternObstacle } from "./comparison.ts";
import type { Condition } from "./definition.ts";
import type { DocumentPath, Findings } from "./findings.ts";
import { flowLimitDepth, flowLimitRules } from "./flow-limits.ts";
import { isJsonObject, type Json, kindOf } from "./json.ts";
import { ObjectReader } from "./object-reader.ts";
import { parseTimestamp } from "./timestamp.ts";

const logical = ["And", "Or", "Not"] as const;
const operators: readonly string[] = Object.entries(comparisons).flatMap(([name, { path }]) =>
	path ? [name, `${name}Path`] : [name],
);

/** What fits where an operand is wanted, and how that is called. */
const operands: Readonly<Record<OperandKind, readonly [wanted: string, fits: (value: Json) => boolean]>> = {
	string: ["a string", (value) => typeof value === "string"],
	number: ["a number", (value) => typeof value === "number"],
	boolean: ["true or false", (value) => typeof value === "boolean"],
	flag: ["true or false", (value) => typeof value === "boolean"],
	timestamp: [
		"a time such as 2026-01-31T12:00:00Z",
		(value) => typeof value === "string" && parseTimestamp(value) !== undefined,
	],
	pattern: ["a string, in which * is any text", (value) => typeof value === "string"],
};

/** Undefined when something is wrong with it, which is then a finding. `top`: a rule itself, which has a Next. */
export function readCondition(
	value: Json,
	at: DocumentPath,
	findings: Findings,
	top: boolean,
	depth = 0,
): Condition | undefined {
	if (!isJsonObject(value)) {
		findings.error("type", at, `a rule is an object, not ${kindOf(value)}`);
		return undefined;
	}
	if (depth > flowLimitDepth / 2) {
		findings.error("limit", at, `more than ${flowLimitDepth / 2} rules in one another`);
		return undefined;
	}
	if (!top && Object.hasOwn(value, "Next"))
		findings.error("unknown-field", [...at, "Next"], "only the rule itself has a Next, not its parts", "key");
	const kind = logical.find((key) => Object.hasOwn(value, key));
	return kind ? readLogical(kind, value, at, findings, depth) : readComparison(value, at, findings);
}

const others = ["Next", "Comment"];

function readLogical(
	kind: (typeof logical)[number],
	value: Json,
	at: DocumentPath,
	findings: Findings,
	depth: number,
): Condition | undefined {
	const fields = new ObjectReader(findings, at, value as never, "a rule with And, Or or Not", [...logical, ...others]);
	fields.exclusive(logical, "a rule asks one thing");
	if (kind === "Not") {
		const condition = readCondition(fields.value("Not") as Json, fields.at("Not"), findings, false, depth + 1);
		return condition && { kind: "not", condition };
	}
	const parts = fields.list(kind, { least: 1, most: flowLimitRules }) ?? [];
	const conditions = parts.map((part, i) => readCondition(part, [...fields.at(kind), i], findings, false, depth + 1));
	if (conditions.includes(undefined)) return undefined;
	return { kind: kind === "And" ? "and" : "or", conditions: conditions as Condition[] };
}

function readComparison(value: Json, at: DocumentPath, findings: Findings): Condition | undefined {
	const fields = new ObjectReader(findings, at, value as never, "a rule", ["Variable", ...others, ...operators]);
	fields.require("Variable", "the path of what is compared, $.input.size");
	const variable = fields.referencePath("Variable");
	const [key] = fields.exclusive(operators, "a rule compares once; And joins several");
	if (key === undefined) {
		findings.error("required", at, `a comparison is missing: one of ${Object.keys(comparisons).join(", ")}`);
		return undefined;
	}
	if (!isComparison(key)) {
		const path = fields.referencePath(key);
		const operator = key.slice(0, -"Path".length);
		return variable && path && isComparison(operator)
			? { kind: "comparison", operator, variable, operand: { path } }
			: undefined;
	}
	const operand = fields.value(key) as Json;
	const kind = comparisons[key].operand;
	const [wanted, fits] = operands[kind];
	const obstacle = !fits(operand)
		? `${key} takes ${wanted}, not ${typeof operand === "string" ? JSON.stringify(operand) : kindOf(operand)}`
		: kind === "pattern"
			? patternObstacle(operand as string)
			: undefined;
	if (obstacle !== undefined) findings.error(fits(operand) ? "value" : "type", fields.at(key), obstacle);
	return variable && obstacle === undefined
		? { kind: "comparison", operator: key, variable, operand: { value: operand } }
		: undefined;
}
