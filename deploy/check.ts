/** `npm run check`: everything that is true of the code without running it. Two checks at a time. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";

interface CheckRow {
	name: string;
	says: string;
	command: readonly string[];
}

const packages = ["proto", "cloud", "endpoint", "sdk"];
const rooms = [...packages.flatMap((name) => [`${name}/src`]), "sdk/cli", "deploy", "test"].filter((room) =>
	existsSync(room),
);

const checks: readonly CheckRow[] = [
	{ name: "types", says: "the compiler agrees", command: ["tsc", "-p", "."] },
	{ name: "lint", says: "style and common mistakes", command: ["biome", "ci", "."] },
	{
		name: "boundaries",
		says: "the import law",
		command: ["depcruise", "--config", ".dependency-cruiser.cjs", "--output-type", "err", ...rooms],
	},
	{ name: "unused", says: "no dead code, no undeclared dependency", command: ["knip"] },
	{
		name: "proto lint",
		says: "protobuf style",
		command: ["npm", "run", "--silent", "--workspace", "proto", "lint:proto"],
	},
	{
		name: "generated",
		says: "generated code is current",
		command: [
			"sh",
			"-c",
			'npm run --silent --workspace proto generate && git diff --exit-code --stat -- proto/src/gen && test -z "$(git ls-files --others --exclude-standard proto/src/gen)"',
		],
	},
	...packages.map((name) => ({
		name: `package ${name}`,
		says: "package.json is what npm and bundlers expect",
		command: ["publint", name, "--strict"],
	})),
];

interface Outcome {
	row: CheckRow;
	ok: boolean;
	output: string;
	ms: number;
}

function run(row: CheckRow): Promise<Outcome> {
	const started = performance.now();
	const [program, ...words] = row.command as readonly [string, ...string[]];
	return new Promise((resolve) => {
		const child = spawn(program, words, {
			stdio: ["ignore", "pipe", "pipe"],
			env: { ...process.env, NO_COLOR: "1", TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" },
		});
		let output = "";
		child.stdout.on("data", (chunk) => (output += chunk));
		child.stderr.on("data", (chunk) => (output += chunk));
		const end = (ok: boolean): void => resolve({ row, ok, output, ms: performance.now() - started });
		child.once("error", (error) => {
			output += error.message;
			end(false);
		});
		child.once("close", (code) => end(code === 0));
	});
}

const waiting = [...checks];
const outcomes: Outcome[] = [];
async function worker(): Promise<void> {
	for (let row = waiting.shift(); row; row = waiting.shift()) {
		const outcome = await run(row);
		outcomes.push(outcome);
		const word = outcome.ok ? "ok    " : "FAILED";
		process.stdout.write(
			`${word}  ${row.name.padEnd(17)} ${(outcome.ms / 1000).toFixed(1).padStart(5)} s  ${row.says}\n`,
		);
		if (!outcome.ok)
			process.stdout.write(`${stripVTControlCharacters(outcome.output).trimEnd().replace(/^/gm, "        ")}\n`);
	}
}
await Promise.all([worker(), worker()]);
const failed = outcomes.filter((outcome) => !outcome.ok);
process.stdout.write(
	failed.length === 0
		? "All checks hold.\n"
		: `${failed.length} of ${outcomes.length} checks failed: ${failed.map(({ row }) => row.name).join(", ")}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
