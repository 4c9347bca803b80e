import fc from "fast-check";
import { expect, test } from "vitest";
import { type ComparisonName, comparisons, conditionHolds, matchesPattern } from "./comparison.ts";
import type { Json } from "./json.ts";
import { parseFlow } from "./parse.ts";

const asks = (operator: ComparisonName, variable: Json, operand: Json): boolean =>
	conditionHolds(
		{ kind: "comparison", operator, variable: ["v"], operand: { value: operand } },
		{ state: { v: variable }, context: {} },
	);

test.each<[ComparisonName, Json, Json, boolean]>([
	["StringEquals", "a", "a", true],
	["StringEquals", 1, "1", false],
	["StringLessThan", "a", "b", true],
	["StringGreaterThanEquals", "b", "b", true],
	["NumericEquals", 1, 1, true],
	["NumericEquals", "1", 1, false],
	["NumericLessThanEquals", 2, 2, true],
	["NumericGreaterThan", 2, 2, false],
	["BooleanEquals", false, false, true],
	["BooleanEquals", null, false, false],
	["TimestampEquals", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", true],
	["TimestampLessThan", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.001Z", true],
	["TimestampGreaterThan", "yesterday", "2026-01-01T00:00:00Z", false],
	["StringMatches", "scan_001.h5", "scan_*.h5", true],
	["StringMatches", "scan_001.h5.tmp", "scan_*.h5", false],
	["StringMatches", "a*b", "a\\*b", true],
	["StringMatches", "aXb", "a\\*b", false],
	["IsNull", null, true, true],
	["IsNumeric", 1, false, false],
	["IsString", "", true, true],
	["IsBoolean", 0, true, false],
	["IsTimestamp", "2026-02-30T00:00:00Z", true, false],
	["IsTimestamp", "2026-02-28T23:59:59+02:00", true, true],
])("%s of %j with %j is %j", (operator, variable, operand, holds) => {
	expect(asks(operator, variable, operand)).toBe(holds);
});

test("every comparison has a case, and what it asks of another type does not hold", () => {
	for (const [name, { operand }] of Object.entries(comparisons))
		if (operand !== "flag") expect(asks(name as ComparisonName, { other: 1 }, "x"), name).toBe(false);
});

test("a pattern is a glob, in time", () => {
	fc.assert(
		fc.property(
			fc.string({ unit: fc.constantFrom("a", "b", "*", "\\*", "\\\\"), maxLength: 8 }),
			fc.string({ unit: fc.constantFrom("a", "b", "*", "\\"), maxLength: 8 }),
			(pattern, text) => {
				const source = pattern.replaceAll(/\\(.)|(\*)|(.)/g, (_, quoted, star, plain) =>
					star ? "[^]*" : `\\${quoted ?? ""}${plain ?? ""}`.replace(/^\\([ab])$/, "$1"),
				);
				expect(matchesPattern(text, pattern)).toBe(new RegExp(`^${source}$`).test(text));
			},
		),
	);
	const started = performance.now();
	expect(matchesPattern("a".repeat(20_000), `${"*a".repeat(100)}*b`)).toBe(false);
	expect(performance.now() - started).toBeLessThan(2_000);
});

test("And and Or stop at the first that decides, so IsPresent guards what follows", () => {
	const choice = (rule: Json) =>
		parseFlow({
			StartAt: "C",
			States: {
				C: { Type: "Choice", Choices: [{ ...(rule as object), Next: "D" }], Default: "D" },
				D: { Type: "Succeed" },
			},
		});
	const guarded = choice({
		And: [{ Variable: "$.x", IsPresent: true }, { Not: { Variable: "$.x", NumericLessThanPath: "$.y" } }],
	});
	const state = guarded.flow?.states.get("C");
	if (state?.type !== "Choice") throw new Error(JSON.stringify(guarded.issues));
	const { condition } = state.choices[0] as (typeof state.choices)[number];
	expect(conditionHolds(condition, { state: {}, context: {} })).toBe(false);
	expect(conditionHolds(condition, { state: { x: 2, y: 1 }, context: {} })).toBe(true);
	expect(() => conditionHolds(condition, { state: { x: 2 }, context: {} })).toThrow("$.y leads to nothing");
});
