import { expect, test } from "vitest";
import { countVitest, lastLine, sum } from "./test-count.ts";

const file = (status: string, ...tests: string[]) => ({
	status,
	assertionResults: tests.map((each) => ({ status: each })),
});

test("passed and failed tests of all files are added up", () => {
	const report = { testResults: [file("passed", "passed", "passed"), file("failed", "passed", "failed")] };
	expect(countVitest(report, { skippedFails: false })).toEqual({ passed: 3, failed: 1 });
});

test("a file that could not be loaded is a failure, and so is no report", () => {
	expect(countVitest({ testResults: [file("failed")] }, { skippedFails: false })).toEqual({ passed: 0, failed: 1 });
	expect(countVitest(undefined, { skippedFails: false })).toEqual({ passed: 0, failed: 1 });
});

test("in CI a test that did not run is a failure", () => {
	const report = { testResults: [file("passed", "passed", "pending", "todo", "skipped")] };
	expect(countVitest(report, { skippedFails: true })).toEqual({ passed: 1, failed: 3 });
	expect(countVitest(report, { skippedFails: false })).toEqual({ passed: 1, failed: 0 });
});

test("the last line is for machines and people", () => {
	expect(
		lastLine(
			sum([
				{ passed: 2, failed: 0 },
				{ passed: 1, failed: 1 },
			]),
		),
	).toBe("3 passed, 1 failed");
});
