/** Adding up what test runners report. */
export interface Count {
	passed: number;
	failed: number;
}

interface VitestFile {
	status?: unknown;
	assertionResults?: { status?: unknown }[];
}

/**
 * The counts in vitest's JSON report. A file that could not be loaded is one failure. `skippedFails`: a test that did
 * not run is a failure too, because nobody would notice otherwise. No report at all is one failure.
 */
export function countVitest(report: unknown, options: { skippedFails: boolean }): Count {
	const files = (report as { testResults?: VitestFile[] } | undefined)?.testResults;
	if (!Array.isArray(files)) return { passed: 0, failed: 1 };
	const count = { passed: 0, failed: 0 };
	for (const file of files) {
		const tests = file.assertionResults ?? [];
		const failedBefore = count.failed;
		for (const { status } of tests) {
			if (status === "passed") count.passed++;
			else if (status === "failed" || options.skippedFails) count.failed++;
		}
		if (file.status === "failed" && count.failed === failedBefore) count.failed++;
	}
	return count;
}

export function sum(counts: readonly Count[]): Count {
	return counts.reduce((all, one) => ({ passed: all.passed + one.passed, failed: all.failed + one.failed }), {
		passed: 0,
		failed: 0,
	});
}

export const lastLine = ({ passed, failed }: Count): string => `${passed} passed, ${failed} failed`;
