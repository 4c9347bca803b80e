import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FlowFailure } from "./flow-failure.ts";
import type { Json } from "./json.ts";
import {
	formatPath,
	isPathFault,
	parsePath,
	type ReferencePath,
	readPath,
	requirePath,
	writePath,
} from "./reference-path.ts";

const parsed = (text: string): ReferencePath => {
	const path = parsePath(text);
	if (isPathFault(path)) throw new Error(`${text}: ${path.message}`);
	return path;
};
const state = { runs: [{ "sample name": "Fe", size: 3 }, { size: 4 }], "a.b": 1, nothing: null };
const scope = { state, context: { run_id: "r-1" } };

test.each([
	["$", []],
	["$.runs[0]['sample name']", ["runs", 0, "sample name"]],
	['$["it\'s"].x-y', ["it's", "x-y"]],
	["$.runs[-1].größe", ["runs", -1, "größe"]],
	["$['a\\'b\\\\']", ["a'b\\"]],
])("%s is read, and written again", (text, path) => {
	expect(parsed(text)).toEqual(path);
	expect(parsed(formatPath(path))).toEqual(path);
});

test.each([
	["runs", "begins with $"],
	["$$.Execution", "$._context"],
	["$..x", "searches"],
	["$.a.*", "several places"],
	["$.a[*]", "several places"],
	["$.a[?(@.x)]", "filters"],
	["$.a[1:2]", "slices"],
	["$.a[0,1]", "several places at once"],
	["$.a.0", "in brackets"],
	["$.a[b]", "in quotes"],
	["$.a[ 0]", "blanks"],
	["$.a.", "not read"],
	["$.__proto__.x", "not taken as a key"],
	["$['constructor']", "not taken as a key"],
	["$.a['prototype']", "not taken as a key"],
	[`$.${"a".repeat(2000)}`, "at most 1024"],
])("%s is refused in words", (text, words) => {
	const path = parsePath(text);
	expect(isPathFault(path) && path.message).toContain(words);
});

test("a path reads what is there, from the end too, null included, and nothing of prototypes", () => {
	expect(readPath(parsed("$.runs[-1].size"), scope)).toBe(4);
	expect(readPath(parsed("$['a.b']"), scope)).toBe(1);
	expect(readPath(parsed("$.nothing"), scope)).toBeNull();
	expect(readPath(parsed("$._context.run_id"), scope)).toBe("r-1");
	for (const text of ["$.toString", "$.runs.length", "$.runs[2]", "$.nothing.x", "$.runs[0].size.x"])
		expect(readPath(parsed(text), scope), text).toBeUndefined();
});

test("a path to nothing says how far it leads", () => {
	expect(() => requirePath(parsed("$.runs[0].energy"), scope)).toThrow(
		"$.runs[0].energy leads to nothing: $.runs[0] is an object with sample name, size",
	);
});

describe("writing", () => {
	test("makes objects on the way, and leaves the old state as it was", () => {
		const before = structuredClone(state);
		expect(writePath(parsed("$.a.b.c"), { a: null }, 1)).toEqual({ a: { b: { c: 1 } } });
		expect(writePath(parsed("$.runs[-1].done"), state, true)).toMatchObject({ runs: [{}, { done: true }] });
		expect(state).toEqual(before);
		expect(writePath([], state, 5)).toBe(5);
		expect(writePath(null, state, 5)).toBe(state);
	});

	test.each([
		["$.runs[2]", "which is not made longer"],
		["$.runs.x", "is a list, not an object"],
		["$.runs[0].size.x", "is a number, not an object"],
		["$.a[0]", "is nothing, not a list"],
	])("is refused at %s", (text, words) => {
		expect(() => writePath(parsed(text), state, 1)).toThrow(words);
	});

	test("what is written is read again, whatever the state and the path", () => {
		const keys = fc.oneof(
			fc.string({ maxLength: 6 }).filter((key) => isPathFault(parsePath(formatPath([key]))) === false),
			fc.integer({ min: -3, max: 3 }),
		);
		fc.assert(
			fc.property(
				fc.jsonValue({ maxDepth: 4 }),
				fc.array(keys, { maxLength: 4 }),
				fc.jsonValue(),
				(whole, path, value) => {
					if (path[0] === "_context") return;
					const before = JSON.stringify(whole);
					try {
						const written = writePath(path, whole as Json, value as Json);
						expect(readPath(path, { state: written, context: {} })).toEqual(value);
					} catch (error) {
						expect(error).toBeInstanceOf(FlowFailure);
					}
					expect(JSON.stringify(whole)).toBe(before);
				},
			),
		);
	});
});
