import type { TaskId } from "@errand/proto";
import type { Resources } from "@errand/proto/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AcceptedTask, DispatchedTask } from "./held-task.ts";
import {
	cancelled,
	died,
	dispatched,
	ended,
	type FakeNode,
	helloOf,
	success,
	taskOf,
	tasksOf,
	type Wish,
} from "./interchange.test-harness.ts";
import { Interchange } from "./interchange.ts";
import type { Reaction } from "./reactions.ts";

const minuteMs = 60_000;

/** An interchange with nodes, what it sent to whom, and time. */
class Bench {
	readonly core = new Interchange();
	nowMs = 0;
	reactions: Reaction[] = [];

	constructor(nodes: FakeNode[]) {
		for (const node of nodes) this.core.attach(helloOf(node), 0);
	}

	place(...tasks: AcceptedTask[]): Map<TaskId, { managerId: string; task: DispatchedTask["task"] }> {
		this.core.accept(tasks, this.nowMs);
		this.core.place(this.nowMs);
		this.reactions = this.core.takeReactions();
		return new Map(
			this.reactions.flatMap((reaction) =>
				reaction.kind === "dispatch"
					? reaction.tasks.map((sent) => [sent.id, { managerId: reaction.managerId, task: sent.task }] as const)
					: [],
			),
		);
	}

	finish(managerId: string, ...tasks: AcceptedTask[]): ReturnType<Bench["place"]> {
		this.core.results(
			managerId,
			tasks.map(({ id }) => success(id)),
			this.nowMs,
		);
		return this.place();
	}
}

const blockOf = (block: string, count: number, node: Omit<FakeNode, "id"> = {}): FakeNode[] =>
	Array.from({ length: count }, (_, i) => ({ id: `${block}-${i}`, host: `${block}-node${i}`, block, ...node }));

describe("HQ-2: what one node has", () => {
	test("parts of one GPU share it, whole ones are not shared, and nothing fits half a device on two", () => {
		const bench = new Bench([{ id: "m", cores: 8, gpus: 2 }]);
		const [half, half2, most, whole] = [
			taskOf({ gpus: 0.5 }),
			taskOf({ gpus: 0.5 }),
			taskOf({ gpus: 0.6 }),
			taskOf({ gpus: 1 }),
		];
		const sent = bench.place(half, half2, most, whole);
		expect([half, half2, most, whole].map(({ id }) => sent.has(id))).toEqual([true, true, true, false]);
		expect(bench.finish("m", most).has(whole.id)).toBe(true);
	});

	test("named resources are counted; an amount in tenths comes out even", () => {
		const bench = new Bench([{ id: "m", cores: 16, named: { licence: 1 } }]);
		const tasks = tasksOf(11, { named: { licence: 0.1 } });
		expect(bench.place(...tasks).size).toBe(10);
		expect(bench.finish("m", tasks[3] as AcceptedTask).size).toBe(1);
		bench.place(taskOf({ named: { licence: 2 } }), taskOf({ named: { fpga: 1 } }));
		expect(ended(bench.reactions).map(({ code }) => code)).toEqual(["RESOURCES_UNAVAILABLE", "RESOURCES_UNAVAILABLE"]);
	});

	test("ranks of one node are as many cores, unless cores are said", () => {
		const bench = new Bench([{ id: "m", cores: 4 }]);
		expect(
			bench.place(taskOf({ ranksPerNode: 3 }), taskOf({ ranksPerNode: 3 }), taskOf({ ranksPerNode: 8, cores: 1 })).size,
		).toBe(2);
	});

	test("the first way to run it that fits now is taken, and the manager is told which", () => {
		const bench = new Bench([{ id: "m", cores: 20, gpus: 1 }]);
		const wish: Wish = { gpus: 1, priority: 3, walltimeMs: 9_000, variants: [{ cores: 16 }] };
		const [fast, slow, waits] = [taskOf(wish), taskOf(wish), taskOf(wish)];
		const sent = bench.place(fast, slow, waits);
		const told = (task: AcceptedTask): Resources | undefined => sent.get(task.id)?.task.resources;
		expect(told(fast)).toMatchObject({ gpus: 1, cores: 0, priority: 3, walltimeMs: 9_000, variants: [] });
		expect(told(slow)).toMatchObject({ gpus: 0, cores: 16, priority: 3, walltimeMs: 9_000, variants: [] });
		expect(told(waits)).toBeUndefined();
		expect(bench.finish("m", fast).get(waits.id)?.task.resources).toMatchObject({ gpus: 1 });
	});

	test("a task is refused only when none of its ways is possible", () => {
		const bench = new Bench([{ id: "m", cores: 4 }]);
		const [possible, not] = [
			taskOf({ gpus: 1, variants: [{ cores: 4 }] }),
			taskOf({ gpus: 1, variants: [{ cores: 5 }] }),
		];
		expect([...bench.place(possible, not).keys()]).toEqual([possible.id]);
		expect(ended(bench.reactions)).toEqual([{ id: not.id, code: "RESOURCES_UNAVAILABLE" }]);
	});
});

test("PAR-6: what cannot end before its node does is not started there; what has not said how long it takes may", () => {
	const bench = new Bench([
		{ id: "short", cores: 4, endsAtMs: 20 * minuteMs },
		{ id: "long", cores: 1, endsAtMs: 60 * minuteMs },
	]);
	const declared = tasksOf(2, { expectedMs: 40 * minuteMs });
	const unknown = taskOf();
	const sent = bench.place(...declared, unknown);
	expect(declared.map(({ id }) => sent.get(id)?.managerId)).toEqual(["long", undefined]);
	expect(sent.get(unknown.id)?.managerId).toBe("short");
	bench.nowMs = 20 * minuteMs;
	expect(bench.place(taskOf()).size).toBe(0);
});

describe("tasks over several nodes", () => {
	test("take whole nodes of one block, their manager is told the hosts, and nobody shares them meanwhile", () => {
		const bench = new Bench([...blockOf("a", 2), ...blockOf("b", 3)]);
		const wide = taskOf({ nodes: 3, ranksPerNode: 2 });
		const small = tasksOf(6);
		const sent = bench.place(wide, ...small);
		expect(sent.get(wide.id)).toMatchObject({ managerId: "b-0", task: { hosts: ["b-node0", "b-node1", "b-node2"] } });
		expect(small.map(({ id }) => sent.get(id)?.managerId?.[0] ?? "waits")).toEqual([
			"a",
			"a",
			"a",
			"a",
			"waits",
			"waits",
		]);
		expect(bench.finish("b-0", wide).size).toBe(2);
	});

	test("nodes of different blocks are not put together, and the tighter block is taken", () => {
		const bench = new Bench([...blockOf("a", 4), ...blockOf("b", 2), ...blockOf("c", 1)]);
		const [two, four, five] = [taskOf({ nodes: 2 }), taskOf({ nodes: 4 }), taskOf({ nodes: 5 })];
		const sent = bench.place(two, four, five);
		expect([two, four, five].map(({ id }) => sent.get(id)?.managerId)).toEqual(["b-0", "a-0", undefined]);
	});

	test("NEW-7: when one of its nodes dies it is stopped, and it is run again only when its manager says that it has ended", () => {
		const bench = new Bench(blockOf("a", 2));
		const wide = taskOf({ nodes: 2 });
		bench.place(wide);
		bench.core.started("a-0", wide.id);
		bench.core.attach(helloOf({ id: "b-0", block: "b" }), 0);
		bench.core.attach(helloOf({ id: "b-1", block: "b" }), 0);
		bench.core.lose("a-1", "its node died", 1);
		expect(bench.place().size).toBe(0);
		expect(bench.reactions).toContainEqual({ kind: "cancel", managerId: "a-0", taskIds: [wide.id], graceMs: 0 });
		bench.core.results("a-0", [died(wide.id)], 2);
		expect(bench.place().get(wide.id)?.managerId).toBe("b-0");
		expect(bench.reactions).toContainEqual({ kind: "lost", id: wide.id, losses: { all: 1, whileRunning: 1 } });
		expect(ended(bench.reactions)).toEqual([]);
	});

	test("when its whole block ends it is lost once", () => {
		const bench = new Bench([...blockOf("a", 3), ...blockOf("b", 3)]);
		const wide = taskOf({ nodes: 3 });
		bench.place(wide);
		bench.core.started("a-0", wide.id);
		bench.core.loseBlock("a", "the walltime was reached", 1);
		expect(bench.place().get(wide.id)?.managerId).toBe("b-0");
		expect(bench.reactions.filter(({ kind }) => kind === "lost")).toHaveLength(1);
	});

	test("a node that it runs over is told to drain only when it has ended", () => {
		const bench = new Bench(blockOf("a", 2));
		const wide = taskOf({ nodes: 2 });
		bench.place(wide);
		bench.core.drainBlock("a", "idle");
		const drained = () =>
			bench.reactions.flatMap((reaction) => (reaction.kind === "drain" ? [reaction.managerId] : []));
		bench.place();
		expect(drained()).toEqual(["a-0"]);
		bench.finish("a-0", wide);
		expect(drained()).toEqual(["a-1"]);
	});

	test("NEW-7: after a restart of the daemon its nodes are its own again, in whatever order their managers come", () => {
		const wide = taskOf({ nodes: 2 });
		const core = new Interchange();
		core.restore({ open: [wide], finished: [], cancelled: [] }, 0);
		core.attach(helloOf({ id: "a-1", block: "a" }), 1);
		core.accept(tasksOf(3), 1);
		core.place(1);
		core.attach(helloOf({ id: "a-0", block: "a", held: [wide.id] }), 2);
		core.settle(3);
		core.place(3);
		expect(dispatched(core.takeReactions())).toEqual([]);
		core.results("a-0", [success(wide.id)], 4);
		core.place(4);
		expect(dispatched(core.takeReactions())).toHaveLength(3);
	});

	test("NEW-7: what a manager says of how and where it was told to run its tasks holds after a restart", () => {
		const [wide, other] = [taskOf({ nodes: 2 }), taskOf({ nodes: 2 })];
		const either = taskOf({ gpus: 1, variants: [{ cores: 3 }] });
		const core = new Interchange();
		core.restore({ open: [wide, other, either], finished: [], cancelled: [] }, 0);
		const hosts = (from: number, to: number) => ({ wish: { nodes: 2 }, hosts: [`h${from}`, `h${to}`] });
		const attach = (at: number, more: Partial<FakeNode> = {}) =>
			core.attach(helloOf({ id: `a-${at}`, host: `h${at}`, block: "a", cores: 4, ...more }), 1);
		attach(1);
		attach(2);
		attach(0, { held: [wide.id], holdings: [{ id: wide.id, ...hosts(0, 2) }] });
		attach(3, { held: [other.id], holdings: [{ id: other.id, ...hosts(3, 1) }] });
		core.attach(
			helloOf({ id: "m", cores: 4, held: [either.id], holdings: [{ id: either.id, wish: { cores: 3 } }] }),
			1,
		);
		core.settle(1);
		core.results("a-3", [success(other.id)], 2);
		core.accept(tasksOf(10, { cores: 2 }), 2);
		core.place(2);
		const sent = dispatched(core.takeReactions()).map(({ managerId }) => managerId);
		expect(sent.sort()).toEqual(["a-1", "a-1", "a-3", "a-3"]);
	});

	test("are not starved by a stream of small ones", () => {
		const bench = new Bench(blockOf("a", 3, { cores: 2 }));
		const running: { id: TaskId; managerId: string }[] = [];
		const note = (sent: ReturnType<Bench["place"]>) => {
			for (const [id, { managerId }] of sent) running.push({ id, managerId });
			return sent;
		};
		note(bench.place(...tasksOf(6)));
		const wide = taskOf({ nodes: 3 });
		note(bench.place(wide));
		let startedMs: number | undefined;
		while (startedMs === undefined && bench.nowMs < 60_000) {
			bench.nowMs += 1000;
			const first = running.shift();
			if (first) bench.core.results(first.managerId, [success(first.id, 5000)], bench.nowMs);
			if (note(bench.place(...tasksOf(2))).has(wide.id)) startedMs = bench.nowMs;
		}
		expect(startedMs).toBeLessThanOrEqual(20_000);
	});

	test("while nodes are kept for one, what ends before it can start still runs there", () => {
		const bench = new Bench(blockOf("a", 2, { cores: 2 }));
		const long = taskOf({ cores: 2, expectedMs: 10 * minuteMs });
		const busy = bench.place(long).get(long.id)?.managerId as string;
		const wide = taskOf({ nodes: 2 });
		bench.place(wide);
		bench.nowMs = 30_000;
		bench.place();
		const [brief, lengthy, unknown] = [
			taskOf({ expectedMs: 5 * minuteMs }),
			taskOf({ expectedMs: 15 * minuteMs }),
			taskOf(),
		];
		expect([...bench.place(brief, lengthy, unknown).keys()]).toEqual([brief.id]);
		bench.nowMs = 6 * minuteMs;
		bench.finish(busy === "a-0" ? "a-1" : "a-0", brief);
		bench.nowMs = 10 * minuteMs;
		expect([...bench.finish(busy, long).keys()]).toEqual([wide.id]);
	});
});

test("HQ-2: whatever is asked, no node gives more than it has and no index twice, tasks over several nodes have them alone, and everything ends", () => {
	const shape = { cores: 4, workers: 4, gpus: 2, memoryBytes: 8, named: { licence: 2 } };
	const nodes = [...blockOf("a", 3, shape), ...blockOf("b", 2, shape), ...blockOf("c", 1, shape)];
	const way = fc.record({
		cores: fc.integer({ min: 0, max: 4 }),
		gpus: fc.constantFrom(0, 0, 0.25, 0.5, 0.7, 1, 2),
		memoryBytes: fc.integer({ min: 0, max: 8 }),
		nodes: fc.constantFrom(0, 0, 0, 1, 2, 3),
		ranksPerNode: fc.constantFrom(0, 0, 2),
		licence: fc.constantFrom(0, 0, 0.5, 1, 2),
	});
	const wishOf = ({ licence, ...rest }: { licence: number }): Wish => ({
		...rest,
		named: licence > 0 ? { licence } : {},
	});
	const task = fc
		.record({
			ways: fc.array(way, { minLength: 1, maxLength: 3 }),
			priority: fc.integer({ min: -1, max: 1 }),
			expectedMs: fc.constantFrom(0, 0, 1_000, 50_000),
		})
		.map(({ ways, ...rest }): Wish => {
			const [first, ...variants] = ways.map(wishOf);
			return { ...first, ...rest, variants };
		});
	const step = fc.oneof(
		{ weight: 3, arbitrary: task.map((wish) => ({ wish })) },
		{ weight: 1, arbitrary: fc.constant({ wish: {} as Wish }) },
		{ weight: 3, arbitrary: fc.record({ finish: fc.nat() }) },
	);
	fc.assert(
		fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
			const bench = new Bench(nodes);
			const running = new Map<TaskId, { managerId: string; task: DispatchedTask["task"] }>();
			let accepted = 0;
			let finished = 0;
			const check = () => {
				for (const node of nodes) {
					const here = [...running.values()].filter(
						(one) => one.managerId === node.id || one.task.hosts.includes(node.host as string),
					);
					const whole = here.filter((one) => (one.task.resources?.nodes ?? 0) > 1);
					if (whole.length > 0) expect(here).toHaveLength(1);
					const asked = here.map((one) => one.task.resources as Resources);
					const plain = (r: Resources) =>
						Math.max(r.cores, r.ranksPerNode) <= 1 && r.gpus + r.memoryBytes + r.named.length === 0;
					const rest = asked.filter((r) => r.nodes <= 1 && !plain(r));
					const sum = (of: (r: Resources) => number) => rest.reduce((total, r) => total + of(r), 0);
					expect(sum((r) => (r.cores > 0 ? r.cores : Math.max(1, r.ranksPerNode)))).toBeLessThanOrEqual(4);
					expect(sum((r) => r.memoryBytes)).toBeLessThanOrEqual(8);
					expect(sum((r) => r.gpus)).toBeLessThanOrEqual(2);
					expect(sum((r) => (r.gpus > 0.5 ? 1 : 0))).toBeLessThanOrEqual(2);
					expect(sum((r) => r.named[0]?.amount ?? 0)).toBeLessThanOrEqual(2);
					expect(rest.length).toBeLessThanOrEqual(4);
				}
			};
			const place = (...tasks: AcceptedTask[]) => {
				for (const [id, sent] of bench.place(...tasks)) {
					expect(running.has(id)).toBe(false);
					running.set(id, sent);
				}
				expect(ended(bench.reactions).every(({ code }) => code === "ok")).toBe(true);
				check();
			};
			const finish = (at: number) => {
				const [id, { managerId }] = [...running][at % running.size] as [TaskId, { managerId: string }];
				running.delete(id);
				finished++;
				bench.core.results(managerId, [success(id, 5_000)], bench.nowMs);
				place();
			};
			for (const action of steps) {
				bench.nowMs += 3_000;
				if ("wish" in action) {
					accepted++;
					place(taskOf(action.wish));
				} else if (running.size > 0) finish(action.finish);
			}
			while (running.size > 0) {
				bench.nowMs += 3_000;
				finish(0);
			}
			expect(finished).toBe(accepted);
			expect(bench.core.empty).toBe(true);
		}),
		{ numRuns: 200 },
	);
});

test("NEW-7: whatever dies or goes away, a task over several nodes is run by one manager at a time, and everything ends once", () => {
	const step = fc.oneof(
		{ weight: 3, arbitrary: fc.record({ accept: fc.integer({ min: 1, max: 3 }) }) },
		{ weight: 4, arbitrary: fc.record({ finish: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ lose: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ detach: fc.nat() }) },
		{ weight: 2, arbitrary: fc.record({ attach: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ cancel: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ drain: fc.nat() }) },
	);
	interface Living {
		readonly node: FakeNode;
		attached: boolean;
		readonly held: Set<TaskId>;
	}
	fc.assert(
		fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
			const bench = new Bench([]);
			const living = new Map<string, Living>();
			const all: AcceptedTask[] = [];
			const endings = new Map<TaskId, number>();
			let made = 0;
			const attach = (one: Living) => {
				one.attached = true;
				const hello = helloOf({ ...one.node, held: [...one.held] });
				for (const unwanted of bench.core.attach(hello, bench.nowMs)) one.held.delete(unwanted);
			};
			const makeBlock = () => {
				for (const node of blockOf(`b${made++}`, 3)) {
					const one: Living = { node, attached: false, held: new Set() };
					living.set(node.id, one);
					attach(one);
				}
			};
			const act = (...tasks: AcceptedTask[]) => {
				all.push(...tasks);
				for (const [id, { managerId }] of bench.place(...tasks)) {
					for (const one of living.values()) expect(one.held.has(id)).toBe(false);
					expect(living.get(managerId)?.attached).toBe(true);
					living.get(managerId)?.held.add(id);
				}
				for (const { id } of ended(bench.reactions)) endings.set(id, (endings.get(id) ?? 0) + 1);
				for (const reaction of bench.reactions) {
					const one = reaction.kind === "cancel" ? living.get(reaction.managerId) : undefined;
					if (reaction.kind !== "cancel" || !one?.attached) continue;
					const stopped = reaction.taskIds.filter((id) => one.held.delete(id));
					bench.core.results(reaction.managerId, stopped.map(cancelled), bench.nowMs);
					if (stopped.length > 0) act();
				}
			};
			const choose = <T>(from: readonly T[], at: number): T | undefined => from[at % Math.max(1, from.length)];
			const finish = (at: number) => {
				const one = choose(
					[...living.values()].filter(({ attached, held }) => attached && held.size > 0),
					at,
				);
				const [id] = one?.held ?? [];
				if (!one || id === undefined) return;
				one.held.delete(id);
				bench.core.results(one.node.id, [success(id, 5_000)], bench.nowMs);
				act();
			};
			makeBlock();
			makeBlock();
			for (const action of steps) {
				bench.nowMs += 2_000;
				const [name, at] = Object.entries(action)[0] as [string, number];
				const one = choose([...living.values()], at);
				if (name === "accept") act(taskOf({ nodes: at }));
				else if (name === "finish") finish(at);
				else if (name === "cancel") bench.core.cancel([choose(all, at)?.id ?? ("none" as TaskId)], 0, bench.nowMs);
				else if (!one) continue;
				else if (name === "lose") {
					living.delete(one.node.id);
					bench.core.lose(one.node.id, "its node died", bench.nowMs);
				} else if (name === "detach") {
					one.attached = false;
					bench.core.detach(one.node.id, bench.nowMs);
				} else if (name === "attach") attach(one);
				else bench.core.drainBlock(one.node.block as string, "idle");
				act();
			}
			makeBlock();
			for (const one of living.values()) if (!one.attached) attach(one);
			for (let round = 0; round < 1_000 && !bench.core.empty; round++) {
				bench.nowMs += 2_000;
				act();
				finish(0);
			}
			expect(bench.core.empty).toBe(true);
			expect([...endings.values()].every((times) => times === 1)).toBe(true);
		}),
		{ numRuns: 150 },
	);
});
