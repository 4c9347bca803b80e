import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FlowDefinition } from "../definition.ts";
import type { Json } from "../json.ts";
import { parseFlow } from "../parse.ts";
import { readFlowSource } from "../source.ts";
import type { StateMark } from "./mark.ts";
import { drawSvg } from "./svg.ts";
import { drawTerminal } from "./terminal.ts";

const examples = join(import.meta.dirname, "../../../../sdk/examples/flows");
const example = (name: string): FlowDefinition => {
	const { flow } = readFlowSource(readFileSync(join(examples, name), "utf8"));
	if (!flow) throw new Error(`${name} has faults`);
	return flow;
};

test("a flow in the terminal: frames, a loop and what is caught", async () => {
	await expect(`${drawTerminal(example("light-source.yaml"), { columns: 120 }).join("\n")}\n`).toMatchFileSnapshot(
		"../golden/light-source.txt",
	);
	await expect(`${drawTerminal(example("microscope.yaml"), { columns: 120 }).join("\n")}\n`).toMatchFileSnapshot(
		"../golden/microscope.txt",
	);
});

test("no line is wider than the terminal; where boxes do not fit, states are listed", () => {
	for (const columns of [20, 40, 60, 80, 200]) {
		const lines = drawTerminal(example("light-source.yaml"), { columns });
		expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(columns);
		expect(lines.join("\n")).toContain(columns < 40 ? "→" : "▼");
	}
});

test("marks are drawn with their states", () => {
	const flow = example("microscope.yaml");
	const marks = new Map<string, StateMark>([
		["Sync", "done"],
		["Process", "active"],
		["Poor", "skipped"],
		["Archive", "waiting"],
		["MayDelete", "failed"],
	]);
	const text = drawTerminal(flow, { columns: 200, marks }).join("\n");
	for (const words of ["✓ Sync", "● Process", "– Poor", "○ Archive", "✗ MayDelete"]) expect(text).toContain(words);
	const svg = drawSvg(flow, { marks });
	expect(svg).toContain('class="action done" data-state="Sync"');
	expect(svg).toContain('class="fail skipped" data-state="Poor"');
});

interface Shape {
	readonly name: string;
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
}

/** Boxes as they stand in the picture. */
const shapes = (svg: string): Shape[] =>
	[
		...svg.matchAll(
			/data-state="([^"]*)"><title>[^<]*<\/title><rect class="box[^"]*" x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"/g,
		),
	].map(([, name = "", ...numbers]) => {
		const [x = 0, y = 0, width = 0, height = 0] = numbers.map(Number);
		return { name, x, y, width, height };
	});
const within = (a: Shape, b: Shape): boolean =>
	a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;
const apart = (a: Shape, b: Shape): boolean =>
	a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;

describe("whatever the flow", () => {
	/** Graphs of Choices, Passes and Parallels in which every state is reached. */
	const graph = (prefix: string, depth: number): fc.Arbitrary<Json> =>
		fc
			.array(
				fc.record({
					kind: fc.constantFrom("Pass", "Choice", "Parallel"),
					jumps: fc.array(fc.nat(20), { maxLength: 3 }),
					inner: depth > 0 ? fc.boolean() : fc.constant(false),
				}),
				{ minLength: 1, maxLength: 7 },
			)
			.chain((plan) =>
				fc
					.tuple(...plan.map((_, i) => (depth > 0 ? graph(`${prefix}${i}-`, depth - 1) : fc.constant(null))))
					.map((inner) => {
						const name = (i: number): string => `${prefix}${i} <&"'>`;
						const states = plan.map(({ kind, jumps, inner: nested }, i): [string, Json] => {
							const next = i + 1 < plan.length ? { Next: name(i + 1) } : { End: true };
							if (kind === "Choice" && i + 1 < plan.length)
								return [
									name(i),
									{
										Type: "Choice",
										Choices: [
											{ Variable: "$.x", IsNull: true, Next: name(i + 1) },
											...jumps.map((to) => ({ Variable: "$.y", NumericLessThan: to, Next: name(to % plan.length) })),
										],
									},
								];
							if (kind === "Parallel" && nested)
								return [
									name(i),
									{
										Type: "Parallel",
										Branches: [
											inner[i] as Json,
											{ StartAt: `${prefix}${i}b`, States: { [`${prefix}${i}b`]: { Type: "Succeed" } } },
										],
										...next,
									},
								];
							return [name(i), { Type: "Pass", ...next }];
						});
						return { StartAt: name(0), States: Object.fromEntries(states) };
					}),
			);

	test("boxes do not cover one another, frames hold what is in them, and all is within the picture", () => {
		fc.assert(
			fc.property(graph("s", 2), (document) => {
				const { flow, issues } = parseFlow(document);
				if (!flow) throw new Error(JSON.stringify(issues));
				const svg = drawSvg(flow);
				expect(svg).not.toMatch(/NaN|Infinity|undefined/);
				const boxes = shapes(svg);
				expect(boxes).toHaveLength([...JSON.stringify(document).matchAll(/"Type":/g)].length);
				for (const [i, a] of boxes.entries())
					for (const b of boxes.slice(i + 1))
						expect(apart(a, b) || within(a, b) || within(b, a), `${a.name} and ${b.name}`).toBe(true);
				const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg) ?? [];
				for (const { x, y, ...box } of boxes)
					expect(x >= 0 && y >= 0 && x + box.width <= Number(width) && y + box.height <= Number(height)).toBe(true);
				const lines = drawTerminal(flow, { columns: 500 });
				expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(500);
			}),
			{ numRuns: 60 },
		);
	});
});

test("names cannot leave their place in the picture", () => {
	const { flow } = parseFlow({
		StartAt: '"/><script>',
		States: { '"/><script>': { Type: "Succeed", Comment: "]]>" } },
	});
	expect(flow && drawSvg(flow, { title: "</title><script>" })).not.toContain("<script");
});

test("a thousand states in a row are drawn in time", () => {
	const names = Array.from({ length: 1_000 }, (_, i) => `S${i}`);
	const { flow } = parseFlow({
		StartAt: "S0",
		States: Object.fromEntries(
			names.map((name, i) => [name, { Type: "Pass", ...(names[i + 1] ? { Next: names[i + 1] } : { End: true }) }]),
		),
	});
	const started = performance.now();
	expect(flow && shapes(drawSvg(flow))).toHaveLength(1_000);
	expect(performance.now() - started).toBeLessThan(5_000);
});

test("a tangle is listed instead, in time", () => {
	const names = Array.from({ length: 400 }, (_, i) => `S${i}`);
	const states = names.map((name, i) => [
		name,
		i + 1 < names.length
			? {
					Type: "Choice",
					Choices: names
						.slice(i + 1, i + 120)
						.map((to) => ({ Variable: "$.x", IsNull: true, Next: to }))
						.slice(-8),
					Default: names[i + 1],
				}
			: { Type: "Succeed" },
	]);
	const { flow, issues } = parseFlow({ StartAt: "S0", States: Object.fromEntries(states) });
	if (!flow) throw new Error(JSON.stringify(issues.slice(0, 3)));
	const started = performance.now();
	expect(drawSvg(flow)).toContain("→ S1 ");
	expect(drawTerminal(flow, { columns: 200 })[0]).toContain("S0");
	expect(performance.now() - started).toBeLessThan(2_000);
});
