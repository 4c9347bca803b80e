/** Run by `behind-proxy.test.ts` as a process of its own, because trust in an authority is given when Node starts. */
import { Executor, type RemoteError } from "@errand/sdk";

await using executor = new Executor({ endpoint: "local" });
const lines: string[] = [];
const talker = executor.submit(() => {
	console.log("one");
	console.log("two");
});
for await (const line of talker.stdout()) lines.push(line);
const squares: number[] = [];
for await (const square of executor.map((x: number) => x * x, [1, 2, 3])) squares.push(square);
const failure = await executor
	.submit(() => {
		throw new RangeError("too far");
	})
	.catch((error: unknown) => (error as RemoteError).remoteName);
const large = await executor.submit((text: string) => text.length, "x".repeat(2_000_000));
const sum = await executor.submit((a: number, b: number) => a + b, 2, 3);
process.stdout.write(JSON.stringify({ sum, lines, large, failure, squares }));
