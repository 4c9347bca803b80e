// biome-ignore-all lint/suspicious/noTemplateCurlyInString: source text under test has template strings
import { describe, expect, test } from "vitest";
import { CaptureError } from "../errors.ts";
import { capture, moduleOf } from "./capture.ts";
import { workerGlobals } from "./worker-globals.ts";

async function load(text: string, name = ""): Promise<(...args: unknown[]) => unknown> {
	const { exportName, source } = moduleOf(text, name);
	const url = `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
	const loaded = (await import(/* @vite-ignore */ url)) as Record<string, (...args: unknown[]) => unknown>;
	return loaded[exportName] as (...args: unknown[]) => unknown;
}

/** Source text, the function's name, arguments, value. */
const runs: [text: string, name: string, args: unknown[], value: unknown][] = [
	["(a, b) => a + b", "", [2, 3], 5],
	["x=>x*2", "double", [4], 8],
	["async (x) => x + 1", "later", [1], 2],
	["async x => { await null; return x; }", "", [7], 7],
	["function add(a, b) { return a + b; }", "add", [1, 2], 3],
	["function (a) { return -a; }", "", [1], -1],
	["function (a) { return -a; }", "negate", [1], -1],
	["async function later(a) { return a; }", "later", [1], 1],
	["add(a, b) { return a + b; }", "add", [1, 2], 3],
	["async fetchAll(a) { return a; }", "fetchAll", [1], 1],
	["static make(a) { return [a]; }", "make", [1], [1]],
	["static async make(a) { return [a]; }", "make", [1], [1]],
	["static(a) { return a; }", "static", [1], 1],
	["async(a) { return a; }", "async", [1], 1],
	["get(a) { return a; }", "get", [1], 1],
	['"a key"(a) { return a; }', "a key", [1], 1],
	["[outer.key](a) { return a; }", "dynamic", [1], 1],
	["['x' + y[0]](a) { return a; }", "xz", [1], 1],
	["12(a) { return a; }", "12", [1], 1],
	["n => n < 2 ? 1 : n * factorial(n - 1)", "factorial", [5], 120],
	["function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }", "renamed", [7], 13],
	["function default_(a) { return a; }", "default", [1], 1],
	["(a) => a", "class", [1], 1],
	["({ a, ...rest }, [b = 2] = []) => [a, rest, b]", "", [{ a: 1, c: 3 }], [1, { c: 3 }, 2]],
	["(...all) => Math.max(...all)", "", [1, 9, 3], 9],
	["(xs) => { let s = 0; for (const x of xs) s += x; return s; }", "", [[1, 2]], 3],
	["(x) => { function inner(y) { return y + x; } return inner(1); }", "", [1], 2],
	["(x) => { class Point { #v = x; get v() { return this.#v; } } return new Point().v; }", "", [1], 1],
	["() => { try { null.x } catch (problem) { return problem.name } }", "", [], "TypeError"],
	["() => { try { null.x } catch { return 1 } }", "", [], 1],
	["() => { label: for (;;) { break label; } return 1; }", "", [], 1],
	["async () => { const { basename } = await import('node:path'); return basename('/a/b'); }", "", [], "b"],
	["() => typeof window === 'undefined'", "", [], true],
	["() => JSON.stringify([new Date(0), Buffer.from('a').length, process.pid > 0])", "", [], undefined],
	["(a) => { return a /* } */; // { \n}", "", [1], 1],
	["(s) => s.replace(/[{}]/g, `${s.length}`)", "", ["{a}"], "3a3"],
	["(t) => { const self = 1; return { self, t }; }", "", [2], { self: 1, t: 2 }],
	["function f() { return arguments.length; }", "f", [1, 2], 2],
	["(o) => o?.a ?? 'none'", "", [{}], "none"],
	["() => { const inner = __name(() => 1, 'inner'); return inner(); }", "", [], 1],
	["(a         , b        )         => a + b", "", [1, 2], 3],
	["(a: number, b?: string): number => (a as number)!", "", [1], 1],
	["function typed<T extends object>(this: void, x: T): T { return x satisfies T; }", "typed", [1], 1],
	["method(a: number): number { return a; }", "method", [1], 1],
	["(a) => a", "héllo", [1], 1],
	["(a) => a", "not a name", [1], 1],
	["() => { { function hoisted() { return 1; } } const [x = y] = [1], y = 2; return x + y; }", "", [], 3],
];

/** Source text, the function's name, what the message must say. */
const refused: [text: string, name: string, says: RegExp][] = [
	["(x) => x * rate", "scale", /scale uses the variable rate from outside/],
	["(x) => { total += x; count++; return helper(x); }", "", /the variables total, count, helper from outside/],
	["() => __vi_import_0__.readFile()", "", /__vi_import_0__/],
	["() => document.title", "", /document/],
	["() => require('node:fs')", "", /await import\("x"\)/],
	["(x) => { { let y = 1; } return y; }", "", /the variable y/],
	["(x = fallback) => x", "", /fallback/],
	["({ [key]: v }) => v", "", /key/],
	["() => `${greeting}`", "", /greeting/],
	["() => new Foo()", "", /Foo/],
	["() => class extends Base {}", "", /Base/],
	["() => typeof missing + missing", "", /missing/],
	["() => this.x", "arrow", /arrow uses this of what is around it/],
	["method() { return this.x; }", "method", /uses this/],
	["function f() { return (() => this)(); }", "f", /uses this/],
	["method() { return super.x; }", "method", /uses super/],
	["() => arguments[0]", "", /uses arguments/],
	["() => import('./local.js')", "", /imports \.\/local\.js.*module\(/],
	["() => import.meta.url", "", /import\.meta/],
	["class A { constructor() {} }", "A", /is a class/],
	["function () { [native code] }", "bound f", /bound f is native or bound/],
	["function push() { [native code] }", "push", /native or bound/],
	["get x() { return 1; }", "x", /cannot be read as a function/],
	["#secret() { return 1; }", "#secret", /cannot be read as a function/],
	["function f() { with (Math) { return PI; } }", "f", /cannot be read as a function/],
];

describe("a plain function", () => {
	test.each(runs)("NEW-12: %s (%s) runs as a module", async (text, name, args, value) => {
		const result = await (await load(text, name))(...args);
		if (value !== undefined) expect(result).toEqual(value);
	});

	test.each(refused)("NEW-12: %s (%s) is refused", (text, name, says) => {
		let found: unknown;
		try {
			moduleOf(text, name);
		} catch (error) {
			found = error;
		}
		expect(found).toBeInstanceOf(CaptureError);
		expect((found as CaptureError).message).toMatch(says);
		expect((found as CaptureError).code).toBe("CAPTURE_REFUSED");
	});

	test("every captured variable is named once, in the order of its use", () => {
		expect(() => moduleOf("() => b + a + b", "")).toThrow(expect.objectContaining({ variables: ["b", "a"] }));
	});

	test("its name is what the stack trace on the far side says", async () => {
		const fail = await load("() => { throw new Error('x'); }", "explode");
		expect(() => fail()).toThrow(expect.objectContaining({ stack: expect.stringMatching(/at explode/) }));
	});
});

test("a function written within a loop is looked at once", () => {
	const [first, second] = [1, 2].map(() => (x: number) => x * 2);
	if (first === undefined || second === undefined) throw new Error("two functions");
	expect(first).not.toBe(second);
	expect(capture(first)).toBe(capture(second));
});

test("every global of this Node.js may be used", () => {
	const known = Object.getOwnPropertyNames(globalThis).filter(
		// What the test runner puts there, and Node's own deprecated names.
		(name) => !/^(__|vitest|VITEST|GLOBAL$|root$)/.test(name),
	);
	expect(known.filter((name) => !workerGlobals.has(name))).toEqual([]);
});
