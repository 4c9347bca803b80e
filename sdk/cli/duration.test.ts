import fc from "fast-check";
import { expect, test } from "vitest";
import { formatAge, formatDuration, parseDuration } from "./duration.ts";
import { formatSize, parseSize } from "./size.ts";

test.each([
	["30s", 30_000],
	["2h", 7_200_000],
	["1h30m", 5_400_000],
	["500ms", 500],
	["1.5m", 90_000],
	["2d", 172_800_000],
	["45", 45_000],
	[" 5M ", 300_000],
])("%s is %i ms", (text, ms) => expect(parseDuration(text)).toBe(ms));

test.each(["", "soon", "5 parsecs", "h", "1h-2m", "-5s", "1h 2"])("%j is no duration", (text) =>
	expect(parseDuration(text)).toBeUndefined(),
);

test.each([
	[0, "0 ms"],
	[999, "999 ms"],
	[3400, "3.4 s"],
	[59_600, "1 min"],
	[125_000, "2 min 5 s"],
	[4 * 3_600_000 + 600_000, "4 h 10 min"],
	[3 * 86_400_000, "3 d"],
])("%i ms is written %s", (ms, text) => expect(formatDuration(ms)).toBe(text));

test("what is written is read back within a fortieth", () => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 10 ** 9 }), (ms) => {
			const back = parseDuration(formatDuration(ms).replaceAll("min", "m").replaceAll(" ", "")) ?? Number.NaN;
			return Math.abs(back - ms) <= Math.max(ms / 40, 50);
		}),
	);
});

test("ages have one unit and are never negative", () => {
	expect(formatAge(1000, 500)).toBe("just now");
	expect(formatAge(0, 12_000)).toBe("12 s ago");
	expect(formatAge(0, 26 * 3_600_000)).toBe("1 d ago");
});

test.each([
	["100", 100],
	["1K", 1024],
	["512M", 512 * 1024 ** 2],
	["4GiB", 4 * 1024 ** 3],
	["1.5g", 1.5 * 1024 ** 3],
])("%s is %i bytes", (text, bytes) => expect(parseSize(text)).toBe(bytes));

test.each(["", "4X", "G", "-1", "1 0"])("%j is no size", (text) => expect(parseSize(text)).toBeUndefined());

test.each([
	[0, "0 B"],
	[1023, "1023 B"],
	[3482, "3.4 KiB"],
	[2 * 1024 ** 3, "2 GiB"],
	[5 * 1024 ** 4, "5 TiB"],
])("%i bytes are written %s", (bytes, text) => expect(formatSize(bytes)).toBe(text));
