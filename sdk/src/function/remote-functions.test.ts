import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { splitBuffer, splitSource, unpack } from "@errand/proto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CaptureError, module, python, SerializationError, shell } from "../index.ts";
import type { RemoteFunction } from "./remote-function.ts";
import { placesOf } from "./shell.ts";

let directory: string;
beforeAll(async () => {
	directory = await mkdtemp(join(tmpdir(), "errand-functions-"));
});
afterAll(async () => {
	await rm(directory, { recursive: true });
});

async function write(name: string, text: string): Promise<string> {
	await writeFile(join(directory, name), text);
	return join(directory, name);
}

async function content(remote: RemoteFunction<never[], unknown>): Promise<{ id: string; content: string }> {
	return splitBuffer(unpack(await remote.code())[0] ?? "");
}

describe("module()", () => {
	test("brings what a TypeScript module imports, and leaves Node's modules to the worker", async () => {
		await write("rate.ts", "export const rate: number = 3;\n");
		const file = await write(
			"scale.ts",
			'import { basename } from "node:path";\nimport { rate } from "./rate.ts";\nexport function scale(x: number): string { return basename("/a/" + x * rate); }\n',
		);
		const scale = module<(x: number) => string>({ file, name: "scale" });
		const { id, content: text } = await content(scale);
		expect(id).toBe("ej");
		const { name, source } = splitSource(text);
		const url = `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
		const loaded = (await import(/* @vite-ignore */ url)) as Record<string, (x: number) => string>;
		expect(loaded[name]?.(4)).toBe("12");
	});

	test("takes a file's URL, and a default export", async () => {
		const file = await write("whole.ts", "export default (x: number) => x + 1;\n");
		const whole = module<(x: number) => number>(pathToFileURL(file).href, "default");
		expect((await content(whole)).content).toMatch(/^default:/);
	});

	test("an export that is not there is named, with those that are", async () => {
		const file = await write("other.ts", "export const a = 1, b = 2;\n");
		await expect(module({ file, name: "c" }).code()).rejects.toThrow(/has no export "c"; it exports a, b/);
		await expect(module({ file, name: "c" }).code()).rejects.toBeInstanceOf(CaptureError);
	});

	test("a module that cannot be bundled says where", async () => {
		const file = await write("broken.ts", 'import { x } from "./gone.ts";\nexport const f = () => x;\n');
		await expect(module({ file, name: "f" }).code()).rejects.toThrow(/broken\.ts:1.*gone/s);
		await expect(module({ file: join(directory, "none.ts"), name: "f" }).code()).rejects.toBeInstanceOf(CaptureError);
	});

	test("what failed once is tried again", async () => {
		const file = await write("late.ts", "export const other = 1;\n");
		const late = module({ file, name: "f" });
		await expect(late.code()).rejects.toThrow();
		await write("late.ts", "export const f = () => 1;\n");
		expect(await late.code()).toContain("f:");
	});
});

describe("python()", () => {
	test("sends the whole source under the function's name", async () => {
		const file = await write("analysis.py", "import math\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n");
		const { id, content: text } = await content(python({ file, name: "mean" }));
		expect(id).toBe("st");
		expect(text).toBe("mean:import math\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n");
	});

	test.each([
		"def mean(xs): pass",
		"async def mean(xs): pass",
		"mean = lambda xs: 0",
		"from statistics import mean",
		"class mean: pass",
	])("finds mean in %s", (source) => {
		expect(() => python({ source, name: "mean" })).not.toThrow();
	});

	test("a function that is not there is named, with those that are", async () => {
		expect(() => python({ source: "def meen(x): pass\ndef b(): pass", name: "mean" })).toThrow(
			/the source has no function "mean"; it defines meen, b/,
		);
		expect(() => python({ source: "x", name: "rm -rf" })).toThrow(CaptureError);
		await expect(python({ file: join(directory, "no.py"), name: "f" }).code()).rejects.toThrow(
			/cannot be read: ENOENT/,
		);
	});

	test.each<[unknown, string]>([
		[undefined, "arguments[0]"],
		[Number.NaN, "arguments[0]"],
		[[1, [Number.POSITIVE_INFINITY]], "arguments[0][1][0]"],
		[10n, "arguments[0]"],
		[new Map(), "arguments[0]"],
		[{ "a key": new Date() }, 'arguments[0]["a key"]'],
		[{ f: () => 1 }, "arguments[0].f"],
		[{ deep: { bytes: new Uint8Array(1) } }, "arguments[0].deep.bytes"],
		[{ missing: [undefined] }, "arguments[0].missing[0]"],
		[Object.assign(Object.create({ inherited: 1 }), { a: 1 }), "arguments[0]"],
	])("refuses %o at %s", (value, path) => {
		const f = python({ source: "def f(x): pass", name: "f" });
		let found: unknown;
		try {
			f.packArguments([value]);
		} catch (error) {
			found = error;
		}
		expect(found).toBeInstanceOf(SerializationError);
		expect(found).toMatchObject({ path, code: "NOT_SERIALIZABLE" });
	});

	test("refuses a cycle, and takes the same object twice", () => {
		const f = python({ source: "def f(x, y): pass", name: "f" });
		const value: Record<string, unknown> = { a: 1 };
		expect(f.packArguments([value, value])).toContain('[{"a":1},{"a":1}]');
		value.self = value;
		expect(() => f.packArguments([value])).toThrow(/the value at \[0\]\.self: a reference to what contains it/);
	});
});

describe("shell()", () => {
	test("sends the template, and the parameters as keywords", async () => {
		const count = shell("grep -c {word} < {path}", { walltimeMs: 5, environment: { LANG: "C" }, snippetLines: 10 });
		const { id, content: text } = await content(count as RemoteFunction<never[], unknown>);
		expect(id).toBe("ec");
		expect(JSON.parse(text)).toEqual({
			command: "grep -c {word} < {path}",
			walltime_ms: 5,
			snippet_lines: 10,
			environment: { LANG: "C" },
		});
		expect(unpack(count.packArguments([{ word: "a b", path: "/x" }]))).toEqual([
			"11\n[]",
			'11\n{"word":"a b","path":"/x"}',
		]);
	});

	test("doubled braces are no places", () => {
		expect([...placesOf("awk '{{print $1}}' {file} {file}")]).toEqual(["file"]);
	});

	test.each(["echo {", "echo }", "echo {a b}", "echo {}", "echo {{a}"])("the template %s is refused", (template) => {
		expect(() => shell(template)).toThrow(/is no place/);
	});

	test("missing and unknown parameters are named at submit", () => {
		const count = shell("wc {flag} {path}");
		expect(() => count.packArguments([{ flag: "-l", pth: "x" }])).toThrow(/no value for \{path\}; no place for pth/);
		expect(() => count.packArguments(["x"])).toThrow(/one object with its parameters/);
		expect(() => count.packArguments([{ flag: "-l", path: ["x"] }])).toThrow(/\{path\} must be a string/);
		expect(() => shell("true").packArguments([])).not.toThrow();
	});
});
