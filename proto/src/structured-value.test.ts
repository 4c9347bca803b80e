import { expect, test } from "vitest";
import { jsonObstacle, parseStructured, stringifyStructured, UnserializableValueError } from "./structured-value.ts";

test("NEW-14: values keep what structured clone keeps", () => {
	const cycle: Record<string, unknown> = {
		when: new Date(5),
		of: new Map([[1, new Set(["a"])]]),
		big: 7n,
		not: undefined,
	};
	cycle.self = cycle;
	cycle.bytes = new Float64Array([1.5, Number.NaN]);
	const back = parseStructured(stringifyStructured(cycle)) as typeof cycle;
	expect(back).toEqual(cycle);
	expect(back.self).toBe(back);
});

test("an error keeps its class, name, message, stack and cause", () => {
	class SimulationError extends Error {
		override name = "SimulationError";
	}
	const error = new TypeError("outer", { cause: new SimulationError("inner") });
	const back = parseStructured(stringifyStructured({ error })) as { error: TypeError };
	expect(back.error).toBeInstanceOf(TypeError);
	expect(back.error.stack).toBe(error.stack);
	expect(back.error.cause).toMatchObject({ name: "SimulationError", message: "inner" });
});

test("what cannot travel is refused with its path", () => {
	const refused = () => stringifyStructured({ rows: [1, { callback: () => 1 }] });
	expect(refused).toThrow(UnserializableValueError);
	expect(refused).toThrow(/rows\[1\]\.callback/);
});

test.each([
	[{ a: [1, "x", null, { b: true, absent: undefined }] }, undefined],
	[new Date(0), ""],
	[{ a: { "b c": [1, Number.NaN] } }, '.a["b c"][1]'],
	[{ m: new Map() }, ".m"],
	[[1n], "[0]"],
	[undefined, ""],
])("JSON is refused exactly where it would change the value: %o", (value, path) => {
	expect(jsonObstacle(value)?.path).toBe(path);
});
