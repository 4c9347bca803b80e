/**
 * One task and its future.
 *
 *     npx node sdk/examples/first-task.ts [ENDPOINT]
 */
import { Executor } from "@errand/sdk";

await using executor = new Executor({ endpoint: process.argv[2] ?? "local" });
const sum = executor.submit((a: number, b: number) => a + b, 2, 3);
console.log(await sum);
