import fc from "fast-check";
import { expect, test } from "vitest";
import { idFromBytes, idToBytes, newId, parseId } from "./ids.ts";

test("an id survives the way to bytes and back", () => {
	fc.assert(
		fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
			expect(idToBytes(idFromBytes(bytes))).toEqual(bytes);
		}),
	);
	const id = newId();
	expect(idFromBytes(idToBytes(id))).toBe(id);
});

test("upper case is lowered, anything that is not a UUID is refused", () => {
	expect(parseId("AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE")).toBe("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee");
	for (const text of ["", "aaaa", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeeg", " aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"])
		expect(parseId(text)).toBeUndefined();
});

test("bytes of another length are refused with their number", () => {
	expect(() => idFromBytes(new Uint8Array(15))).toThrow("this has 15");
});
