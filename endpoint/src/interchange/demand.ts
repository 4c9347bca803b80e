/** What a task takes from a node while it runs, and what a node has. */
import type { NodeResources, Resources } from "@errand/proto/wire";

export interface Demand {
	readonly cores: number;
	readonly memoryBytes: number;
	readonly gpus: number;
	/** 0: not said. */
	readonly walltimeMs: number;
	/** Tasks of one key are interchangeable to placement. */
	readonly key: string;
	/** Takes a worker and one core, nothing else: may be handed over before a worker is free. */
	readonly plain: boolean;
}

const known = new Map<string, Demand>();

/** The demand of a task; "not said" is one core, no memory, no GPU. The same object for the same demand. */
export function demandOf(resources: Resources | undefined): Demand {
	const cores = Math.max(1, resources?.cores ?? 1);
	const memoryBytes = resources?.memoryBytes ?? 0;
	const gpus = resources?.gpus ?? 0;
	const walltimeMs = resources?.walltimeMs ?? 0;
	if (cores === 1 && memoryBytes === 0 && gpus === 0 && walltimeMs === 0) return plainDemand;
	const key = `${cores}/${memoryBytes}/${gpus}/${walltimeMs}`;
	let demand = known.get(key);
	if (!demand) {
		demand = { cores, memoryBytes, gpus, walltimeMs, key, plain: false };
		if (known.size < 10_000) known.set(key, demand);
	}
	return demand;
}

export const plainDemand: Demand = { cores: 1, memoryBytes: 0, gpus: 0, walltimeMs: 0, key: "plain", plain: true };

/** What one node has for tasks. */
export interface NodeShape {
	readonly workers: number;
	readonly cores: number;
	/** 0: not known, so not counted. */
	readonly memoryBytes: number;
	readonly gpus: number;
	/** Unix milliseconds; 0: the node does not end by itself. */
	readonly endsAtMs: number;
}

/** A node with more workers than cores was asked to share its cores: then each worker counts as one. */
export function shapeOf(node: NodeResources | undefined): NodeShape {
	const workers = Math.max(1, node?.maxWorkers ?? 1);
	return {
		workers,
		cores: Math.max(node?.cores ?? 0, workers),
		memoryBytes: node?.memoryBytes ?? 0,
		gpus: node?.gpuIds.length ?? 0,
		endsAtMs: node?.endsAtMs ?? 0,
	};
}

/** Whether an empty node of this shape could run the task at all. */
export function couldEverRun(shape: NodeShape, demand: Demand): boolean {
	return (
		demand.cores <= shape.cores &&
		demand.gpus <= shape.gpus &&
		(shape.memoryBytes === 0 || demand.memoryBytes <= shape.memoryBytes)
	);
}

/** For people: "4 cores, 2 GPUs, 8.0 GB memory". */
export function describeAmounts(amounts: { cores: number; gpus: number; memoryBytes: number }): string {
	const parts = [`${amounts.cores} ${amounts.cores === 1 ? "core" : "cores"}`];
	if (amounts.gpus > 0) parts.push(`${amounts.gpus} ${amounts.gpus === 1 ? "GPU" : "GPUs"}`);
	if (amounts.memoryBytes > 0) parts.push(`${(amounts.memoryBytes / 1e9).toFixed(1)} GB memory`);
	return parts.join(", ");
}
