import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { renderTemplate } from "./template.ts";
import { readTemplateFiles, templateOf } from "./template-files.ts";

let directory: string;
const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { mode: 0o600 });
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-template-"));
	write("credentials.json", "a secret");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const render = (): string => {
	const { text, file, includes } = templateOf(JSON.parse(JSON.stringify(readTemplateFiles(directory))));
	return renderTemplate(text, { which: "b" }, { file, includes });
};

test("GC-9: a template travels with what it includes, and with nothing else of its directory", () => {
	mkdirSync(join(directory, "parts"));
	write("user_config_template.yaml.j2", '{% include "parts/a.yaml" %}{% include which ~ ".j2" %}');
	write("parts/a.yaml", "{% include 'parts/inner.yaml' %}");
	write("parts/inner.yaml", "max_blocks: 1\n");
	write("b.j2", "min_blocks: 0\n");
	expect(render()).toBe("max_blocks: 1\nmin_blocks: 0\n");
	expect(Object.keys(readTemplateFiles(directory).includes).sort()).toEqual([
		"b.j2",
		"parts/a.yaml",
		"parts/inner.yaml",
	]);
	expect(JSON.stringify(readTemplateFiles(directory))).not.toContain("a secret");
});

test("GC-9: a name that leads out of the directory, and a part that others may write, are not taken along", () => {
	write("user_config_template.yaml.j2", '{% include "out.yaml" %}');
	symlinkSync("/etc/passwd", join(directory, "out.yaml"));
	expect(readTemplateFiles(directory).includes).toEqual({});
	expect(render).toThrow(/there is no out\.yaml/);
	rmSync(join(directory, "out.yaml"));
	writeFileSync(join(directory, "out.yaml"), "max_blocks: 9\n");
	chmodSync(join(directory, "out.yaml"), 0o666);
	expect(() => readTemplateFiles(directory)).toThrow(/others can write it/);
});
