/**
 * `npm test`: sets up what tests need, runs every suite, and says in one last line how many tests passed and failed.
 * Words after `npm test --` go to vitest: `npm test -- --project sdk completion`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { databasesNow, findLeftovers, type Leftover } from "./leftovers.ts";
import { setUp } from "./setup.ts";
import { type Count, countVitest, lastLine, sum } from "./test-count.ts";

interface Suite {
	readonly name: string;
	/** Words for vitest. */
	readonly words: readonly string[];
}

/**
 * Beside each other: what mostly waits for leases, walltimes and cut networks costs no processor, so the others need not
 * wait for it. A suite that cannot even start counts as one failure.
 */
const suites: readonly Suite[] = [
	{ name: "most", words: ["proto", "cloud", "endpoint", "sdk", "whole"].flatMap((name) => ["--project", name]) },
	{ name: "patient", words: ["--project", "patient"] },
];

/** Suites after the first are heard when all have ended, lest their lines mix. */
async function runSuites(words: readonly string[], directory: string): Promise<Count[]> {
	const asked = words.length > 0 ? [{ name: "asked", words }] : suites;
	const counts = await Promise.all(asked.map((suite, at) => runVitest(suite, directory, at > 0)));
	for (const { name } of asked.slice(1)) process.stdout.write(readFileSync(join(directory, `${name}.log`), "utf8"));
	return counts;
}

async function runVitest({ name, words }: Suite, directory: string, aside: boolean): Promise<Count> {
	const report = join(directory, `${name}.json`);
	const log = aside ? openSync(join(directory, `${name}.log`), "w") : undefined;
	const output = log ?? "inherit";
	const child = spawn(
		process.execPath,
		[
			"node_modules/vitest/vitest.mjs",
			"run",
			"--reporter=default",
			"--reporter=json",
			`--outputFile.json=${report}`,
			...words,
		],
		// Whatever tests make for a while is made in there, so that what they forget is found.
		{ stdio: ["ignore", output, output], env: { ...process.env, TMPDIR: temporary(directory) } },
	);
	const [status, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
	if (log !== undefined) closeSync(log);
	const count = countVitest(readReport(report), { skippedFails: Boolean(process.env.CI) });
	// It ended badly although every test passed: an unhandled error, or no test at all.
	const unexplained = status !== 0 && count.failed === 0;
	if (unexplained) process.stderr.write(`vitest (${name}) ended with ${signal ?? `status ${status}`}\n`);
	return unexplained ? { ...count, failed: 1 } : count;
}

function readReport(path: string): unknown {
	try {
		return JSON.parse(readFileSync(path, "utf8"));
	} catch {
		return undefined;
	}
}

/** The run's own `/tmp`; servers that run as other users pass through it. */
const temporary = (directory: string): string => join(directory, "t");

/** Ends and removes what is left, after it has been said. */
function sweep(leftovers: readonly Leftover[]): void {
	for (const { what, pid, path } of leftovers) {
		process.stderr.write(`left behind by a test: ${what}\n`);
		try {
			if (pid !== undefined) process.kill(pid, "SIGKILL");
		} catch {
			// It has ended by now.
		}
		if (path !== undefined) rmSync(path, { recursive: true, force: true });
	}
}

const directory = mkdtempSync(join(tmpdir(), "errand-"));
try {
	chmodSync(directory, 0o711);
	mkdirSync(temporary(directory));
	chmodSync(temporary(directory), 0o1777);
	const ready = setUp();
	const before = databasesNow();
	const counts = await runSuites(process.argv.slice(2), directory);
	const leftovers = findLeftovers(temporary(directory), before);
	sweep(leftovers);
	const total = sum([...counts, { passed: 0, failed: (ready ? 0 : 1) + (leftovers.length > 0 ? 1 : 0) }]);
	process.stdout.write(`${lastLine(total)}\n`);
	process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
} finally {
	rmSync(directory, { recursive: true, force: true });
}
