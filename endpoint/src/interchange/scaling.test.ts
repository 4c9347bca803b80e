import { describe, expect, test } from "vitest";
import { type FakeNode, helloOf, success, taskOf, tasksOf, type Wish } from "./interchange.test-harness.ts";
import { Interchange } from "./interchange.ts";
import type { BlockView, QueueSettings, QueueView, ScalingPlan } from "./queue-view.ts";

const minuteMs = 60_000;

const settings = (name: string, more: Partial<QueueSettings> = {}): QueueSettings => ({
	name,
	nodesPerBlock: 1,
	walltimeMs: 60 * minuteMs,
	node: { cores: 4 },
	maxBlocks: 10,
	maxQueuedBlocks: 10,
	parallelism: 1,
	idleTimeoutMs: 10 * minuteMs,
	...more,
});

interface Situation {
	queues?: QueueSettings[];
	/** What changes of the queues, by name. */
	now?: Record<string, Partial<QueueView>>;
	/** Each a list of as many tasks of the wish. */
	waiting?: [count: number, wish?: Wish][];
	blocks?: Partial<BlockView>[];
	/** Nodes that have come, of the block `block`. */
	nodes?: (FakeNode & { queue?: string })[];
}

function situation({ queues = [settings("cpu")], now = {}, waiting = [], blocks = [], nodes = [] }: Situation) {
	const core = new Interchange({ queues });
	const view = {
		queues: queues.map(({ name }): QueueView => ({ name, keepBlocks: 0, ...now[name] })),
		blocks: blocks.map(
			(block, i): BlockView => ({ id: `b${i}`, queue: "cpu", nodes: 1, state: "submitted", reason: "", ...block }),
		),
	};
	for (const { queue = "cpu", ...node } of nodes) core.attach(helloOf(node), 0, queue);
	for (const [count, wish] of waiting) core.accept(tasksOf(count, wish), 0);
	core.place(0);
	return { core, view, plan: (nowMs = 0): ScalingPlan => core.planScaling(view, nowMs) };
}

const started = (plan: ScalingPlan): Record<string, number> =>
	Object.fromEntries(plan.start.map(({ queue, count }) => [queue, count]));

const gpu = settings("gpu", { node: { cores: 8, gpus: 2 }, maxBlocks: 3 });
const unknownNode = settings("cpu", { node: {} });

/** What is waiting, what there is, and how many blocks of which queue are asked for. */
const table: [sentence: string, situation: Situation, start: Record<string, number>][] = [
	["do_not_create_allocations_without_tasks: nothing waits, nothing is asked for", {}, {}],
	["fill_backlog: as many blocks as would run what waits", { waiting: [[17]] }, { cpu: 5 }],
	["do_nothing_on_full_backlog: blocks on their way are enough", { waiting: [[8]], blocks: [{}, {}] }, {}],
	[
		"held blocks and those that start count as capacity",
		{ waiting: [[8]], blocks: [{ state: "held" }, { state: "starting" }] },
		{},
	],
	["only what blocks on their way leave is asked for", { waiting: [[9]], blocks: [{}, {}] }, { cpu: 1 }],
	[
		"respect_max_worker_count: never more blocks than max_blocks",
		{ waiting: [[1000]], blocks: [{}, { state: "active" }, { state: "draining" }] },
		{ cpu: 7 },
	],
	[
		"DEP-1: never more at the scheduler than max_queued_blocks",
		{
			queues: [settings("cpu", { maxBlocks: 100, maxQueuedBlocks: 20 })],
			waiting: [[500]],
			blocks: [{}, {}, { state: "held" }, { state: "active" }],
		},
		{ cpu: 17 },
	],
	[
		"ignore_task_with_high_time_request: a queue whose blocks are too short is no use",
		{
			queues: [settings("cpu"), settings("long", { walltimeMs: 600 * minuteMs })],
			waiting: [[4, { expectedMs: 90 * minuteMs }]],
		},
		{ long: 1 },
	],
	["a task too long for every queue asks for nothing", { waiting: [[4, { expectedMs: 90 * minuteMs }]] }, {}],
	[
		"a walltime is what a task may take, and counts when nothing shorter is expected",
		{
			waiting: [
				[4, { walltimeMs: 90 * minuteMs }],
				[4, { walltimeMs: 90 * minuteMs, expectedMs: minuteMs }],
			],
		},
		{ cpu: 1 },
	],
	[
		"unknown_worker_resources: nodes of which nothing is known are guessed, so that few tasks ask for few blocks",
		{ queues: [unknownNode], waiting: [[16]] },
		{ cpu: 1 },
	],
	[
		"unknown_worker_resources: a task larger than the guess asks for one block, to see",
		{ queues: [unknownNode], waiting: [[50, { cores: 64 }]] },
		{ cpu: 1 },
	],
	[
		"unknown_worker_resources: while that block is on its way no other is asked for",
		{ queues: [unknownNode], waiting: [[50, { cores: 64 }]], blocks: [{}] },
		{},
	],
	[
		"unknown_worker_resources_multi_queue: each queue that might have it is tried in turn",
		{
			queues: [settings("cpu", { node: { cores: 4, gpus: 0 } }), settings("other", { node: { cores: 4 } })],
			waiting: [[3, { gpus: 1 }]],
		},
		{ other: 1 },
	],
	[
		"partial_worker_resources: what the configuration says decides, the rest is guessed",
		{ queues: [settings("cpu", { node: { workers: 2 } })], waiting: [[8]] },
		{ cpu: 4 },
	],
	[
		"react_to_new_resources: what the first node has replaces the guess",
		{
			queues: [unknownNode],
			waiting: [[66]],
			blocks: [{ state: "active", id: "b" }],
			nodes: [{ id: "m", block: "b", cores: 2 }],
		},
		{ cpu: 9 },
	],
	[
		"each demand goes to the first queue whose nodes have it",
		{ queues: [settings("cpu"), gpu], waiting: [[4, { gpus: 1 }], [20]] },
		{ cpu: 2, gpu: 2 },
	],
	[
		"what one kind of task leaves of a block the others use",
		{ queues: [gpu], waiting: [[2, { gpus: 1 }], [6]] },
		{ gpu: 1 },
	],
	["parts of a GPU are counted by the device", { queues: [gpu], waiting: [[8, { gpus: 0.4 }]] }, { gpu: 2 }],
	[
		"a variant is used when the queue of the first has its blocks",
		{ queues: [gpu, settings("cpu", { node: { cores: 16 } })], waiting: [[10, { gpus: 1, variants: [{ cores: 8 }] }]] },
		{ gpu: 3, cpu: 2 },
	],
	[
		"nodes of a block are shared out by node",
		{ queues: [settings("cpu", { nodesPerBlock: 4 })], waiting: [[33]] },
		{ cpu: 3 },
	],
	[
		"tasks over several nodes are packed into blocks whole",
		{ queues: [settings("cpu", { nodesPerBlock: 5 })], waiting: [[3, { nodes: 2 }]] },
		{ cpu: 2 },
	],
	[
		"a task over more nodes than a block has asks for nothing there",
		{ queues: [settings("cpu"), settings("wide", { nodesPerBlock: 8 })], waiting: [[1, { nodes: 4 }]] },
		{ wide: 1 },
	],
	[
		"nodes of an active block that have not come yet are counted on for a while",
		{
			queues: [settings("cpu", { nodesPerBlock: 3 })],
			waiting: [[12]],
			blocks: [{ state: "active", id: "b", nodes: 3 }],
			nodes: [{ id: "m", block: "b", cores: 4 }],
		},
		{},
	],
	[
		"add_another_worker_to_allocation: what runs on the nodes that came is no demand",
		{
			waiting: [[8]],
			blocks: [{ state: "active", id: "b", nodes: 2 }],
			nodes: [
				{ id: "m", block: "b", cores: 4 },
				{ id: "n", block: "b", cores: 4 },
			],
		},
		{},
	],
	[
		"worker_connects_from_unknown_allocation: a block that nobody asked for gives its room all the same",
		{ waiting: [[4]], nodes: [{ id: "m", cores: 4, queue: "of an earlier configuration" }] },
		{},
	],
	[
		"parallelism 0: one block, whatever waits",
		{ queues: [settings("cpu", { parallelism: 0 })], waiting: [[100]] },
		{ cpu: 1 },
	],
	[
		"parallelism 0.5: half the blocks that would run everything at once",
		{ queues: [settings("cpu", { parallelism: 0.5 })], waiting: [[20]], blocks: [{}] },
		{ cpu: 2 },
	],
	[
		"blocks that are to be kept are asked for without tasks",
		{ now: { cpu: { keepBlocks: 2 } }, blocks: [{}] },
		{ cpu: 1 },
	],
	["blocks of the start are asked for without tasks", { now: { cpu: { keepBlocks: 1, firstBlocks: 3 } } }, { cpu: 3 }],
	[
		"stop_allocating_on_error, pause_queue: a queue that is closed gets nothing, not even what is to be kept",
		{ now: { cpu: { keepBlocks: 1, closed: { word: "paused", sentence: "It is paused." } } }, waiting: [[8]] },
		{},
	],
	[
		"what a closed queue cannot take goes to the next",
		{
			queues: [settings("cpu"), settings("more")],
			now: { cpu: { closed: { word: "budget-used-up", sentence: "It is used up." } } },
			waiting: [[8]],
		},
		{ more: 2 },
	],
	[
		"D4: no more blocks than can be paid for",
		{ now: { cpu: { affordableBlocks: 3.7 } }, waiting: [[100]] },
		{ cpu: 3 },
	],
	[
		"max_worker_count_shorten_last_allocation: the limit is of blocks, and the last one is whole",
		{ queues: [settings("cpu", { nodesPerBlock: 4, maxBlocks: 2 })], waiting: [[33]] },
		{ cpu: 2 },
	],
];

describe("HQ-3: blocks by the same arithmetic that places tasks", () => {
	test.each(table)("%s", (_, given, start) => {
		expect(started(situation(given).plan())).toEqual(start);
	});

	test("do_not_fill_backlog_when_tasks_run_out: blocks at the scheduler that nothing needs are cancelled after the idle time, the last first", () => {
		const { core, view } = situation({ waiting: [[8]], blocks: [{}, {}, { state: "held" }] });
		expect(core.planScaling(view, 0).cancelPending).toEqual([]);
		expect(core.planScaling(view, 9 * minuteMs).cancelPending).toEqual([]);
		expect(core.planScaling(view, 10 * minuteMs).cancelPending).toEqual(["b2"]);
		const keep = { ...view, queues: view.queues.map((queue) => ({ ...queue, keepBlocks: 3 })) };
		expect(core.planScaling(keep, 10 * minuteMs).cancelPending).toEqual([]);
	});

	test("finish_allocation: idle blocks are given back after the idle time, the longest idle first, down to those that are kept", () => {
		const nodes = ["x", "y", "z"].map((block) => ({ id: `m-${block}`, block, cores: 1 }));
		const blocks = ["x", "y", "z"].map((id) => ({ id, state: "active" as const }));
		const { core, view } = situation({ blocks, nodes });
		const task = taskOf();
		core.accept([task], 1);
		core.place(1);
		const [busy] = core
			.takeReactions()
			.flatMap((reaction) => (reaction.kind === "dispatch" ? [reaction.managerId] : []));
		expect(core.planScaling(view, 9 * minuteMs).drain).toEqual([]);
		const idle = nodes.filter(({ id }) => id !== busy).map(({ block }) => block);
		expect(core.planScaling(view, 10 * minuteMs).drain).toEqual(idle);
		core.results(busy as string, [success(task.id)], 15 * minuteMs);
		const keep = { ...view, queues: view.queues.map((queue) => ({ ...queue, keepBlocks: 1 })) };
		expect(core.planScaling(keep, 30 * minuteMs).drain).toEqual(idle);
		expect(core.planScaling(view, 30 * minuteMs).drain).toHaveLength(3);
	});

	test("a block whose nodes are kept for a task over several nodes is not given back", () => {
		const nodes = ["m", "n"].map((id) => ({ id, block: "b", cores: 1 }));
		const { core, view } = situation({
			queues: [settings("cpu", { nodesPerBlock: 2, maxLaunchesPerSecond: 0.0001 })],
			blocks: [{ id: "b", state: "active", nodes: 2 }],
			nodes,
		});
		const [first, second] = [taskOf({ nodes: 2 }), taskOf({ nodes: 2 })];
		core.accept([first, second], 0);
		core.place(0);
		core.results(core.attachedManagers("b")[0] as string, [success(first.id)], 1);
		core.place(2);
		expect(core.planScaling(view, 20 * minuteMs)).toEqual({ start: [], drain: [], cancelPending: [] });
	});

	test("a hundred thousand tasks are decided upon in milliseconds", () => {
		const queues = [settings("cpu", { maxBlocks: 1_000, maxQueuedBlocks: 1_000, node: { cores: 64 } }), gpu];
		const { core, view } = situation({
			queues,
			waiting: [
				[60_000],
				[20_000, { cores: 4, memoryBytes: 1e9 }],
				[10_000, { gpus: 0.5 }],
				[10_000, { cores: 16, expectedMs: 50 * minuteMs }],
			],
			blocks: Array.from({ length: 500 }, () => ({})),
		});
		const tries = Array.from({ length: 5 }, () => {
			const begun = performance.now();
			expect(started(core.planScaling(view, 0)).cpu).toBe(500);
			return performance.now() - begun;
		});
		expect(Math.min(...tries)).toBeLessThan(10);
	});
});
