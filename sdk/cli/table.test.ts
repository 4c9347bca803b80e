import { expect, test } from "vitest";
import { toPlain } from "./plain-value.ts";
import { formatPairs, formatTable, printable } from "./table.ts";

const columns = [
	{ title: "name", cell: (row: { name: string; count: number }) => row.name },
	{ title: "count", align: "right" as const, cell: (row: { name: string; count: number }) => String(row.count) },
];

test("columns are aligned by what is seen, whatever colours and characters are in them", () => {
	const rows = [
		{ name: "\u001b[32mgrün\u001b[39m", count: 7 },
		{ name: "a longer one", count: 1234 },
	];
	expect(formatTable(rows, columns).split("\n")).toEqual([
		"NAME          COUNT",
		"\u001b[32mgrün\u001b[39m              7",
		"a longer one   1234",
	]);
});

test("pairs without a value are left out, and long values are indented", () => {
	expect(
		formatPairs([
			["a", "1"],
			["long name", "x\ny"],
			["none", undefined],
			["empty", ""],
		]),
	).toBe("a          1\nlong name  x\n           y");
});

test("text from elsewhere cannot steer the terminal, and a row stays a row", () => {
	expect(printable("a\u001b[2Jb\u0007c\u009b1md\u001b[31me")).toBe("a?[2Jb?c?1md\u001b[31me");
	expect(formatTable([{ name: "two\nlines", count: 1 }], columns).split("\n")).toHaveLength(2);
});

test("values that JSON lacks become their nearest text, list or object", () => {
	const circular: Record<string, unknown> = { name: "me" };
	circular.self = circular;
	expect(
		toPlain({
			when: new Date(0),
			big: 12n,
			none: undefined,
			nan: Number.NaN,
			map: new Map([["a", new Set([1])]]),
			pairs: new Map([[1, "one"]]),
			bytes: new Uint8Array([1, 2]),
			error: new RangeError("no"),
			circular,
		}),
	).toEqual({
		when: "1970-01-01T00:00:00.000Z",
		big: "12",
		nan: "NaN",
		map: { a: [1] },
		pairs: [[1, "one"]],
		bytes: [1, 2],
		error: { name: "RangeError", message: "no" },
		circular: { name: "me", self: "[circular]" },
	});
});
