import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { escapeBraces, jsonArguments, quoteWord } from "./run-target.ts";

test("a quoted word reaches the program as it is, whatever is in it", () => {
	fc.assert(
		fc.property(
			fc.array(
				fc.string({ unit: "binary" }).filter((word) => !/[\0\uD800-\uDFFF]/.test(word)),
				{ maxLength: 4 },
			),
			(words) => {
				const line = `printf '%s\\0' ${words.map(quoteWord).join(" ")}`;
				const { stdout } = spawnSync("sh", ["-c", line], { encoding: "utf8" });
				expect(stdout.split("\0").slice(0, -1)).toEqual(words.length === 0 ? [""] : words);
			},
		),
		{ numRuns: 60 },
	);
});

test("simple words stay readable", () => {
	expect(["/etc/passwd", "-l", "a=b", "my file", "it's", ""].map(quoteWord)).toEqual([
		"/etc/passwd",
		"-l",
		"a=b",
		"'my file'",
		`'it'\\''s'`,
		"''",
	]);
});

test("braces are doubled, so that a template leaves them alone", () => {
	expect(escapeBraces("awk '{print $1}'")).toBe("awk '{{print $1}}'");
});

test("arguments are one JSON array", () => {
	expect(jsonArguments(undefined)).toEqual([]);
	expect(jsonArguments('[[1,2],"a"]')).toEqual([[1, 2], "a"]);
	expect(() => jsonArguments("{}")).toThrow("must be one JSON array");
	expect(() => jsonArguments("[")).toThrow("are not JSON");
});
