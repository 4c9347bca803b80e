import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { ConfigFault, parseConfig, settingNames } from "./config.ts";
import { defaultConfigText } from "./default-config.ts";

const parse = (text: string) => parseConfig(text, "config.yaml", "/endpoints/one");
const faultsOf = (text: string): readonly string[] => {
	try {
		parse(text);
	} catch (error) {
		if (error instanceof ConfigFault) return error.faults;
		throw error;
	}
	return [];
};

describe("config.yaml", () => {
	test("an empty file is a working endpoint with one worker a core", () => {
		const config = parse("");
		expect(config.workersPerNode).toBe(config.coresPerNode);
		expect(config.workingDirectory).toBe("/endpoints/one/work");
		expect(Object.isFrozen(config)).toBe(true);
	});

	test("times, sizes and accelerators are read in the forms that people write", () => {
		const config = parse(
			"idle_timeout: 2h\ncancel_grace: 1.5\nmemory_per_node: 16GB\noutput_cap: 2MiB\navailable_accelerators: 2",
		);
		expect(config).toMatchObject({
			idleTimeoutMs: 7_200_000,
			cancelGraceMs: 1500,
			memoryPerNodeBytes: 16e9,
			outputLimitBytes: 2 ** 21,
		});
		expect(config.gpuIds).toEqual(["0", "1"]);
		expect(parse("available_accelerators: [GPU-1a, 3]").gpuIds).toEqual(["GPU-1a", "3"]);
	});

	test("all faults are told at once, each with its line", () => {
		const faults = faultsOf(
			"workers_per_node: 0\nidle_timeout: soon\nworkers: 3\nenvironment:\n  1X: y\nmax_blocks: 1\nmin_blocks: 2\n",
		);
		expect(faults.join("\n")).toMatch(/line 1: workers_per_node/);
		expect(faults.join("\n")).toMatch(/line 2: idle_timeout: a time/);
		expect(faults.join("\n")).toMatch(/line 3: workers: there is no such setting/);
		expect(faults.join("\n")).toMatch(/line 5: environment/);
	});

	test("limits that contradict each other are refused", () => {
		expect(faultsOf("min_blocks: 2\nmax_blocks: 1\n")[0]).toMatch(/line 2: max_blocks: must not be below/);
	});

	test("text that is no YAML says where", () => {
		expect(faultsOf("a: [1\nb: 2")[0]).toMatch(/^line \d/);
	});

	test("docs/endpoint.md tells of each setting, and of nothing else", () => {
		const page = readFileSync(new URL("../../../docs/endpoint.md", import.meta.url), "utf8");
		const [table = ""] = /^\| setting [\s\S]*?\n\n/m.exec(page) ?? [];
		const told = [...table.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1] ?? "");
		expect(told.sort()).toEqual([...settingNames].sort());
	});

	test("the default file changes nothing, and each setting shown in it exists", () => {
		const text = defaultConfigText("one");
		expect(parse(text)).toEqual(parse("scheduler: local"));
		const shown = text.replace(/^# ((?:[a-z_]+:| {2}).*)$/gm, "$1").replace("available_accelerators: 2\n", "");
		expect(parseDocument(shown).errors).toEqual([]);
		expect(faultsOf(shown)).toEqual([]);
	});
});
