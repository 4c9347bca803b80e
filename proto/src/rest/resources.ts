/** What a task asks of nodes, as `resource_specification` of a submit says it, and what contradicts itself there. */
import * as z from "zod";

/** More than any allocation has today. */
const mostNodes = 100_000;
const mostPerNode = 4096;
const mostVariants = 16;
const mostNamed = 64;

/** A name that the endpoint's configuration gives (`resources_per_node`). */
const resourceName = z
	.string()
	.regex(/^[A-Za-z][\w-]{0,63}$/, "is not the name of a resource: letters, digits, _ and -, up to 64");

/** A count, or a share below one. Written as one schema each, so that a message says what is allowed. */
const ofNode = {
	/** Whole cores of each node. */
	cores: z.int().min(1).max(mostPerNode).optional(),
	memory_bytes: z.int().min(1).optional(),
	/** Whole devices of each node; or, below one, that share of one device. */
	gpus: z.number().min(0).max(1024).optional(),
	/** More than one: whole nodes of one block. */
	nodes: z.int().min(1).max(mostNodes).optional(),
	/** Processes of an MPI program on each node. */
	ranks_per_node: z.int().min(1).max(mostPerNode).optional(),
	/** `nodes`, in the public interface's word. */
	num_nodes: z.int().min(1).max(mostNodes).optional(),
	/** All processes together, in the public interface's word. */
	num_ranks: z
		.int()
		.min(1)
		.max(mostNodes * mostPerNode)
		.optional(),
	/** Whatever else nodes have, by the name that the endpoint gives it. */
	resources: z.record(resourceName, z.number().gt(0).max(1e9)).optional(),
	/** Instead of the endpoint's. */
	container_image: z
		.string()
		.min(1)
		.max(1024)
		.regex(/^[^\s\0-]\S*$/, "is not the name of an image")
		.optional(),
};

/**
 * What a task asks for, inside the submit's `resource_specification`. Other keys (the public interface forwards any) are
 * kept and handed to endpoints that are not ours.
 */
export const resourceSpecification = z.looseObject({
	...ofNode,
	/** The task is ended after this long. */
	walltime_ms: z.int().min(1).optional(),
	/** How long it is expected to take: it is not started where less time is left. Not said: the walltime. */
	expected_ms: z.int().min(1).optional(),
	/** Larger goes first among the waiting. */
	priority: z.int().min(-1_000_000).max(1_000_000).optional(),
	/** Other ways to run it, from the best to the worst after the one above; the first that fits is taken. */
	variants: z.array(z.strictObject(ofNode)).max(mostVariants).optional(),
});
export type ResourceSpecification = z.input<typeof resourceSpecification>;

/** One way to run a task. */
type Way = Omit<NonNullable<ResourceSpecification["variants"]>[number], "container_image">;

/** Words that have a key of their own: under `resources` they would be something else. */
const ownWords = new Set(["cores", "memory", "memory_bytes", "gpu", "gpus", "nodes", "ranks"]);

/** What in one way contradicts itself: where, and a sentence. */
function contradictionsOf(way: Way): [key: string, says: string][] {
	const found: [string, string][] = [];
	const { gpus, nodes, num_nodes, ranks_per_node: ranks, num_ranks: all, resources = {} } = way;
	if (gpus !== undefined && gpus > 1 && !Number.isInteger(gpus))
		found.push(["gpus", `is ${gpus}: whole devices, or a share below one of one device`]);
	if (nodes !== undefined && num_nodes !== undefined && nodes !== num_nodes)
		found.push(["num_nodes", `is ${num_nodes} and nodes is ${nodes}: they mean the same, say one`]);
	const { nodes: count, ranksPerNode } = shapeOf(way);
	if (count > 1 && gpus !== undefined && gpus > 0 && gpus < 1)
		found.push(["gpus", `is ${gpus}: a task of ${count} nodes has them whole, with their devices`]);
	if (all !== undefined && ranks !== undefined && count * ranks !== all)
		found.push(["num_ranks", `is ${all}, and ${count} nodes of ${ranks} ranks are ${count * ranks}`]);
	else if (!Number.isInteger(count) || !Number.isInteger(ranksPerNode))
		found.push([
			"num_ranks",
			ranks === undefined
				? `is ${all}, which ${count} nodes cannot share evenly`
				: `is ${all}, which nodes of ${ranks} ranks cannot make up`,
		]);
	if (Object.keys(resources).length > mostNamed) found.push(["resources", `has more than ${mostNamed} names`]);
	for (const name of Object.keys(resources))
		if (ownWords.has(name.toLowerCase())) found.push(["resources", `has "${name}", which has a key of its own`]);
	return found;
}

/** How many nodes, and ranks on each, in either interface's words; ranks 0: not said. Not whole where they contradict. */
export function shapeOf(way: Pick<Way, "nodes" | "num_nodes" | "ranks_per_node" | "num_ranks">): {
	nodes: number;
	ranksPerNode: number;
} {
	const { ranks_per_node: ranks, num_ranks: all } = way;
	const said = way.nodes ?? way.num_nodes;
	if (all === undefined) return { nodes: said ?? 1, ranksPerNode: ranks ?? 0 };
	if (said !== undefined || ranks === undefined) return { nodes: said ?? 1, ranksPerNode: ranks ?? all / (said ?? 1) };
	return { nodes: all / ranks, ranksPerNode: ranks };
}

/** As {@link resourceSpecification}; refuses what contradicts itself, with a sentence each. */
export const checkedSpecification = resourceSpecification.superRefine((value, context) => {
	const fault = (path: (string | number)[], message: string): void =>
		context.addIssue({ code: "custom", path, message });
	for (const [key, says] of contradictionsOf(value)) fault([key], says);
	for (const [at, way] of (value.variants ?? []).entries())
		for (const [key, says] of contradictionsOf(way)) fault(["variants", at, key], says);
	const { expected_ms: expected, walltime_ms: walltime } = value;
	if (expected !== undefined && walltime !== undefined && expected > walltime)
		fault(["expected_ms"], `is ${expected}: the task is ended after ${walltime} (walltime_ms)`);
});
