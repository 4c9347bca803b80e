import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("every path that ARCHITECTURE.md names exists", () => {
	const text = readFileSync(`${root}ARCHITECTURE.md`, "utf8");
	const paths = [...text.matchAll(/`((?:proto|cloud|endpoint|sdk|deploy|test|docs)\/[\w./-]*)`/g)].map(
		(match) => match[1] ?? "",
	);
	expect(paths.length).toBeGreaterThan(20);
	expect(paths.filter((path) => !existsSync(root + path))).toEqual([]);
});

test("links between the documents lead somewhere", () => {
	for (const page of ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]) {
		const text = readFileSync(root + page, "utf8");
		for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g))
			expect([page, existsSync(root + target)]).toEqual([page, true]);
	}
});
