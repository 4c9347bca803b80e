import fc from "fast-check";
import { expect, test } from "vitest";
import { EvaluationBudget } from "./expression/budget.ts";
import { evaluateExpression } from "./expression/evaluate.ts";
import { parseExpression } from "./expression/parse.ts";
import { ExpressionFault } from "./expression/tokens.ts";
import { FlowFailure } from "./flow-failure.ts";
import { parseInputSchema } from "./input-schema.ts";
import { parseFlow } from "./parse.ts";
import { isPathFault, parsePath } from "./reference-path.ts";
import { readFlowSource } from "./source.ts";
import { resolveInput } from "./template.ts";

const words = [
	"a",
	"b",
	"1",
	"2.5",
	"'s'",
	"`$.a`",
	"(",
	")",
	"[",
	"]",
	"{",
	"}",
	":",
	",",
	".",
	"+",
	"-",
	"*",
	"**",
	"//",
	"%",
	"<",
	"==",
	"in",
	"not",
	"and",
	"or",
	"if",
	"else",
	"for",
	"is",
	"None",
	"True",
	"len",
	"range",
	"sorted",
	"join",
	"get",
	"__proto__",
	"constructor",
	"é",
	"\\",
	"'",
	"`",
];
const scope = { state: { a: [1, [2], { b: 3 }], b: "text", big: "x".repeat(200_000) }, context: {} };

test("no text makes the reader or the evaluator of expressions throw anything but their faults", () => {
	const text = fc.oneof(
		fc.array(fc.constantFrom(...words), { maxLength: 24 }).map((parts) => parts.join(" ")),
		fc.string({ maxLength: 60, unit: "binary" }),
	);
	fc.assert(
		fc.property(text, (source) => {
			try {
				const value = evaluateExpression(
					parseExpression(source),
					scope,
					new EvaluationBudget({ steps: 2_000, size: 10_000 }),
				);
				expect(JSON.parse(JSON.stringify(value))).toEqual(value);
			} catch (error) {
				expect(error instanceof ExpressionFault || error instanceof FlowFailure, `${source}: ${error}`).toBe(true);
			}
		}),
		{ numRuns: 1_500 },
	);
});

/** A list of two times the same list, of two times the same list, … */
const doubled = (depth: number): string => `${"[".repeat(depth)}0${"] * 2".repeat(depth)}`;

test.each([
	["nested loops", "[a for a in range(1000) for b in range(1000) for c in range(1000)]"],
	["a long range", "range(10 ** 12)"],
	["repetition", "'x' * 10 ** 9"],
	["sums of sorted lists", "[sorted(range(500)) for i in range(500)]"],
	["replacement", "('a' * 1000).replace('a', 'b' * 1000).replace('b', 'c' * 1000)"],
	["joining", "('x' * 1000).join([str(i) for i in range(2000)])"],
	["looking at a long text again and again", "[big[i] for i in range(20000)]"],
	["comparing long texts again and again", "[i for i in range(20000) if big + 'a' < big + 'b']"],
	["comparison of what is shared", `${doubled(20)} == ${doubled(20)}`],
])("the budget ends %s", (_, source) => {
	const started = performance.now();
	expect(() => evaluateExpression(parseExpression(source), scope)).toThrow(FlowFailure);
	expect(performance.now() - started).toBeLessThan(2_000);
});

test.each([
	["parentheses", `${"(".repeat(4_000)}1${")".repeat(4_000)}`],
	["nots", `${"not ".repeat(2_000)}1`],
	["signs", `${"-".repeat(8_000)}1`],
	["a long sum", Array.from({ length: 4_000 }, () => "1").join("+")],
	["powers", Array.from({ length: 2_500 }, () => "1").join("**")],
	["indices", `a${"[0]".repeat(2_500)}`],
	["conditions", `${"1 if 1 else ".repeat(600)}1`],
	["letters", "x".repeat(9_000)],
])("an expression of very many %s is refused, not a full stack", (_, source) => {
	expect(() => parseExpression(source)).toThrow(ExpressionFault);
});

test("a value that is shared many times is measured, and refused before it is written out", () => {
	for (const text of ["[big for i in range(1000)]", doubled(50)]) {
		const { flow } = parseFlow({
			StartAt: "E",
			States: { E: { Type: "ExpressionEval", Parameters: { "x.=": text }, End: true } },
		});
		const state = flow?.states.get("E");
		if (state?.type !== "ExpressionEval") throw new Error("not read");
		expect(() => resolveInput(state.input, { state: { big: "x".repeat(100_000) }, context: {} })).toThrow(
			"more than 262144 bytes",
		);
	}
});

const stateLike = fc.record(
	{
		Type: fc.constantFrom(
			"Action",
			"Choice",
			"Pass",
			"Wait",
			"Fail",
			"Succeed",
			"ExpressionEval",
			"Parallel",
			"Map",
			"Task",
		),
		Next: fc.constantFrom("A", "B", "C", 1),
		End: fc.boolean(),
		Parameters: fc.jsonValue(),
		Choices: fc.array(
			fc.record(
				{ Variable: fc.string(), Next: fc.constantFrom("A", "B"), And: fc.jsonValue(), NumericEquals: fc.jsonValue() },
				{ requiredKeys: [] },
			),
			{ maxLength: 3 },
		),
		Branches: fc.array(fc.jsonValue(), { maxLength: 2 }),
		Retry: fc.jsonValue(),
		Catch: fc.array(
			fc.record({ ErrorEquals: fc.jsonValue(), Next: fc.constantFrom("A", "B", "") }, { requiredKeys: [] }),
			{ maxLength: 2 },
		),
		ResultPath: fc.oneof(fc.string(), fc.constant(null)),
		ItemProcessor: fc.jsonValue(),
		Seconds: fc.jsonValue(),
	},
	{ requiredKeys: [] },
);

test("no document makes the reader of flows throw", () => {
	const flowLike = fc.record(
		{
			StartAt: fc.constantFrom("A", "B", 3),
			States: fc.dictionary(fc.constantFrom("A", "B", "C", "__proto__", ""), fc.oneof(stateLike, fc.jsonValue())),
		},
		{ requiredKeys: [] },
	);
	fc.assert(
		fc.property(fc.oneof(flowLike, fc.anything()), (document) => {
			const { flow, issues } = parseFlow(document);
			expect(flow === undefined).toBe(issues.some(({ severity }) => severity === "error"));
			parseInputSchema(document);
		}),
		{ numRuns: 1_000 },
	);
});

test("no text makes the reader of files throw, and each fault has a line of it", () => {
	const text = fc.oneof(
		fc.string({ maxLength: 80, unit: "binary" }),
		fc
			.array(
				fc.constantFrom(
					"StartAt: A",
					"States:",
					"  A:",
					"    Type: Pass",
					"    End: true",
					"definition:",
					"- x",
					"{",
					"}",
					"[",
					'"',
					"&a x",
					"*a",
					"? y",
					"\t",
					"!!js x",
					"<<: *a",
					"A: .nan",
				),
				{ maxLength: 12 },
			)
			.map((lines) => lines.join("\n")),
	);
	fc.assert(
		fc.property(text, (source) => {
			const lines = source.split(/\r\n?|\n/).length;
			for (const { line = 0 } of readFlowSource(source).issues)
				expect(line >= 1 && line <= lines + 1, `${line} of ${lines}`).toBe(true);
		}),
		{ numRuns: 1_000 },
	);
	for (const deep of ["[".repeat(50_000), `${"{a: ".repeat(5_000)}`, "- ".repeat(20_000)])
		expect(readFlowSource(deep).flow).toBeUndefined();
});

test("no text makes the reader of paths throw", () => {
	fc.assert(
		fc.property(
			fc.oneof(
				fc.string({ unit: "binary" }),
				fc
					.array(fc.constantFrom("$", ".", "a", "[", "]", "0", "'", '"', "\\", "*"), { maxLength: 12 })
					.map((parts) => parts.join("")),
			),
			(text) => {
				const path = parsePath(text);
				if (!isPathFault(path))
					expect(path.every((key) => typeof key === "string" || Number.isInteger(key))).toBe(true);
			},
		),
	);
});
