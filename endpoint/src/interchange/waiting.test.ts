import { readFileSync } from "node:fs";
import { type WaitingWord, waitingWords } from "@errand/proto";
import type { WaitingSummary } from "@errand/proto/rest";
import { describe, expect, test } from "vitest";
import { type FakeNode, helloOf, success, taskOf, tasksOf, type Wish } from "./interchange.test-harness.ts";
import { Interchange } from "./interchange.ts";
import type { BlockView, QueueSettings, QueueView } from "./queue-view.ts";

const minuteMs = 60_000;
const atMs = Date.parse("2026-03-01T13:00:00Z");

const settings = (name: string, more: Partial<QueueSettings> = {}): QueueSettings => ({
	name,
	nodesPerBlock: 1,
	walltimeMs: 30 * minuteMs,
	node: { cores: 4, gpus: 2 },
	maxBlocks: 4,
	maxQueuedBlocks: 12,
	parallelism: 1,
	idleTimeoutMs: minuteMs,
	...more,
});

interface Situation {
	queues?: QueueSettings[];
	now?: Partial<QueueView>;
	blocks?: Partial<BlockView>[];
	nodes?: FakeNode[];
	/** Handed out before the tasks that wait come. */
	first?: [count: number, wish?: Wish];
	waiting?: [count: number, wish?: Wish];
	laterMs?: number;
	place?: boolean;
}

/** The only thing told. */
function told(given: Situation): WaitingSummary {
	const { queues = [settings("a100")], now = {}, blocks = [], nodes = [], waiting = [1], laterMs = 0 } = given;
	const core = new Interchange({ queues });
	for (const node of nodes) core.attach(helloOf({ block: "b0", ...node }), atMs, "a100");
	if (given.first) core.accept(tasksOf(...given.first), atMs);
	core.place(atMs);
	core.accept(tasksOf(...waiting), atMs + 1);
	if (given.place !== false) {
		core.place(atMs + 1);
		core.place(atMs + laterMs);
	}
	const view = {
		queues: queues.map(({ name }): QueueView => ({ name, keepBlocks: 0, ...now })),
		blocks: blocks.map(
			(block, i): BlockView => ({ id: `b${i}`, queue: "a100", nodes: 1, state: "submitted", reason: "", ...block }),
		),
	};
	const [summary, ...more] = core.waiting(view, atMs + laterMs).slice(-1);
	expect(more).toEqual([]);
	return summary as WaitingSummary;
}

const one: FakeNode[] = [{ id: "m", cores: 4, gpus: 2 }];
const active = { state: "active" as const };
const closed = (word: "paused" | "budget-used-up" | "scheduler-silent" | "outside-window", sentence: string) => ({
	closed: { word, sentence },
});
const day = 24 * 60 * minuteMs;

const table: [word: WaitingWord, sentence: string, Situation][] = [
	[
		"no-such-resources",
		"It asks for 1 core, 4 GPUs on one node; nodes of queue a100 have 4 cores, 2 GPUs.",
		{ waiting: [1, { gpus: 4 }], place: false },
	],
	[
		"walltime-does-not-fit",
		"It is expected to take 2 h; blocks of queue a100 last 30 min. Say a shorter time if it takes less, or have the queue's walltime raised.",
		{ waiting: [1, { walltimeMs: 120 * minuteMs }] },
	],
	[
		"paused",
		"Three blocks ended before a node came: no such file.",
		{ now: closed("paused", "Three blocks ended before a node came: no such file.") },
	],
	[
		"outside-window",
		"Blocks of this queue are asked for from 20:00.",
		{ now: closed("outside-window", "Blocks of this queue are asked for from 20:00.") },
	],
	[
		"budget-used-up",
		"What is left of budget_node_hours does not pay for another block of queue a100.",
		{ now: { affordableBlocks: 0.5 } },
	],
	[
		"scheduler-silent",
		"squeue has not answered since 12:50.",
		{ now: closed("scheduler-silent", "squeue has not answered since 12:50."), blocks: [{}] },
	],
	[
		"block-limit",
		"Queue a100 has 4 blocks, as many as max_blocks allows.",
		{ blocks: [1, 2, 3, 4].map(() => ({ state: "draining" as const })) },
	],
	[
		"block-pending",
		"12 blocks are queued at the scheduler, which says Priority and expects a start at 14:05 UTC.",
		{
			blocks: Array.from({ length: 12 }, (_, i) => ({
				reason: "Priority",
				expectedStartMs: atMs + (65 + i) * minuteMs,
			})),
		},
	],
	[
		"block-pending",
		"1 block is queued at the scheduler, which says Resources and expects a start at 2026-03-02 13:00 UTC.",
		{ blocks: [{ reason: "Resources", expectedStartMs: atMs + day }] },
	],
	["block-pending", "1 block is being asked of the scheduler.", { blocks: [{ state: "requested" }] }],
	["block-pending", "A block for it is about to be asked for.", {}],
	[
		"block-held",
		"2 blocks are held at the scheduler, which says JobHeldUser: nothing starts until somebody releases them.",
		{ blocks: [{ state: "held", reason: "JobHeldUser" }, { state: "held" }] },
	],
	[
		"block-starting",
		"A block has been started by the scheduler, which says Configuring; no node of it has come yet.",
		{ blocks: [{}, { state: "starting", reason: "Configuring" }] },
	],
	[
		"block-starting",
		"Of the 3 nodes of a block 1 has come, and it needs 2.",
		{
			queues: [settings("a100", { nodesPerBlock: 3 })],
			nodes: one,
			blocks: [{ ...active, nodes: 3 }],
			waiting: [1, { nodes: 2 }],
		},
	],
	[
		"nodes-busy",
		"All 4 workers of 1 node are busy; 1 more block is on the way.",
		{ nodes: one, blocks: [active, {}], first: [4] },
	],
	[
		"nodes-busy",
		"All 4 workers of 1 node are busy; and no further block comes: It was asked for.",
		{ nodes: one, blocks: [active], first: [4], now: closed("paused", "It was asked for.") },
	],
	[
		"nodes-busy",
		"It asks for 1 core, 1 GPU on one node; 1 node could run it, and none has that free now; and no further block comes: Queue a100 has 1 block, as many as max_blocks allows.",
		{
			queues: [settings("a100", { maxBlocks: 1 })],
			nodes: one,
			blocks: [active],
			first: [3, { gpus: 0.7 }],
			waiting: [1, { gpus: 1 }],
		},
	],
	[
		"nodes-busy",
		"It needs 2 whole nodes of one block; of 2 nodes that could run it 1 is busy.",
		{
			queues: [settings("a100", { nodesPerBlock: 2 })],
			nodes: [...one, { id: "n", cores: 4 }],
			blocks: [{ ...active, nodes: 2 }],
			first: [1],
			waiting: [1, { nodes: 2 }],
		},
	],
	[
		"launch-throttled",
		"There is room for it, but of queue a100 programs are launched no faster than max_launches_per_second (0.5).",
		{
			queues: [settings("a100", { maxLaunchesPerSecond: 0.5 })],
			nodes: one,
			first: [1, { ranksPerNode: 1 }],
			waiting: [1, { ranksPerNode: 2 }],
		},
	],
	[
		"launch-throttled",
		"There is room for it, but of queue a100 1 launched program runs, and max_running_launches is 1.",
		{
			queues: [settings("a100", { maxRunningLaunches: 1 })],
			nodes: one,
			first: [1, { ranksPerNode: 1 }],
			waiting: [1, { ranksPerNode: 2 }],
		},
	],
	[
		"worker-starting",
		"3 tasks are at node node and wait for a worker there.",
		{ nodes: one, waiting: [3], laterMs: 5_000 },
	],
];

describe("HQ-5, NEW-8: why it waits", () => {
	test.each(table)("%s: %s", (word, sentence, given) => {
		expect(told(given)).toMatchObject({ word, sentence });
	});

	test("node-kept-for-larger: a small task is told for whom a node with room is kept", () => {
		const core = new Interchange({ queues: [settings("a100")] });
		core.attach(helloOf({ id: "m", cores: 4, block: "b" }), atMs, "a100");
		core.accept([taskOf({ cores: 2, expectedMs: 20 * minuteMs }), taskOf({ cores: 4 })], atMs);
		core.place(atMs);
		core.place(atMs + 30_000);
		core.accept([taskOf()], atMs + 30_000);
		core.place(atMs + 30_000);
		const view = { queues: [{ name: "a100", keepBlocks: 0 }], blocks: [] };
		const small = core.waiting(view, atMs + 30_000).find(({ demand }) => demand === "plain");
		expect(small).toEqual({
			demand: "plain",
			tasks: 1,
			word: "node-kept-for-larger",
			sentence:
				"1 node has room for it, but is kept for a larger task that waited first (4), which can start at 13:20 UTC at the latest.",
		});
	});

	test("after a restart tasks that a node may still be running say so", () => {
		const core = new Interchange({ queues: [settings("a100")] });
		core.restore({ open: tasksOf(2), finished: [], cancelled: [] }, atMs);
		expect(core.waiting({ queues: [], blocks: [] }, atMs)).toMatchObject([
			{ tasks: 2, word: "block-starting", sentence: expect.stringContaining("may be running it") },
		]);
	});

	test("each demand is told once with the number of its tasks; what runs is not told of", () => {
		const core = new Interchange({ queues: [settings("a100")] });
		core.attach(helloOf({ id: "m", cores: 1, gpus: 0, block: "b" }), atMs, "a100");
		const [runs] = [taskOf()];
		core.accept([runs, ...tasksOf(7), ...tasksOf(2, { memoryBytes: 1 })], atMs);
		core.place(atMs);
		core.started("m", runs.id);
		const view = { queues: [{ name: "a100", keepBlocks: 0 }], blocks: [] };
		const counts = () => core.waiting(view, atMs + 10_000).map(({ demand, tasks }) => [demand, tasks]);
		expect(counts()).toEqual([
			["plain", 7],
			["1,m1", 2],
		]);
		core.results("m", [success(runs.id)], atMs + 10_000);
		core.place(atMs + 10_000);
		expect(counts()).toEqual([
			["plain", 6],
			["1,m1", 2],
		]);
	});

	test("every word that an endpoint says has a case here and a line in the documentation", () => {
		const here = new Set<WaitingWord>([...table.map(([word]) => word), "node-kept-for-larger"]);
		const endpoint = waitingWords.slice(waitingWords.indexOf("no-such-resources"));
		expect(endpoint.filter((word) => !here.has(word))).toEqual([]);
		const page = readFileSync(new URL("../../../docs/placement.md", import.meta.url), "utf8");
		expect(endpoint.filter((word) => !page.includes(`| \`${word}\` `))).toEqual([]);
	});
});
