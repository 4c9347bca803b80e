/** What each task asks of nodes, as users write it. */
import type { ResourceSpecification } from "@errand/proto/rest";

/** One way to run a task. Of several nodes each must give what is said here. */
interface Way {
	/** Whole cores; 1 unless told. */
	cores?: number;
	memoryBytes?: number;
	/** Whole devices, given to one task at a time; below one, that share of one device. */
	gpus?: number;
	/** More than one: whole nodes of one block, which nobody shares meanwhile. */
	nodes?: number;
	/** How many processes of an MPI program start on each node. */
	ranksPerNode?: number;
	/** Whatever else nodes have, by the name that the endpoint gives it: `{ fpga: 1 }`. */
	named?: Readonly<Record<string, number>>;
	/** The container image that it runs in, instead of the endpoint's. */
	image?: string;
}

/** What each task asks of nodes. */
export interface Resources extends Way {
	/** Larger goes first among the waiting; 0 unless told. */
	priority?: number;
	/** Other ways to run it, from the best to the worst after the one above; the first that fits is taken. */
	variants?: readonly Way[];
}

export interface TaskOptions {
	resources?: Resources;
	/** Milliseconds a task may run; then its process group is ended and the future rejects with a TimeoutError. */
	walltimeMs?: number;
	/**
	 * Milliseconds it is expected to take: it is not started on nodes that have less time left. The walltime unless told.
	 */
	expectedMs?: number;
}

/** The submit's `resource_specification`; undefined when nothing is said. */
export function toSpecification({
	resources = {},
	walltimeMs,
	expectedMs,
}: TaskOptions): ResourceSpecification | undefined {
	const { priority, variants, ...way } = resources;
	const found: ResourceSpecification = said({
		...wayOf(way),
		priority,
		variants: variants?.map((each) => said(wayOf(each))),
		walltime_ms: walltimeMs,
		expected_ms: expectedMs,
	});
	return Object.keys(found).length === 0 ? undefined : found;
}

function wayOf({ cores, memoryBytes, gpus, nodes, ranksPerNode, named, image }: Way) {
	return {
		cores,
		memory_bytes: memoryBytes,
		gpus,
		nodes,
		ranks_per_node: ranksPerNode,
		resources: named,
		container_image: image,
	};
}

type Said<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

function said<T extends object>(all: T): Said<T> {
	return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Said<T>;
}
