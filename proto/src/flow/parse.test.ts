import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { drawSvg } from "./drawing/svg.ts";
import { issueCodes } from "./issue.ts";
import type { Json } from "./json.ts";
import { parseFlow } from "./parse.ts";
import { type FlowSource, readFlowSource } from "./source.ts";

const here = import.meta.dirname;
const told = ({ issues }: Pick<FlowSource, "issues">): string =>
	issues
		.map(
			({ line, column, severity, code, path, message }) =>
				`${line}:${column} ${severity} ${code} ${path}\n    ${message}\n`,
		)
		.join("");
const codes = (document: Json): string[] => parseFlow(document).issues.map(({ code, path }) => `${code} ${path}`);
const pass = (next?: string): Json => ({ Type: "Pass", ...(next === undefined ? { End: true } : { Next: next }) });

test("FW-1: every fault is told at once, with line, column, place and what to do", async () => {
	const source = readFlowSource(readFileSync(join(here, "golden/faults.yaml"), "utf8"));
	expect(source.flow).toBeUndefined();
	await expect(told(source)).toMatchFileSnapshot("golden/faults.txt");
});

test("JSON has the same faults in the same order, at its own lines", () => {
	const yaml = readFlowSource(readFileSync(join(here, "golden/faults.yaml"), "utf8"));
	const document = { title: yaml.title, definition: yaml.definition, input_schema: yaml.inputSchema, colour: "red" };
	const json = readFlowSource(JSON.stringify(document, undefined, "\t"));
	const key = ({ code, path, message }: { code: string; path: string; message: string }) =>
		`${code} ${path} ${message}`;
	expect(json.issues.map(key)).toEqual(yaml.issues.map(key));
	const url = json.issues.find(({ path }) => path.endsWith("/ActionUrl"));
	expect(JSON.stringify(document, undefined, "\t").split("\n")[(url?.line ?? 0) - 1]).toContain("errand:trnsfer");
});

describe("a text that cannot be read", () => {
	test.each([
		["{", /flow map|expected/i],
		['{"a": 1, "a": 2}', /unique/i],
		["a: &x 1\nb: *x", /anchors are not taken/],
		["a: .inf", /no form in JSON/],
		["__proto__: 1", /not taken as a key/],
		["", /a definition is an object/],
		["- 1", /not a list/],
	])("%j is told", (text, words) => {
		const { flow, issues } = readFlowSource(text);
		expect(flow).toBeUndefined();
		expect(issues.map(({ message }) => message).join("\n")).toMatch(words);
	});
});

test("a state that nothing leads to is refused, also within a branch; one without a way out is told", () => {
	expect(codes({ StartAt: "A", States: { A: pass(), B: pass() } })).toEqual(["unreachable /States/B"]);
	expect(codes({ StartAt: "A", States: { A: pass("B"), B: pass("A") } })).toEqual([
		"no-end /States/A",
		"no-end /States/B",
	]);
	const branch = { StartAt: "I", States: { I: pass(), J: pass() } };
	expect(codes({ StartAt: "P", States: { P: { Type: "Parallel", Branches: [branch], End: true } } })).toEqual([
		"unreachable /States/P/Branches/0/States/J",
	]);
});

test("limits: depth of Parallel and Map, of parameters, number of states, size", () => {
	let graph: Json = { StartAt: "S0", States: { S0: pass() } };
	for (let depth = 1; depth <= 6; depth++)
		graph = { StartAt: `S${depth}`, States: { [`S${depth}`]: { Type: "Parallel", Branches: [graph], End: true } } };
	expect(parseFlow(graph).issues.map(({ message }) => message)).toEqual([
		"more than 5 Parallels and Maps in one another",
	]);
	const names = Array.from({ length: 1_001 }, (_, i) => `S${i}`);
	const many = Object.fromEntries(names.map((name, i) => [name, pass(names[i + 1])]));
	expect(codes({ StartAt: "S0", States: many })).toEqual(["limit /States/S1000"]);
	let deep: Json = 1;
	for (let i = 0; i < 70; i++) deep = [deep];
	expect(codes({ StartAt: "A", States: { A: { Type: "Pass", Result: deep, End: true } } })).toEqual(["limit "]);
	expect(codes({ StartAt: "A", States: { A: { Type: "Pass", Result: "x".repeat(300_000), End: true } } })).toEqual([
		"limit ",
	]);
});

test("defaults are those of the field's flows", () => {
	const { flow, issues } = parseFlow({
		StartAt: "A",
		States: { A: { Type: "Action", ActionUrl: "https://actions.globus.org/hello_world", Parameters: {}, End: true } },
	});
	expect(flow?.states.get("A")).toMatchObject({
		waitTimeMs: 300_000,
		exceptionOnActionFailure: true,
		runAs: "User",
		resultPath: [],
	});
	expect(issues.map(({ severity, code }) => `${severity} ${code}`).sort()).toEqual([
		"warning exception-on-failure",
		"warning result-path",
		"warning wait-time",
	]);
});

test("GC-8: a flow of the field, with its loop, runs through the reader with only its addresses changed", () => {
	const { flow, issues } = parseFlow({
		Comment: "batches of a directory",
		StartAt: "List",
		States: {
			List: {
				Type: "Action",
				ActionUrl: "https://transfer.actions.globus.org/ls",
				Parameters: { "endpoint_id.$": "$.source.id", limit: 100 },
				ResultPath: "$.ls",
				Next: "Any",
			},
			Any: {
				Type: "Choice",
				Choices: [{ Variable: "$.ls.details.total", NumericEquals: 0, Next: "Done" }],
				Default: "Batch",
			},
			Batch: {
				Type: "ExpressionEval",
				Parameters: {
					"DATA.=": "[{'source_path': source.path.rstrip('/') + '/' + item.name} for item in ls.details.DATA[0:step]]",
				},
				ResultPath: "$.batch",
				Next: "Move",
			},
			Move: {
				Type: "Action",
				ActionUrl: "errand:transfer",
				ActionScope: "urn:scope",
				RunAs: "Flow",
				InputPath: "$.batch",
				ResultPath: "$.moved",
				WaitTime: 60,
				ExceptionOnActionFailure: true,
				Catch: [
					{
						ErrorEquals: ["ActionFailedException", "ActionTimeout", "ActionUnableToRun"],
						ResultPath: "$.error",
						Next: "Stop",
					},
				],
				Next: "List",
			},
			Done: { Type: "Pass", End: true },
			Stop: { Type: "Fail", Cause: "not moved", Error: "NotMoved" },
		},
	});
	expect(issues.filter(({ severity }) => severity === "error")).toEqual([]);
	expect(flow?.states.size).toBe(6);
});

test("a closed input schema tells what a flow reads and nothing has written", () => {
	const { issues } = readFlowSource(`
definition:
  StartAt: A
  States:
    A: {Type: ExpressionEval, Parameters: {"x.=": "inptu.a + input.b + getattr('c', 1) + [y for y in input.l][0]"}, ResultPath: $.out, Next: B}
    B: {Type: Pass, Parameters: {"p.$": $.out.x, "q.$": $.ouch}, ResultPath: $.end, End: true}
input_schema:
  {type: object, additionalProperties: false, properties: {input: {type: object, additionalProperties: false, properties: {a: {type: number}, l: {type: array}}}}}
`);
	expect(issues.map(({ message }) => message)).toEqual([
		'"A" reads $.inptu.a, which neither the input has nor any state writes',
		'"A" reads $.input.b, which neither the input has nor any state writes',
		'"B" reads $.ouch, which neither the input has nor any state writes',
	]);
});

const examples = join(here, "../../../sdk/examples/flows");
test.each(readdirSync(examples))("FW-1: the example %s has no fault, is the same as JSON, and can be drawn", (file) => {
	const source = readFlowSource(readFileSync(join(examples, file), "utf8"));
	expect(told(source)).toBe("");
	if (!source.flow) throw new Error("no flow");
	const again = readFlowSource(
		JSON.stringify({
			title: source.title,
			definition: source.definition,
			...(source.inputSchema && { input_schema: source.inputSchema }),
		}),
	);
	expect(again.flow).toEqual(source.flow);
	expect(drawSvg(source.flow)).toContain("</svg>");
});

test("every kind of issue has a case in the golden faults or here", () => {
	const golden = readFileSync(join(here, "golden/faults.txt"), "utf8");
	const elsewhere = ["syntax", "wait-time", "unreachable", "no-end", "limit", "unknown-variable"];
	for (const code of Object.keys(issueCodes))
		if (!elsewhere.includes(code)) expect(golden, code).toContain(` ${code} `);
});
