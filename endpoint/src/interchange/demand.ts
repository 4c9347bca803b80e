/** What a task takes from its nodes while it runs, and what a node has. */
import { coresAsked, demandKey, isDeviceWish } from "@errand/proto";
import type { NamedAmount, NodeResources, Resources } from "@errand/proto/wire";

/** One way to run a task: what it takes of each of its nodes. */
export interface NodeDemand {
	/** More than one: whole nodes of one block. */
	readonly nodes: number;
	readonly cores: number;
	readonly memoryBytes: number;
	/** Whole devices, or below one a share of one. */
	readonly gpus: number;
	readonly named: readonly Pick<NamedAmount, "name" | "amount">[];
	/** A program is started over its nodes: such starts are throttled. */
	readonly launches: boolean;
	/** The resources that say so; undefined when a task says none. */
	readonly resources: Resources | undefined;
}

export interface Demand {
	/** Tasks of one key are interchangeable to placement. */
	readonly key: string;
	/** Takes a worker and one core, nothing else: may be handed over before a worker is free. */
	readonly plain: boolean;
	/** How long it is expected to take; 0: not said. */
	readonly expectedMs: number;
	/** Ways to run it, the best first; at least one. */
	readonly variants: readonly [NodeDemand, ...NodeDemand[]];
}

const one: NodeDemand = {
	nodes: 1,
	cores: 1,
	memoryBytes: 0,
	gpus: 0,
	named: [],
	launches: false,
	resources: undefined,
};
const plainDemand: Demand = { key: "plain", plain: true, expectedMs: 0, variants: [one] };

const known = new Map<string, Demand>();

/** The demand of a task; "not said" is one core of one node. The same object for the same demand, as far as memory allows. */
export function demandOf(resources: Resources | undefined): Demand {
	if (resources === undefined) return plainDemand;
	const key = demandKey(resources);
	if (key === plainDemand.key) return plainDemand;
	let demand = known.get(key);
	if (!demand) {
		demand = {
			key,
			plain: false,
			expectedMs: resources.expectedMs || resources.walltimeMs,
			variants: [nodeDemand(resources), ...resources.variants.map(nodeDemand)],
		};
		if (known.size < 10_000) known.set(key, demand);
	}
	return demand;
}

function nodeDemand(resources: Resources): NodeDemand {
	const { nodes, memoryBytes, gpus, named, ranksPerNode } = resources;
	return {
		nodes: Math.max(1, nodes),
		cores: coresAsked(resources),
		memoryBytes,
		gpus,
		named: named.filter(({ amount }) => amount > 0),
		launches: ranksPerNode > 0 || nodes > 1,
		resources,
	};
}

/** What one node has for tasks. */
export interface NodeShape {
	readonly workers: number;
	readonly cores: number;
	/** 0: not known, so not counted. */
	readonly memoryBytes: number;
	readonly gpus: number;
	readonly named: ReadonlyMap<string, number>;
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
		named: new Map(node?.named.map(({ name, amount }) => [name, amount])),
		endsAtMs: node?.endsAtMs ?? 0,
	};
}

/** Amounts are what people write with a few digits: a rounding error is not a shortage. */
export const rounding = 1e-9;

/** Whether an empty node of this shape could run the task at all, were it one of as many as it needs. */
export function couldEverRun(shape: NodeShape, demand: NodeDemand): boolean {
	return (
		demand.cores <= shape.cores &&
		isDeviceWish(demand.gpus) &&
		Math.ceil(demand.gpus) <= shape.gpus &&
		(shape.memoryBytes === 0 || demand.memoryBytes <= shape.memoryBytes) &&
		demand.named.every(({ name, amount }) => amount <= (shape.named.get(name) ?? 0) + rounding)
	);
}

/** Whether the task would end before the node does, as far as both are known. */
export function endsInTime(shape: NodeShape, expectedMs: number, nowMs: number): boolean {
	return shape.endsAtMs === 0 || (nowMs < shape.endsAtMs && nowMs + expectedMs <= shape.endsAtMs);
}
