import fc from "fast-check";
import { expect, test } from "vitest";
import { Runtime } from "./gen/errand/v1/task_pb.js";
import {
	joinBuffer,
	pack,
	packReference,
	referenceOf,
	runtimeOf,
	splitBuffer,
	splitSource,
	unpack,
} from "./payload.ts";

test("lengths count code points, as the public interface's own packer does", () => {
	expect(pack(['11\n"é😀"'])).toBe('7\n11\n"é😀"');
	expect(pack(["11\n[1]", '11\n{"b": 2}'])).toBe('6\n11\n[1]11\n11\n{"b": 2}');
	expect(pack(["st\nadd:def add(a, b=1):\n    return a + b\n"])).toBe(
		"41\nst\nadd:def add(a, b=1):\n    return a + b\n",
	);
});

test("whatever is packed comes out again, also half surrogate pairs", () => {
	fc.assert(
		fc.property(fc.array(fc.string({ unit: "binary" })), (buffers) => {
			expect(unpack(pack(buffers))).toEqual(buffers);
		}),
	);
	expect(unpack(pack(["\ud83d", "\ude00x"]))).toEqual(["\ud83d", "\ude00x"]);
});

test("a packed text that is cut or foreign says where it stops making sense", () => {
	expect(() => unpack("6\n11\n[1")).toThrow("ends 1 characters early");
	expect(() => unpack("hello")).toThrow("no length at position 0");
	expect(() => unpack("2\nab-1\nx")).toThrow("no length at position 4");
});

test("a buffer and a source split where they were joined", () => {
	expect(splitBuffer(joinBuffer("11", "[1]\n"))).toEqual({ id: "11", content: "[1]\n" });
	expect(splitSource("f:a:b")).toEqual({ name: "f", source: "a:b" });
	expect(() => splitBuffer("x")).toThrow("two-character id");
	expect(() => splitSource(":x")).toThrow("needs a name");
});

test("the serialization id names the worker that can run it", () => {
	expect(runtimeOf(pack(["ej\nf:x"]))).toBe(Runtime.JAVASCRIPT);
	expect(runtimeOf(pack(["st\nf:x"]))).toBe(Runtime.PYTHON);
	expect(runtimeOf(pack(["01\ngASV"]))).toBe(Runtime.PYTHON);
	expect(runtimeOf(pack(["ec\n{}"]))).toBe(Runtime.COMMAND);
	expect(runtimeOf(pack(["zz\n"]))).toBeUndefined();
});

test("NEW-14: a reference is told from arguments, and a broken one is refused", () => {
	const reference = { sha256: "ab".repeat(32), size_bytes: 300_000 };
	expect(referenceOf(packReference(reference))).toEqual(reference);
	expect(referenceOf(pack(["11\n[1]", "11\n{}"]))).toBeUndefined();
	expect(referenceOf("")).toBeUndefined();
	expect(() => referenceOf(pack(['er\n{"sha256":"../x","size_bytes":1}']))).toThrow("64 hexadecimal digits");
});
