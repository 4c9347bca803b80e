/**
 * What the interchange alone costs: no broker, no nodes, no disk. A thousand simulated managers, each of which says
 * that a task has ended in a message of its own, as real ones do at their worst (HQ-1).
 */
import { type FunctionId, idToBytes, newId, type TaskId } from "@errand/proto";
import {
	create,
	HelloSchema,
	type Resources,
	ResourcesSchema,
	type Result,
	ResultSchema,
	TaskSchema,
} from "@errand/proto/wire";
import type { AcceptedTask } from "../../endpoint/src/interchange/held-task.ts";
import { Interchange } from "../../endpoint/src/interchange/interchange.ts";
import type { QueueSettings } from "../../endpoint/src/interchange/queue-view.ts";

const managers = 1_000;
const coresEach = 4;
const chainLinks = 500;

const queue: QueueSettings = {
	name: "default",
	nodesPerBlock: 1,
	walltimeMs: 3_600_000,
	node: {},
	maxBlocks: 10_000,
	maxQueuedBlocks: 10_000,
	parallelism: 1,
	idleTimeoutMs: 600_000,
};

/** Ten demands, of which several always find no room. */
const mixed: readonly Partial<Resources>[] = [
	{},
	{ cores: 2 },
	{ cores: 4 },
	{ gpus: 1 },
	{ gpus: 0.5 },
	{ memoryBytes: 8e9 },
	{ cores: 3, memoryBytes: 1e9 },
	{ expectedMs: 60_000 },
	{ cores: 2, gpus: 1, priority: 1 },
	{ memoryBytes: 2e9, expectedMs: 5_000 },
];

export interface EngineFigures {
	readonly managers: number;
	readonly tasks: number;
	/** From its arrival to its end, everything that the interchange does for one task, in microseconds. */
	readonly placementUs: number;
	/** The same of ten different demands, several of them without room at any time. */
	readonly mixedPlacementUs: number;
	/** Of one link in a chain of tasks, each sent when the one before has ended. */
	readonly chainUs: number;
	/** To decide how many blocks are wanted while so many tasks of ten demands wait, in milliseconds. */
	readonly scaleOutMs: number;
	/** To say of each demand why it waits. */
	readonly explainMs: number;
}

function nodes(): Interchange {
	const core = new Interchange({ queues: [queue] });
	for (let manager = 0; manager < managers; manager++)
		core.attach(
			create(HelloSchema, {
				managerId: `m${manager}`,
				blockId: `b${manager}`,
				host: `node${manager}`,
				node: { cores: coresEach, maxWorkers: coresEach, memoryBytes: 16e9, gpuIds: ["0", "1"] },
			}),
			0,
			queue.name,
		);
	return core;
}

function work(count: number, demands: readonly Partial<Resources>[]): AcceptedTask[] {
	const functionId = newId<FunctionId>();
	const functionBytes = idToBytes(functionId);
	const resources = demands.map((demand) => create(ResourcesSchema, demand as Resources));
	return Array.from({ length: count }, (_, at) => {
		const id = newId<TaskId>();
		const task = create(TaskSchema, { id: idToBytes(id), functionId: functionBytes });
		task.resources = resources[at % resources.length] as Resources;
		return { id, functionId, task };
	});
}

/** Long enough that none is handed over ahead of a worker. */
const success = (id: TaskId): Result =>
	create(ResultSchema, {
		taskId: idToBytes(id),
		outcome: { case: "value", value: new Uint8Array(1) },
		execution: { startedAtUs: 1, finishedAtUs: 1_000_001 },
	});

/** Every task runs and ends, one result at a time. Returns microseconds for each. */
function runAll(tasks: readonly AcceptedTask[]): number {
	const core = nodes();
	const results = new Map(tasks.map(({ id }) => [id, success(id)]));
	const running: { managerId: string; id: TaskId }[] = [];
	let at = 0;
	const begun = performance.now();
	core.accept(tasks, 0);
	for (let nowMs = 1; !core.empty; nowMs++) {
		core.place(nowMs);
		for (const reaction of core.takeReactions())
			if (reaction.kind === "dispatch")
				for (const { id } of reaction.tasks) running.push({ managerId: reaction.managerId, id });
		const next = running[at++];
		if (next === undefined) throw new Error("tasks wait, and none runs");
		core.results(next.managerId, [results.get(next.id) as Result], nowMs);
	}
	return ((performance.now() - begun) * 1000) / tasks.length;
}

function runChain(links: readonly AcceptedTask[]): number {
	const core = nodes();
	const begun = performance.now();
	let nowMs = 0;
	for (const link of links) {
		core.accept([link], ++nowMs);
		core.place(nowMs);
		for (const reaction of core.takeReactions())
			if (reaction.kind === "dispatch") core.results(reaction.managerId, [success(link.id)], nowMs);
	}
	return ((performance.now() - begun) * 1000) / links.length;
}

function decide(tasks: readonly AcceptedTask[]): { scaleOutMs: number; explainMs: number } {
	const core = nodes();
	core.accept(tasks, 0);
	core.place(0);
	const view = {
		queues: [{ name: queue.name, keepBlocks: 0 }],
		blocks: Array.from({ length: managers + 100 }, (_, at) => ({
			id: `b${at}`,
			queue: queue.name,
			nodes: 1,
			state: at < managers ? ("active" as const) : ("submitted" as const),
			reason: "Priority",
		})),
	};
	const best = (of: () => unknown): number =>
		Math.min(
			...[1, 2, 3].map(() => {
				const begun = performance.now();
				of();
				return performance.now() - begun;
			}),
		);
	return { scaleOutMs: best(() => core.planScaling(view, 1)), explainMs: best(() => core.waiting(view, 1)) };
}

/** Takes a few seconds. */
export function measureEngine(tasks = 100_000): EngineFigures {
	runAll(work(10_000, mixed));
	return {
		managers,
		tasks,
		placementUs: runAll(work(tasks, [{}])),
		mixedPlacementUs: runAll(work(tasks, mixed)),
		chainUs: runChain(work(chainLinks, [{}])),
		...decide(work(tasks, mixed)),
	};
}
