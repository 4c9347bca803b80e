import { splitBuffer, unpack } from "@errand/proto";
import { stringifyStructured } from "@errand/proto/structured-value";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SerializationError } from "../errors.ts";
import { packStructured } from "./arguments.ts";
import { readResult } from "./result.ts";

const anything = fc.anything({
	withBigInt: true,
	withDate: true,
	withMap: true,
	withSet: true,
	withSparseArray: true,
	withTypedArray: true,
	maxDepth: 3,
	// An own property of this name is refused, see below.
	key: fc.string().filter((key) => key !== "__proto__"),
});

function roundTrip(values: readonly unknown[]): unknown {
	const [args = ""] = unpack(packStructured("f", { positional: values, keywords: {} }));
	return readResult(args);
}

describe("values between TypeScript ends", () => {
	test("NEW-14: whatever structured clone keeps comes back equal", () => {
		fc.assert(
			fc.property(fc.array(anything, { maxLength: 4 }), (values) => {
				expect(roundTrip(values)).toStrictEqual(structuredClone(values));
			}),
			{ numRuns: 300 },
		);
	});

	test("an own property named __proto__, which would become a prototype somewhere, is refused by its place", () => {
		expect(() => roundTrip([{ a: JSON.parse('{"__proto__": 1}') }])).toThrow(/\[0\]\.a.*__proto__/);
	});

	test("cycles and shared references stay what they are", () => {
		const shared = { a: 1 };
		const cycle: Record<string, unknown> = { shared };
		cycle.self = cycle;
		const [first, second] = roundTrip([cycle, shared]) as [Record<string, unknown>, object];
		expect(first.self).toBe(first);
		expect(first.shared).toBe(second);
		const [a, b] = roundTrip([shared, shared]) as object[];
		expect(a).toBe(b);
	});

	test("errors keep class, name, message, stack and cause", () => {
		const error = new TypeError("outer", { cause: new RangeError("inner") });
		const [back] = roundTrip([error]) as [TypeError];
		expect(back).toBeInstanceOf(TypeError);
		expect(back).toMatchObject({ name: "TypeError", message: "outer", stack: error.stack });
		expect(back.cause).toBeInstanceOf(RangeError);
		class Custom extends Error {
			override readonly name = "Custom";
		}
		expect((roundTrip([new Custom("x")]) as [Error])[0]).toMatchObject({ name: "Custom", message: "x" });
	});

	test.each([
		[[1, "a", null, true], "11"],
		[[[1, 2], { a: "b" }], "11"],
		[[-0], "ev"],
		[[undefined], "ev"],
		[[[new Date()]], "ev"],
		[[{ a: { b: 1 } }], "ev"],
		[[Number.NaN], "ev"],
	])("%o travels as %s", (values, id) => {
		expect(splitBuffer(unpack(packStructured("f", { positional: values, keywords: {} }))[0] ?? "").id).toBe(id);
	});

	test("a result that is a Python pickle is refused with what to do", () => {
		expect(() => readResult("00\nabcd")).toThrow(/serialized as "00".*JSON values/);
		expect(() => readResult("11\n{")).toThrow(SerializationError);
		expect(() => readResult("nonsense")).toThrow(SerializationError);
		expect(readResult(`ev\n${stringifyStructured(new Set([1]))}`)).toEqual(new Set([1]));
	});
});
