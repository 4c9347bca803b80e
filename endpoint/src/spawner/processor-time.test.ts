import { expect, test } from "vitest";
import { processorTimeMs } from "./processor-time.ts";

test("what a process computes counts, and of one that is gone nothing is known", () => {
	const before = processorTimeMs(process.pid) as number;
	const { user, system } = process.cpuUsage();
	expect(Math.abs(before - (user + system) / 1000)).toBeLessThan(200);
	let after = before;
	for (const untilMs = Date.now() + 20_000; after - before < 50 && Date.now() < untilMs; )
		after = processorTimeMs(process.pid) as number;
	expect(after - before).toBeGreaterThanOrEqual(50);
	expect(processorTimeMs(2 ** 30)).toBeUndefined();
});
