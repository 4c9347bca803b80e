import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { LocalAccount } from "./local-account.ts";
import type { JsonObject } from "./quoted-values.ts";
import { readUserConfigTemplate, renderUserConfig, type UserConfig } from "./user-config.ts";

const account: LocalAccount = {
	uname: "ada",
	uid: 1815,
	gid: 1852,
	gecos: "Ada L",
	dir: "/home/ada",
	shell: "/bin/bash",
	groups: [1852, 1900],
};

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "errand-template-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (name: string, text: string): void => writeFileSync(join(directory, name), text, { mode: 0o600 });

function render(template: string, values: JsonObject = {}, runtime: JsonObject = {}): UserConfig {
	write("user_config_template.yaml.j2", template);
	const request = { values, runtime, account, identityId: "of-ada" };
	return renderUserConfig(readUserConfigTemplate(directory), request, join(directory, "of-ada"));
}

describe("GC-9: the template of an administrator", () => {
	test("is filled in with what a person asks for, and is a configuration", () => {
		write("config.yaml", "max_blocks: 3\n");
		const { config, text } = render(
			[
				"display_name: {{ name | default('nobody said') }}",
				"max_blocks: {{ _GC.parent_config.max_blocks }}",
				"working_directory: {{ _GC.mapped_identity.local.dir }}",
				"worker_init: |",
				"  echo {{ _GC.mapped_identity.local.uid }} {{ _GC.mapped_identity.globus.id }} {{ _GC.user_runtime.python.version }}",
				"environment:",
				"{%- for key, value in variables.items() %}",
				"  {{ key }}: {{ value }}",
				"{%- endfor %}",
				"{% if big == True and modules[:1] %}",
				"workers_per_node: {{ workers }}",
				"{% endif %}",
			].join("\n"),
			{ variables: { OMP_NUM_THREADS: "4", LEVEL: 2 }, big: true, workers: 8, modules: ["gcc"] },
			{ python: { version: "3.12.1" } },
		);
		expect(config).toMatchObject({
			displayName: "nobody said",
			workingDirectory: "/home/ada",
			environment: { OMP_NUM_THREADS: "4", LEVEL: "2" },
			queues: [{ workersPerNode: 8 }],
		});
		expect(text).toContain("max_blocks: 3");
		expect(text).toContain('echo 1815 "of-ada" "3.12.1"');
	});

	test("compares with quoted values, as in the field", () => {
		expect(
			render(`display_name: {% if site == '"here"' %}yes{% else %}no{% endif %}`, { site: "here" }).text,
		).toContain("yes");
	});

	test("knows the names of older templates", () => {
		const text = "display_name: {{ mapped_identity.local.uname }}\npython: {{ user_runtime.python }}";
		expect(render(text, {}, { python: "python3.12" }).config).toMatchObject({
			displayName: "ada",
			python: "python3.12",
		});
	});

	test("writes lists, objects and nothing as YAML", () => {
		const values = { list: ["a", 1, null, ["b: c"]], object: { a: { b: "\n# no comment" } }, nothing: null };
		const { config } = render("worker_init: |\n  [{{ list }}, {{ object }}, {{ nothing }}]", values);
		expect(parse(config.queues[0]?.workerInit ?? "")).toEqual([values.list, values.object, null]);
	});

	test("may include files of its own directory, and none beyond it", () => {
		mkdirSync(join(directory, "parts"));
		write("parts/site.j2", "max_blocks: {{ blocks }}");
		expect(render("{% include 'parts/site.j2' %}", { blocks: 2 }).text).toBe("max_blocks: 2");
		symlinkSync("/etc/passwd", join(directory, "link.j2"));
		for (const name of ["/etc/passwd", "../../etc/passwd", "link.j2", "parts/none.j2"])
			expect(() => render(`{% include '${name}' %}`), name).toThrow("cannot be filled in");
	});
});

describe("GC-9: whatever a person asks for stays a value", () => {
	const template = [
		"display_name: {{ text }}",
		"python: {{ list[0] }}",
		"environment:",
		"  A: {{ nested.value }}",
		"  B: {{ text | shell_escape }}",
	].join("\n");

	test.each([
		"x\nscheduler: ssh\nhosts: [evil.example]",
		'"\nscheduler: ssh\n"',
		"{{ _GC.parent_config }}{% include '/etc/passwd' %}",
		"*alias &anchor !!js/function 'x'",
		"a # b: c",
		"\u0085\u2028scheduler: ssh",
		"$(touch /tmp/owned) `id` ' \" \\ ; rm -rf ~",
		"",
	])("%j", (text) => {
		const { config } = render(template, { text, list: [text || "python3"], nested: { value: text } });
		expect(config).toMatchObject({ displayName: text, python: text || "python3", scheduler: "local" });
		expect(config.environment.A).toBe(text);
		const said = execFileSync("sh", ["-c", `printf %s ${config.environment.B}`], { encoding: "utf8" });
		expect(said).toBe(text);
	});

	test("any text at all", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
				const { config } = render(template, { text, list: ["python3"], nested: { value: text } });
				expect(config.displayName).toBe(text);
				expect(config.environment.A).toBe(text);
				expect(config.scheduler).toBe("local");
			}),
			{ numRuns: 200 },
		);
	});

	test.each(["a: b", "x\nscheduler", "__proto__", "constructor", "", "{{ x }}", "a".repeat(129)])(
		"the name %j is refused",
		(name) => {
			const values = JSON.parse(`{"variables":{${JSON.stringify(name)}:1}}`) as JsonObject;
			expect(() => render("display_name: x", values)).toThrow("cannot be a name here");
		},
	);

	test.each(["_GC", "parent_config", "mapped_identity", "user_runtime"])("the reserved name %s is refused", (name) => {
		expect(() => render("display_name: x", { [name]: {} })).toThrow("belongs to the endpoint");
	});

	test("what the client says about itself stays a value too", () => {
		const version = "3.12\nscheduler: ssh";
		expect(render("display_name: {{ _GC.user_runtime.v }}", {}, { v: version }).config.displayName).toBe(version);
	});

	test("a value that the template needs is asked for, with its place", () => {
		expect(() => render("\npython: {{ python }}\n")).toThrow(/value that was not given.*Line 2/);
	});

	test("values have limits", () => {
		expect(() => render("python: x", { text: "a".repeat(70_000) })).toThrow("65536 at most");
		let deep: JsonObject = {};
		for (let at = 0; at < 30; at++) deep = { deep };
		expect(() => render("python: x", deep)).toThrow("nested 20 deep at most");
	});
});

describe("GC-9: the schema of an administrator", () => {
	const schema = {
		$schema: "https://json-schema.org/draft/2020-12/schema",
		type: "object",
		properties: { blocks: { type: "integer", maximum: 4 }, queue: { enum: ["debug", "prod"] } },
		additionalProperties: false,
	};
	test("refuses what is not in it, all at once", () => {
		write("user_config_schema.json", JSON.stringify(schema));
		expect(render("max_blocks: {{ blocks }}", { blocks: 4 }).text).toBe("max_blocks: 4");
		expect(() => render("max_blocks: {{ blocks }}", { blocks: 40, queue: "x", more: 1 })).toThrow(
			/blocks must be <= 4.*queue must be equal to one of the allowed values.*\(\["debug","prod"\]\)/,
		);
		expect(() => render("max_blocks: {{ blocks }}", { more: 1 })).toThrow('("more")');
	});

	test.each([
		["{", "not JSON"],
		["[]", "a JSON Schema is an object"],
		['{"type":"nothing"}', "schema is invalid"],
		['{"$schema":"http://json-schema.org/draft-03/schema#"}', "is not one of those understood"],
		['{"$ref":"https://elsewhere.example/schema.json"}', "can't resolve reference"],
	])("a schema that is none is told: %s", (text, says) => {
		write("user_config_schema.json", text);
		expect(() => render("max_blocks: 1")).toThrow(says);
	});
});

test("a template with a fault is told with its place, and a configuration with one with its line", () => {
	expect(() => render("a: {% if %}")).toThrow(/user_config_template.yaml.j2 has a fault:\s+.*Line 1/);
	expect(() => render("python: x\nmax_blocks: {{ blocks }}\n", { blocks: "many" })).toThrow(
		/line 2: max_blocks.*\n.*max_blocks: "many"/s,
	);
});

test("a template that others can write is not used", () => {
	write("user_config_template.yaml.j2", "max_blocks: 1");
	execFileSync("chmod", ["666", join(directory, "user_config_template.yaml.j2")]);
	expect(() => readUserConfigTemplate(directory)).toThrow("others can write it");
});
