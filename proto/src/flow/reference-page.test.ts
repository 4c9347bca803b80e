import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { comparisons } from "./comparison.ts";
import { functions } from "./expression/functions.ts";
import { methods } from "./expression/methods.ts";
import { errorWildcards, flowErrors } from "./flow-failure.ts";
import { issueCodes } from "./issue.ts";
import { ownProviders } from "./provider-url.ts";
import { readFlowSource } from "./source.ts";
import { stateFields } from "./state-reader.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/flow-language.md"), "utf8");
const blocks = [...page.matchAll(/^```yaml\n# (\S+)\n([\s\S]*?)^```$/gm)].map(
	([, name = "", text = ""]) => [name, text] as const,
);

test.each(blocks)("the reference page's %s has no error", (_, text) => {
	const { flow, issues } = readFlowSource(text);
	expect(issues.filter(({ severity }) => severity === "error")).toEqual([]);
	expect(flow).toBeDefined();
});

test("the reference page shows every type of state, and names every field", () => {
	const shown = new Set(blocks.flatMap(([, text]) => [...text.matchAll(/Type: (\w+)/g)].map(([, type]) => type)));
	expect([...shown].sort()).toEqual(Object.keys(stateFields).sort());
	for (const field of new Set(Object.values(stateFields).flat()))
		if (!["Type", "Next", "End"].includes(field)) expect(page).toContain(`\`${field}\``);
});

test("the reference page names every comparison, function, method, error, provider and kind of issue, in the words of the tables", () => {
	for (const name of [...Object.keys(comparisons), ...Object.keys(ownProviders)])
		expect(page, name).toContain(`\`${name}\``);
	const rows = [
		...Object.entries(functions).map(([name, { says }]) => [name, says]),
		...Object.entries(methods).map(([name, { of, says }]) => [name, `${of}: ${says}`]),
		...Object.entries({ ...errorWildcards, ...flowErrors, ...issueCodes }),
	];
	for (const [name, says] of rows) expect(page, name).toContain(`| \`${name}\` | ${says} |`);
});
