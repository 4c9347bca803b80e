/** Settings in the pages on schedulers are settings that an endpoint takes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../endpoint/src/config/config.ts";

const folder = join(import.meta.dirname, "../../docs/schedulers");

describe.each(readdirSync(folder))("docs/schedulers/%s", (page) => {
	const blocks = [...readFileSync(join(folder, page), "utf8").matchAll(/^```yaml\n(scheduler: .*?)^```$/gms)];

	test("its settings are read as they are said", () => {
		expect(blocks.length).toBeGreaterThan(0);
		for (const [, text = ""] of blocks) {
			const config = parseConfig(text, page, "/somewhere");
			expect(text).toContain(`scheduler: ${config.scheduler}`);
		}
	});
});
