import { build } from "esbuild";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type Executor, module, mpi, python, type ShellResult, shell, type TaskFuture, type TaskMap } from "./index.ts";

/** Never called: the compiler is what checks. */
function typed(executor: Executor): void {
	expectTypeOf(executor.submit((a: number, b: number) => a + b, 2, 3)).toEqualTypeOf<TaskFuture<number>>();
	expectTypeOf(executor.submit(async (x: string) => [x], "a")).toEqualTypeOf<TaskFuture<string[]>>();
	// @ts-expect-error an argument of another type
	executor.submit((a: number) => a, "text");
	// @ts-expect-error an argument too few
	executor.submit((a: number, b: number) => a + b, 1);
	expectTypeOf(executor.submit((a: number, b?: number) => a + (b ?? 1), 1)).toEqualTypeOf<TaskFuture<number>>();

	expectTypeOf(executor.submit(shell("wc -l {path}"), { path: "/x" })).toEqualTypeOf<TaskFuture<ShellResult>>();
	executor.submit(shell("uptime"));
	executor.submit(shell("awk '{{print {column}}}' {file}"), { column: 1, file: "x" });
	// @ts-expect-error a place without a value
	executor.submit(shell("cp {from} {to}"), { from: "a" });
	// @ts-expect-error a value without a place
	executor.submit(shell("wc {path}"), { path: "a", pth: "b" });

	expectTypeOf(executor.submit(mpi("./solver {n}", { nodes: 2 }), { n: 1 })).toEqualTypeOf<TaskFuture<ShellResult>>();
	// @ts-expect-error a place without a value
	executor.submit(mpi("./solver {n}"));

	const mean = python<[xs: number[]], number>({ source: "", name: "mean" });
	expectTypeOf(executor.submit(mean, [1, 2])).toEqualTypeOf<TaskFuture<number>>();
	const scale = module<(x: number) => Promise<string>>({ file: "", name: "scale" });
	expectTypeOf(executor.submit(scale, 1)).toEqualTypeOf<TaskFuture<string>>();

	expectTypeOf(executor.map((x: number) => `${x}`, [1, 2])).toEqualTypeOf<TaskMap<string>>();
	expectTypeOf(executor.map((x: number) => x, [1], { ordered: false })).toEqualTypeOf<TaskMap<number>>();
	expectTypeOf(executor.map((a: number, b: string) => a + b, [1], new Set(["x"]))).toEqualTypeOf<TaskMap<string>>();
	expectTypeOf(executor.map(mean, [[1], [2]])).toEqualTypeOf<TaskMap<number>>();
	// @ts-expect-error items of another type
	executor.map((x: number) => x, ["text"]);
}

describe("the public surface", () => {
	test("NEW-12: submit and map are typed by the function", () => {
		expect(typed).toBeTypeOf("function");
	});

	test("NEW-12: it bundles for a browser, without Node's modules", async () => {
		const result = await build({
			entryPoints: [new URL("./index.ts", import.meta.url).pathname],
			bundle: true,
			write: false,
			platform: "browser",
			format: "esm",
			metafile: true,
			logLevel: "silent",
		});
		const inputs = Object.keys(result.metafile.inputs);
		expect(inputs.filter((input) => /node_modules\/(ws|esbuild)\//.test(input))).toEqual([]);
		expect(inputs.filter((input) => input.endsWith("platform/node.ts"))).toEqual([]);
		const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports);
		expect(imports.filter((each) => each.external === true)).toEqual([]);
		expect(result.outputFiles[0]?.text).not.toMatch(/from\s*"node:/);
	});
});
