/** What the interchange knows of one queue: its settings, and what its nodes turned out to have. */
import { couldEverRun, type Demand, type NodeDemand, type NodeShape } from "./demand.ts";
import { LaunchThrottle } from "./launch-throttle.ts";
import type { ExpectedNode, QueueSettings } from "./queue-view.ts";

/** Cores of a node that nobody has said anything of: few enough for most, so that the first blocks are not too many. */
const guessedCores = 16;
/** Kinds of nodes that are remembered of a queue. */
const shapesRemembered = 100;

/** Of an endpoint that was told of no queues. */
export const unnamedQueue: QueueSettings = {
	name: "default",
	nodesPerBlock: Number.POSITIVE_INFINITY,
	walltimeMs: undefined,
	node: {},
	maxBlocks: 0,
	maxQueuedBlocks: 0,
	parallelism: 1,
	idleTimeoutMs: Number.POSITIVE_INFINITY,
};

export class QueueRecord {
	readonly settings: QueueSettings;
	readonly throttle: LaunchThrottle;
	/** Told of by the configuration; others are of blocks that an earlier configuration asked for. */
	readonly configured: boolean;
	readonly #seen = new Map<string, NodeShape>();
	#latest: NodeShape | undefined;

	constructor(settings: QueueSettings, configured: boolean) {
		this.settings = settings;
		this.configured = configured;
		this.throttle = new LaunchThrottle(settings);
	}

	/** True when it is a kind of node that was not seen before. */
	see(shape: NodeShape): boolean {
		const named = [...shape.named].map(([name, amount]) => `${name}=${amount}`);
		const key = [shape.workers, shape.cores, shape.memoryBytes, shape.gpus, ...named].join("/");
		this.#latest = shape;
		if (this.#seen.has(key) || this.#seen.size >= shapesRemembered) return false;
		this.#seen.set(key, { ...shape, endsAtMs: 0 });
		return true;
	}

	/** What its nodes have, as seen; empty before the first one has come. */
	get shapes(): Iterable<NodeShape> {
		return this.#seen.values();
	}

	get seen(): boolean {
		return this.#seen.size > 0;
	}

	/** What a further node is taken to have: like the last one that came, else as configured, else guessed. */
	get nextShape(): NodeShape {
		return this.#latest === undefined ? guess(this.settings.node) : { ...this.#latest, endsAtMs: 0 };
	}

	/** The same, if such a node could run the task; else a kind that was seen and could. */
	shapeFor(demand: NodeDemand): NodeShape {
		const next = this.nextShape;
		if (couldEverRun(next, demand)) return next;
		return [...this.shapes].find((shape) => couldEverRun(shape, demand)) ?? next;
	}

	/** Whether a block of it could run the task; `maybe`: what decides it is not known before a node has come. */
	couldRun(demand: NodeDemand): "yes" | "no" | "maybe" {
		if (demand.nodes > this.settings.nodesPerBlock) return "no";
		if (this.seen) return [...this.shapes].some((shape) => couldEverRun(shape, demand)) ? "yes" : "no";
		const { node } = this.settings;
		if (couldEverRun(guess(node), demand)) return "yes";
		return couldEverRun(atBest(node), demand) ? "maybe" : "no";
	}

	/** Whether its blocks are long enough. */
	longEnough(demand: Demand): boolean {
		return this.settings.walltimeMs === undefined || demand.expectedMs <= this.settings.walltimeMs;
	}
}

function expected(node: ExpectedNode, unknownCores: number, unknownGpus: number): NodeShape {
	const cores = node.cores ?? Math.max(unknownCores, node.workers ?? 0);
	const workers = node.workers ?? cores;
	return {
		workers,
		cores: Math.max(cores, workers),
		memoryBytes: node.memoryBytes ?? 0,
		gpus: node.gpus ?? unknownGpus,
		named: new Map(Object.entries(node.named ?? {})),
		endsAtMs: 0,
	};
}

const guess = (node: ExpectedNode): NodeShape => expected(node, guessedCores, 0);
const atBest = (node: ExpectedNode): NodeShape => expected(node, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
