import { expect, test } from "vitest";
import { referencePage } from "./reference-page.ts";
import { groups, verbs } from "./verbs.ts";

test("docs/command-line.md says what the table of verbs says", async () => {
	await expect(referencePage(verbs, groups)).toMatchFileSnapshot("../../docs/command-line.md");
});
