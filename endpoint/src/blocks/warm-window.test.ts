import { expect, test } from "vitest";
import { warmBlocks } from "./warm-window.ts";

const windows = [
	{ days: ["mon" as const, "tue" as const], from: "08:00", to: "18:00", blocks: 2 },
	{ days: ["tue" as const], from: "17:00", to: "24:00", blocks: 5 },
];
const at = (day: number, hour: number, minute = 0): number =>
	warmBlocks(windows, new Date(2026, 2, 1 + day, hour, minute)); // 1 March 2026 is a Sunday

test("DII-3: so many blocks are kept as the window of the local time and day says, the larger one where two meet", () => {
	expect([at(1, 7, 59), at(1, 8), at(1, 17, 59), at(1, 18)]).toEqual([0, 2, 2, 0]);
	expect([at(2, 16), at(2, 17), at(2, 23, 59), at(3, 0)]).toEqual([2, 5, 5, 0]);
	expect(warmBlocks([], new Date(0))).toBe(0);
});
