/** What a task asks of nodes, as options of a command. */
import type { ResourceSpecification } from "@errand/proto/rest";
import * as z from "zod";
import { amount, durationMs, namedAmount, sizeBytes, whole } from "./input.ts";
import type { OptionRow } from "./verb.ts";

export const resourceOptions: readonly OptionRow[] = [
	{ flags: "--cores <count>", summary: "whole cores that it needs" },
	{ flags: "--memory <size>", summary: "memory that it needs: 512M, 4G" },
	{ flags: "--gpus <count>", summary: "GPUs that it needs; 0.5: half of one" },
	{ flags: "--nodes <count>", summary: "whole nodes that it needs, together" },
	{ flags: "--ranks-per-node <count>", summary: "start so many processes of it on each node, as an MPI program" },
	{
		flags: "--resource <name=amount>",
		summary: "what else it needs of a node: fpga=1 (more than once)",
		repeats: true,
	},
	{ flags: "--image <image>", summary: "container image that it runs in" },
	{ flags: "-t, --walltime <duration>", summary: "stop it after this long: 30s, 2h" },
	{ flags: "--expected <duration>", summary: "it takes about this long: not started where less time is left" },
	{ flags: "--priority <number>", summary: "higher goes first" },
];

/** Fields of the verb's input, by the options' long names. */
export const resourceInput = {
	cores: whole(1, 4096).optional(),
	memory: sizeBytes.optional(),
	gpus: amount.optional(),
	nodes: whole(1, 100_000).optional(),
	ranksPerNode: whole(1, 4096).optional(),
	resource: z.array(namedAmount).optional(),
	image: z.string().min(1).optional(),
	walltime: durationMs.optional(),
	expected: durationMs.optional(),
	priority: whole(-1_000_000, 1_000_000).optional(),
};

type Typed = { [Name in keyof typeof resourceInput]?: z.output<(typeof resourceInput)[Name]> };

/** Null when nothing is asked for. */
export function specificationOf(typed: Typed): ResourceSpecification | null {
	const asked = {
		cores: typed.cores,
		memory_bytes: typed.memory,
		gpus: typed.gpus,
		nodes: typed.nodes,
		ranks_per_node: typed.ranksPerNode,
		resources: typed.resource && Object.fromEntries(typed.resource),
		container_image: typed.image,
		walltime_ms: typed.walltime,
		expected_ms: typed.expected,
		priority: typed.priority,
	};
	const said = Object.entries(asked).filter(([, value]) => value !== undefined);
	return said.length === 0 ? null : Object.fromEntries(said);
}
