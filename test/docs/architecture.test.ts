import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

/** A heading as it is linked to. */
const anchorOf = (heading: string): string =>
	heading
		.toLowerCase()
		.replace(/[^\w\s-]/g, "")
		.trim()
		.replaceAll(" ", "-");

test("links between the documents lead somewhere", () => {
	const pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
	const docs = readdirSync(`${root}docs`, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md"));
	for (const page of [...pages, ...docs.map((name) => `docs/${name}`)]) {
		const text = readFileSync(root + page, "utf8").replaceAll(/^```[\s\S]*?^```$/gm, "");
		for (const [, path = "", anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
			const target = path === "" ? root + page : join(root, dirname(page), path);
			expect([page, path, existsSync(target)]).toEqual([page, path, true]);
			if (anchor === undefined) continue;
			const anchors = [...readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
				anchorOf(title ?? ""),
			);
			expect(anchors, `${page} links to #${anchor} of ${path || "itself"}`).toContain(anchor);
		}
	}
});
