import { demandKey } from "@errand/proto";
import { submission } from "@errand/proto/rest";
import { expect, test } from "vitest";
import { toResources } from "./task-resources.ts";

const fn = "33333333-3333-4333-8333-333333333333";
const parse = (resource_specification: unknown) =>
	submission.safeParse({ tasks: { [fn]: ["x"] }, resource_specification });

/** As the wire has it, without what is not said. */
function wire(specification: Record<string, unknown>): Record<string, unknown> {
	const read = parse(specification);
	if (!read.success) throw read.error;
	const plain = (resources: object): Record<string, unknown> =>
		Object.fromEntries(
			Object.entries(resources)
				.filter(([key, value]) => !key.startsWith("$") && value !== 0 && value !== "" && value?.length !== 0)
				.map(([key, value]) => [key, Array.isArray(value) ? value.map(plain) : value]),
		);
	return plain(toResources(read.data.resource_specification as Record<string, unknown>));
}

test.each([
	["what one node gives", { cores: 4, memory_bytes: 5e9, gpus: 2 }, { cores: 4, memoryBytes: 5e9, gpus: 2 }],
	["HQ-2: a share of one device", { gpus: 0.25 }, { gpus: 0.25 }],
	[
		"HQ-2: whatever else nodes have",
		{ resources: { fpga: 1, scratch: 0.5 } },
		{
			named: [
				{ name: "fpga", amount: 1 },
				{ name: "scratch", amount: 0.5 },
			],
		},
	],
	["PAR-6: how long it takes, and may", { expected_ms: 5, walltime_ms: 9 }, { expectedMs: 5, walltimeMs: 9 }],
	["BAL-5: nodes and ranks", { nodes: 3, ranks_per_node: 8 }, { nodes: 3, ranksPerNode: 8 }],
	["BAL-5: the public interface's words", { num_nodes: 2, num_ranks: 8 }, { nodes: 2, ranksPerNode: 4 }],
	["ranks alone, on one node", { num_ranks: 8 }, { ranksPerNode: 8 }],
	["ranks, so many on each node", { num_ranks: 8, ranks_per_node: 2 }, { nodes: 4, ranksPerNode: 2 }],
	["all three words, in agreement", { num_nodes: 4, num_ranks: 8, ranks_per_node: 2 }, { nodes: 4, ranksPerNode: 2 }],
	["one node is what every task has", { nodes: 1 }, {}],
	[
		"HQ-2: other ways to run it, each whole, in the task's image unless they name one",
		{
			gpus: 1,
			priority: 3,
			container_image: "sim.sif",
			variants: [{ cores: 16 }, { num_ranks: 4, container_image: "cpu.sif" }],
		},
		{
			gpus: 1,
			priority: 3,
			containerImage: "sim.sif",
			variants: [
				{ cores: 16, containerImage: "sim.sif" },
				{ ranksPerNode: 4, containerImage: "cpu.sif" },
			],
		},
	],
	["what is for endpoints that are not ours", { launcher_options: "-l", priority: -2 }, { priority: -2 }],
])("%s", (_what, specification, expected) => {
	expect(wire(specification)).toEqual(expected);
});

test.each([
	[{ gpus: 1.5 }, "gpus", "is 1.5: whole devices, or a share below one of one device"],
	[{ gpus: 0.5, nodes: 2 }, "gpus", "is 0.5: a task of 2 nodes has them whole, with their devices"],
	[{ nodes: 2, num_nodes: 3 }, "num_nodes", "is 3 and nodes is 2: they mean the same, say one"],
	[{ num_nodes: 2, ranks_per_node: 4, num_ranks: 9 }, "num_ranks", "is 9, and 2 nodes of 4 ranks are 8"],
	[{ num_nodes: 2, num_ranks: 9 }, "num_ranks", "is 9, which 2 nodes cannot share evenly"],
	[{ num_ranks: 9, ranks_per_node: 4 }, "num_ranks", "is 9, which nodes of 4 ranks cannot make up"],
	[{ resources: { GPUs: 1 } }, "resources", 'has "GPUs", which has a key of its own'],
	[{ resources: { "a b": 1 } }, "resources.a b", "Invalid key in record"],
	[{ resources: { fpga: 0 } }, "resources.fpga", "Too small: expected number to be >0"],
	[{ expected_ms: 10, walltime_ms: 5 }, "expected_ms", "is 10: the task is ended after 5 (walltime_ms)"],
	[{ variants: [{ gpus: 2.5 }] }, "variants.0.gpus", "is 2.5: whole devices, or a share below one of one device"],
	[{ variants: [{ priority: 1 }] }, "variants.0", 'Unrecognized key: "priority"'],
	[{ container_image: "--privileged" }, "container_image", "is not the name of an image"],
	[{ cores: 0 }, "cores", "Too small: expected number to be >=1"],
])("what contradicts itself is refused in a sentence: %j", (specification, path, says) => {
	const read = parse(specification);
	expect(read.error?.issues.map((issue) => [issue.path.slice(1).join("."), issue.message])).toEqual([[path, says]]);
});

test("what a submit says and what the endpoint gets make the same demand", () => {
	const said = { cores: 2, resources: { b: 1, a: 2 }, expected_ms: 60_000, variants: [{ gpus: 0.5 }] };
	expect(demandKey(toResources(said))).toBe("2,a=2,b=1|1,g0.5@60000");
	expect(demandKey(toResources({ launcher_options: "-l" }))).toBe("plain");
});

test("the tasks of one request share one converted specification", () => {
	const specification = { cores: 2 };
	expect(toResources(specification)).toBe(toResources(specification));
});
