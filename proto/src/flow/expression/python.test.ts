import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FlowFailure } from "../flow-failure.ts";
import type { Json } from "../json.ts";
import { evaluateExpression } from "./evaluate.ts";
import { parseExpression } from "./parse.ts";

const state = {
	n: 7,
	x: 2.5,
	name: "run 12/α",
	empty: "",
	yes: true,
	nothing: null,
	list: [3, 1, 2],
	words: ["b", "a", "cc"],
	nested: [
		[1, "a"],
		[2, "b"],
	],
	item: { path: "/data/a.h5", size: 12, tags: ["raw", "new"] },
};

/** Reads expressions, one JSON string a line; writes for each its value as JSON, or `error`, or `large`, or `whole` when a
 * float is no index there: JSON has one kind of number, so 2.0 is 2 here. */
const python = `
import json, sys
class Node(dict):
    def __getattr__(self, name):
        try: return self[name]
        except KeyError: raise AttributeError(name)
def wrap(value):
    if isinstance(value, dict): return Node({key: wrap(item) for key, item in value.items()})
    return [wrap(item) for item in value] if isinstance(value, list) else value
state = wrap(json.loads(sys.argv[1]))
def lists(make): return lambda *given: [list(item) if isinstance(item, tuple) else item for item in make(*given)]
names = dict(state, len=len, str=str, int=int, float=float, bool=bool, abs=abs, round=round, min=min, max=max, sum=sum, sorted=sorted, any=any, all=all, range=lists(range), zip=lists(zip), enumerate=lists(enumerate), __builtins__={})
def large(value):
    if isinstance(value, bool): return False
    if isinstance(value, int): return abs(value) >= 2**53
    if isinstance(value, float): return value != value or value in (float("inf"), float("-inf"))
    if isinstance(value, dict): return any(map(large, value.values()))
    return isinstance(value, (list, tuple)) and any(map(large, value))
for line in sys.stdin:
    try:
        value = eval(json.loads(line), names, {})
        print("large" if large(value) else json.dumps(value))
    except RecursionError: raise
    except TypeError as error: print("whole" if "float" in str(error) or "slice indices" in str(error) else "error")
    except Exception: print("error")
`;

const pick = (...words: string[]) => fc.constantFrom(...words);

/** Text of expressions that both languages read. */
const { expression } = fc.letrec<{ expression: string; small: string }>((tie) => {
	const inner = tie("expression");
	const atom = fc.oneof(
		fc.integer({ min: 0, max: 12 }).map(String),
		pick("0.5", "2.25", "10.0", "1_000"),
		pick("'a'", "'b,c'", '"x y"', "''", "' 7 '", "'-3'", "'0.25'", "'/data/run/'", "'α'"),
		pick("True", "False", "None", "[]", "{}"),
		pick(...Object.keys(state), "item.path", "item.size", "item.tags", "item['size']", "missing", "item.missing"),
	);
	const place = fc.oneof(fc.integer({ min: -4, max: 4 }).map(String), fc.constant(""));
	const method = fc.oneof(
		fc.tuple(pick("strip", "lstrip", "rstrip", "split", "lower", "upper"), pick("")),
		fc.tuple(pick("strip", "lstrip", "rstrip", "split", "startswith", "endswith"), pick("'/'", "'a'", "', '")),
		fc.tuple(pick("replace"), pick("'a', 'bb'", "'', '-'", "'/', ''")),
		fc.tuple(pick("zfill"), pick("0", "5")),
		fc.tuple(pick("join"), pick("words", "list", "'abc'")),
	);
	return {
		small: fc.integer({ min: 0, max: 3 }).map(String),
		expression: fc.oneof(
			{ depthSize: "small", withCrossShrink: true, maxDepth: 5 },
			atom,
			fc.tuple(inner, pick("+", "-", "*", "/", "//"), inner).map(([a, sign, b]) => `(${a} ${sign} ${b})`),
			// Of strings % is formatting, which is not taken.
			fc.tuple(pick("n", "x", "-7", "2.25", "True", "len(words)"), inner).map(([a, b]) => `(${a} % ${b})`),
			fc.tuple(pick("2", "-3", "0", "0.5", "n", "True"), tie("small")).map(([a, b]) => `(${a}) ** ${b}`),
			fc
				.tuple(inner, pick("==", "!=", "<", "<=", ">", ">=", "in", "not in"), inner)
				.map((parts) => `(${parts.join(" ")})`),
			fc.tuple(inner, pick("<", "<=", "=="), inner, pick(">", "!="), inner).map((parts) => `(${parts.join(" ")})`),
			fc.tuple(inner, pick("and", "or"), inner).map((parts) => `(${parts.join(" ")})`),
			fc.tuple(pick("not ", "-", "+", "- -"), inner).map(([sign, a]) => `(${sign}${a})`),
			fc.tuple(inner, pick("is", "is not"), pick("None", "True", "False")).map((parts) => `(${parts.join(" ")})`),
			fc.tuple(inner, inner, inner).map(([a, b, c]) => `(${a} if ${b} else ${c})`),
			fc.array(inner, { maxLength: 4 }).map((items) => `[${items.join(", ")}]`),
			fc.tuple(inner, inner).map(([a, b]) => `{'k': ${a}, 'l': ${b}}`),
			fc.tuple(inner, place.filter(Boolean)).map(([a, i]) => `${a}[${i}]`),
			fc.tuple(inner, place, place, fc.oneof(place, fc.constant(""))).map(([a, i, j, k]) => `${a}[${i}:${j}:${k}]`),
			fc.tuple(inner, inner, inner).map(([a, b, c]) => `[${a} for e in ${b} if ${c}]`),
			fc
				.tuple(pick("e", "e * 2", "[e, f]", "f", "e + f"), inner, inner)
				.map(([a, b, c]) => `[${a} for e in ${b} for f in ${c}]`),
			fc
				.tuple(pick("a", "b", "[b, a]"), pick("nested", "zip(list, words)", "enumerate(words)", "item.items()"))
				.map(([a, b]) => `[${a} for a, b in ${b}]`),
			fc
				.tuple(pick("len", "int", "float", "bool", "abs", "round", "min", "max", "sum", "sorted", "any", "all"), inner)
				.map(([f, a]) => `${f}(${a})`),
			fc.tuple(pick("min", "max", "zip"), inner, inner).map(([f, a, b]) => `${f}(${a}, ${b})`),
			fc
				.tuple(
					pick(
						"range(n)",
						"range(1, n)",
						"range(9, -3, -2)",
						"range(2, 2)",
						"str(n)",
						"str(x)",
						"str(None)",
						"item.get('size')",
						"item.get('z', 1)",
						"list.index(1)",
						"list.count(3)",
						"round(x, 1)",
						"round(-0.125, 2)",
					),
				)
				.map(([text]) => text),
			fc.tuple(fc.oneof(atom, inner), method).map(([a, [name, given]]) => `(${a}).${name}(${given})`),
		),
	};
});

test("an expression gives what Python gives", { timeout: 60_000 }, () => {
	const texts = fc.sample(expression, 1_500);
	const input = texts.map((text) => `${JSON.stringify(text)}\n`).join("");
	const { stdout, stderr, status } = spawnSync("python3", ["-W", "ignore", "-c", python, JSON.stringify(state)], {
		input,
		encoding: "utf8",
		maxBuffer: 1 << 28,
		timeout: 50_000,
	});
	expect(status, stderr).toBe(0);
	const answers = stdout.trimEnd().split("\n");
	expect(answers).toHaveLength(texts.length);
	const values = answers.filter((answer) => !/^[elw]/.test(answer)).length;
	expect(values, "a part of the expressions has a value").toBeGreaterThan(texts.length / 10);
	for (const [i, text] of texts.entries()) {
		const answer = answers[i] as string;
		const ours = outcome(text);
		if (answer === "large" || answer === "whole") continue;
		const same =
			answer === "error" || ours === undefined
				? answer === "error" && ours === undefined
				: isNear(ours, JSON.parse(answer));
		// What is too much for a state is refused, whatever Python says.
		expect(same || isRefusedForSize(text), `${text}: Python gives ${answer}, we give ${JSON.stringify(ours)}`).toBe(
			true,
		);
	}
});

/** Undefined when it fails. */
function outcome(text: string): Json | undefined {
	try {
		return evaluateExpression(parseExpression(text), { state, context: {} });
	} catch (error) {
		if (error instanceof FlowFailure) return undefined;
		throw error;
	}
}

function isRefusedForSize(text: string): boolean {
	try {
		evaluateExpression(parseExpression(text), { state, context: {} });
		return false;
	} catch (error) {
		return error instanceof FlowFailure && /2\*\*53|operations|too large|characters and places/.test(error.message);
	}
}

/** Powers of fractions may differ in the last digit. */
function isNear(a: Json, b: Json): boolean {
	if (typeof a === "number" && typeof b === "number") return a === b || Math.abs(a - b) <= 1e-12 * Math.abs(b);
	if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
	const [left, right] = [Object.entries(a), Object.entries(b)];
	return (
		left.length === right.length &&
		left.every(([key, item], i) => right[i]?.[0] === key && isNear(item, right[i]?.[1] as Json))
	);
}
