import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fillTemplate, quote } from "./command-text.ts";

describe("a command template", () => {
	test.each([
		["wc -l {path}", { path: "/etc/passwd" }, "wc -l /etc/passwd"],
		["echo {a} {a}", { a: "x y" }, "echo 'x y' 'x y'"],
		["cat {files}", { files: ["a b", 2] }, "cat 'a b' 2"],
		["awk '{{print $1}}' {n}", { n: 3 }, "awk '{print $1}' 3"],
		["run {empty} {flag}", { empty: null, flag: true }, "run '' true"],
		["echo {x-y} {}", {}, "echo {x-y} {}"],
	])("%s", (template, values, text) => {
		expect(fillTemplate(template, values)).toBe(text);
	});

	test("what is missing is named, and what no command can take", () => {
		expect(() => fillTemplate("{a} {b} {a}", { c: 1 })).toThrow("needs a value for a, b; given: c");
		expect(() => fillTemplate("{a}", { a: "x\0y" })).toThrow(/a holds a NUL/);
		expect(() => fillTemplate("{constructor}", {})).toThrow(/value for constructor/);
	});

	test("whatever a value holds, the shell sees it as one word", () => {
		const word = fc.string({ unit: "grapheme", maxLength: 30 }).filter((text) => !text.includes("\0"));
		fc.assert(
			fc.property(fc.array(word, { minLength: 1, maxLength: 20 }), (words) => {
				const out = execFileSync("sh", ["-c", `printf '%s\\0' ${words.map(quote).join(" ")}`]).toString();
				expect(out.split("\0").slice(0, -1)).toEqual(words);
			}),
			{ numRuns: 20 },
		);
	});
});
