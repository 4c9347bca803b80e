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
		expect(config.queues.map(({ name, maxBlocks, walltimeMs }) => [name, maxBlocks, walltimeMs])).toEqual([
			["default", 1, undefined],
		]);
		expect(config.workingDirectory).toBe("/endpoints/one/work");
		expect(Object.isFrozen(config)).toBe(true);
	});

	test("times, sizes and accelerators are read in the forms that people write", () => {
		const config = parse(
			"idle_timeout: 2h\ncancel_grace: 1.5\nmemory_per_node: 16GB\noutput_cap: 2MiB\navailable_accelerators: 2",
		);
		expect(config).toMatchObject({
			cancelGraceMs: 1500,
			outputLimitBytes: 2 ** 21,
		});
		expect(config.queues[0]).toMatchObject({
			idleTimeoutMs: 7_200_000,
			memoryPerNodeBytes: 16e9,
			gpuIds: ["0", "1"],
		});
		expect(parse("available_accelerators: [GPU-1a, 3]").queues[0]?.gpuIds).toEqual(["GPU-1a", "3"]);
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

	test("a queue says what is different from the top, and keeps the rest", () => {
		const { queues } = parse(
			"scheduler: slurm\naccount: m1\nwalltime: '1-02:00:00'\nworker_init: module load x\nqueues:\n" +
				"  - name: debug\n    partition: debug\n    walltime: 30m\n    max_queued_blocks: 2\n    max_blocks: 5\n" +
				"  - name: regular\n    qos: regular\n",
		);
		expect(queues).toMatchObject([
			{ name: "debug", account: "m1", queue: "debug", walltimeMs: 1_800_000, maxQueuedBlocks: 2, maxBlocks: 5 },
			{ name: "regular", account: "m1", qos: "regular", queue: undefined, walltimeMs: 26 * 3_600_000, maxBlocks: 1 },
		]);
		expect(queues[1]?.workerInit).toBe("module load x");
	});

	test("queues that contradict themselves, or what is at the top, are refused with their lines", () => {
		const faults = faultsOf(
			"scheduler: slurm\nmax_blocks: 2\nqueues:\n  - name: a\n    init_blocks: 3\n  - name: a\n    queue: q\n    partition: p\n" +
				"  - name: b\n    container_image: x.sif\n    keep_warm: [{ from: '18:00', to: '08:00' }]\n",
		).join("\n");
		expect(faults).toMatch(/line 4: queues.0: max_blocks: must not be below/);
		expect(faults).toMatch(/line 6: queues.1.name: there is another queue "a"/);
		expect(faults).toMatch(/line 8: queues.1.partition: .*say only one/);
		expect(faults).toMatch(/line 10: queues.2.container_image: .*needs container_type/);
		expect(faults).toMatch(/line 11: queues.2.keep_warm: .*must be before/);
		expect(faultsOf("scheduler: ssh")[0]).toMatch(/hosts/);
		expect(faultsOf("nodes_per_block: 2")[0]).toMatch(/one node/);
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
