/**
 * TypeScript, Python and a command behind the same `submit`, and what a remote error looks like.
 *
 *     npx node sdk/examples/three-languages.ts [ENDPOINT]
 */
import { Executor, python, RemoteError, shell } from "@errand/sdk";

await using executor = new Executor({ endpoint: process.argv[2] ?? "local" });

const median = python<[number[]], number>({
	name: "median",
	source: "import statistics\n\ndef median(values):\n    return statistics.median(values)\n",
});
console.log("Python:    ", await executor.submit(median, [3, 1, 2]));

const count = shell("wc -l < {path}", { walltimeMs: 60_000 });
const { returncode, stdout } = await executor.submit(count, { path: "/etc/passwd" });
console.log("shell:     ", returncode, stdout.trim());

const wordLengths = (text: string) => new Map(text.split(" ").map((word) => [word, word.length]));
console.log("TypeScript:", await executor.submit(wordLengths, "a Map comes back"));

try {
	await executor.submit((text: string) => JSON.parse(text), "{ not JSON");
} catch (error) {
	if (!(error instanceof RemoteError)) throw error;
	console.log(`It failed on ${error.host}:\n${error.remoteStack}`);
}
