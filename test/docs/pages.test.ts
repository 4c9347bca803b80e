/**
 * Every code block of the documentation runs: `ts` by Node, `sh` by bash, both against a cloud with an endpoint named
 * `local` and a logged-in person; `python` and `yaml` blocks, and any block whose first line is a comment with a file
 * name, are written under that name for the blocks after them. `text` blocks are output, and are not run.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { CommandLine } from "../harness/command-line.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

interface Block {
	language: string;
	text: string;
	line: number;
}

function blocksOf(page: string): Block[] {
	const blocks: Block[] = [];
	const lines = readFileSync(join(root, page), "utf8").split("\n");
	for (let i = 0; i < lines.length; i++) {
		const language = /^```(\w*)$/.exec(lines[i] ?? "")?.[1];
		if (language === undefined) continue;
		const start = ++i;
		while (i < lines.length && lines[i] !== "```") i++;
		blocks.push({ language, text: lines.slice(start, i).join("\n"), line: start });
	}
	return blocks;
}

const pages = [
	"README.md",
	...readdirSync(join(root, "docs"))
		.filter((name) => name.endsWith(".md"))
		.map((name) => `docs/${name}`),
];
const runnable = new Set(["ts", "sh"]);
const known = new Set(["ts", "sh", "python", "yaml", "json", "text"]);

describe("the documentation", () => {
	let cloud: TestCloud;
	let commands: CommandLine;
	let scratch: string;
	beforeAll(async () => {
		cloud = await TestCloud.start();
		commands = await CommandLine.open(cloud, "ada");
		await commands.startEndpoint("local");
		// Inside the repository, so that `@errand/sdk` resolves as it does for a person in a clone.
		scratch = mkdtempSync(join(root, "test/docs/.run-"));
	});
	afterAll(async () => {
		if (scratch) rmSync(scratch, { recursive: true, force: true });
		await commands?.close();
		await cloud?.stop();
	});

	test.each(pages)("every block of %s runs", { timeout: 180_000 }, async (page) => {
		const directory = join(scratch, page.replaceAll(/\W/g, "-"));
		mkdirSync(directory);
		cpSync(join(root, "sdk/examples"), join(directory, "examples"), { recursive: true });
		for (const block of blocksOf(page)) {
			expect([...known], `${page}:${block.line} has a language that this test knows`).toContain(block.language);
			const file = /^(?:\/\/|#) ([\w-]+\.\w+)$/.exec(block.text.split("\n")[0] ?? "")?.[1];
			if (file !== undefined) writeFileSync(join(directory, file), `${block.text}\n`);
			if (block.language === "json") JSON.parse(block.text);
			if (!runnable.has(block.language) || (file !== undefined && block.language === "sh")) continue;
			// What the page shows as the way to start is what this test has done already.
			if (/^(npm (start|test)|git clone)/m.test(block.text)) continue;
			const script = join(directory, file ?? `block-${block.line}.${block.language}`);
			writeFileSync(script, `${block.text}\n`);
			const [program, args] = block.language === "ts" ? [process.execPath, [script]] : ["bash", ["-eu", script]];
			await run(program, args, { cwd: directory, env: commands.environment, timeout: 60_000 }).catch(
				(error: { stdout: string; stderr: string; message: string }) => {
					throw new Error(`${page}:${block.line}: ${error.message}\n${error.stdout}\n${error.stderr}`);
				},
			);
		}
	});
});
