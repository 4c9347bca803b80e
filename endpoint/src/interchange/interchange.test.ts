import { type FunctionId, idToBytes, newId, type TaskId } from "@errand/proto";
import { create, type Resources, ResultSchema } from "@errand/proto/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AcceptedTask } from "./held-task.ts";
import { died, dispatched, ended, type FakeNode, helloOf, success, taskOf } from "./interchange.test-harness.ts";
import { Interchange, type InterchangeOptions } from "./interchange.ts";

function begin(nodes: FakeNode[], tasks: AcceptedTask[], options: Partial<InterchangeOptions> = {}) {
	const core = new Interchange(options);
	for (const node of nodes) core.attach(helloOf(node), 0);
	core.accept(tasks, 0);
	core.place(0);
	const reactions = core.takeReactions();
	return { core, sent: dispatched(reactions), reactions };
}

describe("GC-9: a list of allowed functions", () => {
	test("a task of another function is never handed out, and ends with words for who submitted it", () => {
		const allowed = taskOf();
		const other = { ...taskOf(), functionId: newId<FunctionId>() };
		const allowedFunctions = new Set([allowed.functionId]);
		const { core, sent, reactions } = begin([{ id: "m", cores: 4 }], [other, allowed], { allowedFunctions });
		expect(sent.map(({ id }) => id)).toEqual([allowed.id]);
		expect(ended(reactions)).toEqual([{ id: other.id, code: "FUNCTION_NOT_PERMITTED" }]);
		expect(core.holds(other.id)).toBe(false);
	});

	test("a list that became shorter holds for what an earlier daemon took", () => {
		const task = taskOf();
		const core = new Interchange({ allowedFunctions: new Set() });
		core.restore({ open: [task], finished: [], cancelled: [] }, 0);
		core.settle(0);
		expect(ended(core.takeReactions()).map(({ id }) => id)).toEqual([task.id]);
	});
});

describe("placement", () => {
	test("a task of higher priority goes first, equals go in order of arrival", () => {
		const tasks = [taskOf({ priority: 0 }), taskOf({ priority: 0 }), taskOf({ priority: 5 }), taskOf({ priority: 5 })];
		const { core, sent } = begin([{ id: "m", cores: 1 }], tasks);
		const order = sent.map((s) => s.id);
		while (order.length < 4) {
			core.results("m", [success(order.at(-1) as TaskId)], 1);
			core.place(1);
			order.push(...dispatched(core.takeReactions()).map((s) => s.id));
		}
		expect(order).toEqual([tasks[2], tasks[3], tasks[0], tasks[1]].map((t) => t?.id));
	});

	test("HQ-2: tasks are packed by cores, memory and GPUs; what does not fit waits", () => {
		const node = { id: "m", cores: 8, workers: 8, gpus: 2, memoryBytes: 16e9 };
		const tasks = [
			taskOf({ gpus: 1, cores: 2 }),
			taskOf({ gpus: 1 }),
			taskOf({ gpus: 1 }),
			taskOf({ memoryBytes: 12e9 }),
			taskOf({ memoryBytes: 6e9 }),
		];
		const { core, sent } = begin([node], tasks);
		expect(sent.map((s) => s.id)).toEqual([tasks[0]?.id, tasks[1]?.id, tasks[3]?.id]);
		core.results("m", [success(tasks[0]?.id as TaskId)], 1);
		core.place(1);
		expect(dispatched(core.takeReactions()).map((s) => s.id)).toEqual([tasks[2]?.id]);
	});

	test("HQ-2: a task that no node could ever run fails at once and says what there is", () => {
		const { reactions } = begin(
			[{ id: "m", cores: 4 }],
			[taskOf({ gpus: 1 }), taskOf({ cores: 5 }), taskOf({ cores: 4 })],
		);
		expect(ended(reactions).map((e) => e.code)).toEqual(["RESOURCES_UNAVAILABLE", "RESOURCES_UNAVAILABLE"]);
		expect(dispatched(reactions)).toHaveLength(1);
	});

	test("short tasks wait at the manager so that its workers never do; long ones do not", () => {
		const tasks = Array.from({ length: 100 }, () => taskOf());
		const { core, sent } = begin([{ id: "m", cores: 2 }], tasks);
		expect(sent).toHaveLength(2);
		core.results("m", [success(sent[0]?.id as TaskId, 0.1)], 1);
		core.place(1);
		const more = dispatched(core.takeReactions());
		expect(more.length).toBe(98);
		const long = begin(
			[{ id: "m", cores: 2 }],
			Array.from({ length: 10 }, () => taskOf()),
		);
		long.core.results("m", [success(long.sent[0]?.id as TaskId, 5000), success(long.sent[1]?.id as TaskId, 5000)], 1);
		long.core.place(1);
		expect(dispatched(long.core.takeReactions())).toHaveLength(2);
	});

	test("a large task is not starved by a stream of small ones", () => {
		const large = taskOf({ cores: 4 });
		const { core, sent } = begin([{ id: "m", cores: 4 }], [...Array.from({ length: 4 }, () => taskOf()), large]);
		const running = sent.map((s) => s.id);
		for (let now = 1000; now <= 60_000 && core.stateOf(large.id) !== "waiting-for-launch"; now += 1000) {
			core.accept([taskOf()], now);
			const first = running.shift();
			if (first) core.results("m", [success(first, 4000)], now);
			core.place(now);
			running.push(...dispatched(core.takeReactions()).map((s) => s.id));
		}
		expect(core.stateOf(large.id)).toBe("waiting-for-launch");
	});
});

describe("cancel", () => {
	test("GC-7: a waiting task ends at once, a dispatched one is asked of its manager, one not seen ends when it comes", () => {
		const [first, second, later] = [taskOf(), taskOf(), taskOf()];
		const { core } = begin([{ id: "m", cores: 1 }], [first, second]);
		core.cancel([first.id, second.id, later.id], 50, 1);
		const reactions = core.takeReactions();
		expect(ended(reactions)).toEqual([{ id: second.id, code: "CANCELLED" }]);
		expect(reactions).toContainEqual({ kind: "cancel", managerId: "m", taskIds: [first.id], graceMs: 50 });
		core.accept([later], 2);
		expect(ended(core.takeReactions())).toEqual([{ id: later.id, code: "CANCELLED" }]);
	});

	test("NEW-5: a task cancelled while its manager is away is cancelled when it comes back, or when it is given up", () => {
		const [back, gone] = [taskOf(), taskOf()];
		const { core, sent } = begin(
			[
				{ id: "a", cores: 1 },
				{ id: "b", cores: 1 },
			],
			[back, gone],
		);
		const at = (id: TaskId) => sent.find((s) => s.id === id)?.managerId as string;
		core.detach("a", 1);
		core.detach("b", 1);
		core.cancel([back.id, gone.id], 10, 2);
		expect(core.takeReactions()).toEqual([]);
		core.attach(helloOf({ id: at(back.id), held: [back.id] }), 3);
		expect(core.takeReactions()).toEqual([{ kind: "cancel", managerId: at(back.id), taskIds: [back.id], graceMs: 10 }]);
		core.lose(at(gone.id), "its process is gone", 4);
		expect(ended(core.takeReactions())).toEqual([{ id: gone.id, code: "CANCELLED" }]);
	});
});

describe("loss", () => {
	test("HQ-13: what a silent manager runs stays with it, and its results count when it comes back", () => {
		const task = taskOf();
		const { core } = begin(
			[
				{ id: "m", cores: 1 },
				{ id: "n", cores: 1 },
			],
			[task],
		);
		core.detach("m", 1);
		core.tick(500_000);
		core.place(500_000);
		expect(core.takeReactions()).toEqual([]);
		expect(core.attach(helloOf({ id: "m", unacknowledged: [task.id] }), 500_001)).toEqual([]);
		core.results("m", [success(task.id)], 500_002);
		expect(ended(core.takeReactions())).toEqual([{ id: task.id, code: "ok" }]);
	});

	test("NEW-7: a manager that was given up and comes back is told to kill what runs elsewhere", () => {
		const task = taskOf();
		const { core } = begin([{ id: "m", cores: 1 }], [task]);
		core.detach("m", 1);
		core.tick(700_000);
		core.attach(helloOf({ id: "n", cores: 1 }), 700_001);
		core.place(700_001);
		expect(dispatched(core.takeReactions())).toEqual([{ managerId: "n", id: task.id }]);
		expect(core.attach(helloOf({ id: "m", cores: 1, held: [task.id] }), 700_002)).toEqual([task.id]);
	});

	test("a task that never reached its manager is sent again and counts as no loss", () => {
		const task = taskOf();
		const { core } = begin([{ id: "m", cores: 1 }], [task], { lossLimit: 0 });
		core.detach("m", 1);
		core.attach(helloOf({ id: "m", cores: 1 }), 2);
		core.place(2);
		expect(dispatched(core.takeReactions())).toEqual([{ managerId: "m", id: task.id }]);
	});

	test("HQ-8: a task whose worker dies each time is failed as poison after its budget, with the last reason", () => {
		const task = taskOf();
		const { core, reactions } = begin([{ id: "m", cores: 1 }], [task], { lossLimit: 3 });
		let last = reactions;
		for (let tries = 0; tries < 3; tries++) {
			expect(dispatched(last)).toHaveLength(1);
			core.results("m", [died(task.id)], 1);
			core.place(1);
			last = core.takeReactions();
			expect(ended(last)).toEqual([]);
		}
		core.results("m", [died(task.id)], 1);
		expect(ended(core.takeReactions())).toEqual([{ id: task.id, code: "POISON" }]);
	});

	test("HQ-8: losses that an earlier daemon counted are told at once and count on", () => {
		const task = taskOf();
		const { core } = begin([{ id: "m", cores: 1 }], [task], { lossLimit: 2 });
		core.results("m", [died(task.id)], 1);
		const [told] = core.takeReactions().filter((reaction) => reaction.kind === "lost");
		expect(told).toEqual({ kind: "lost", id: task.id, losses: { all: 1, whileRunning: 1 } });
		const next = new Interchange({ lossLimit: 2 });
		next.restore({ open: [{ ...task, losses: { all: 2, whileRunning: 2 } }], finished: [], cancelled: [] }, 2);
		next.attach(helloOf({ id: "m", cores: 1 }), 2);
		next.settle(2);
		next.place(2);
		next.takeReactions();
		next.results("m", [died(task.id)], 3);
		expect(ended(next.takeReactions())).toEqual([{ id: task.id, code: "POISON" }]);
	});

	test("a result that is not the end is forgotten by its manager before the task is sent again", () => {
		const task = taskOf();
		const { core } = begin([{ id: "m", cores: 1 }], [task]);
		core.results("m", [died(task.id)], 1);
		core.place(1);
		const kinds = core.takeReactions().map((reaction) => reaction.kind);
		expect(kinds.indexOf("forget")).toBeGreaterThanOrEqual(0);
		expect(kinds.indexOf("forget")).toBeLessThan(kinds.indexOf("dispatch"));
	});

	test("HQ-8: a task that only waited at a manager that died is not to blame; one that ran is", () => {
		const [ran, waited] = [taskOf(), taskOf()];
		const { core } = begin([{ id: "m", cores: 2 }], [ran, waited], { lossLimit: 0 });
		core.started("m", ran.id);
		core.lose("m", "its process is gone", 1);
		expect(ended(core.takeReactions())).toEqual([{ id: ran.id, code: "LOST" }]);
		expect(core.stateOf(waited.id)).toBe("waiting-for-nodes");
	});

	test("a function that ends its own worker is failed at once", () => {
		const task = taskOf();
		const { core } = begin([{ id: "m", cores: 1 }], [task]);
		core.results("m", [died(task.id, "SIGSEGV")], 1);
		expect(ended(core.takeReactions())).toEqual([{ id: task.id, code: "WORKER_EXITED" }]);
	});
});

describe("restart", () => {
	test("NEW-7: restored tasks wait for the managers that may run them; what nobody claims is run", () => {
		const [claimed, unclaimed, done, cancelled] = [taskOf(), taskOf(), taskOf(), taskOf()];
		const core = new Interchange();
		core.restore(
			{ open: [claimed, unclaimed, done, cancelled], finished: [[done.id, 0]], cancelled: [[cancelled.id, 0]] },
			0,
		);
		core.attach(helloOf({ id: "m", held: [claimed.id] }), 1);
		core.accept([claimed, unclaimed, done], 1);
		core.place(1);
		expect(core.takeReactions()).toEqual([]);
		core.settle(2);
		core.place(2);
		const reactions = core.takeReactions();
		expect(dispatched(reactions)).toEqual([{ managerId: "m", id: unclaimed.id }]);
		expect(ended(reactions)).toEqual([{ id: cancelled.id, code: "CANCELLED" }]);
	});
});

test("NEW-7, HQ-2: whatever happens, no resource is used twice, each task ends once, and every task ends", () => {
	const shapes = [
		{ cores: 4, workers: 4, gpus: 2, memoryBytes: 8 },
		{ cores: 2, workers: 3, gpus: 0, memoryBytes: 4 },
	];
	const step = fc.oneof(
		{
			weight: 4,
			arbitrary: fc.record({
				do: fc.constant("accept" as const),
				cores: fc.integer({ min: 0, max: 4 }),
				gpus: fc.integer({ min: 0, max: 2 }),
				memoryBytes: fc.integer({ min: 0, max: 8 }),
				priority: fc.integer({ min: -1, max: 1 }),
			}),
		},
		{
			weight: 3,
			arbitrary: fc.record({ do: fc.constant("accept-plain" as const), count: fc.integer({ min: 1, max: 5 }) }),
		},
		{
			weight: 6,
			arbitrary: fc.record({
				do: fc.constant("finish" as const),
				pick: fc.nat(),
				tookMs: fc.constantFrom(0.1, 50, 5000),
			}),
		},
		{ weight: 1, arbitrary: fc.record({ do: fc.constant("worker-dies" as const), pick: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), pick: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ do: fc.constant("detach" as const), pick: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const), pick: fc.nat() }) },
		{ weight: 2, arbitrary: fc.record({ do: fc.constant("attach" as const), pick: fc.nat() }) },
		{ weight: 1, arbitrary: fc.record({ do: fc.constant("deliver-twice" as const), pick: fc.nat() }) },
	);
	fc.assert(
		fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
			const core = new Interchange();
			interface World {
				shape: (typeof shapes)[number];
				attached: boolean;
				dead: boolean;
				held: Map<TaskId, AcceptedTask>;
			}
			const world = new Map<string, World>();
			const all = new Map<TaskId, AcceptedTask>();
			const endings = new Map<TaskId, number>();
			let now = 0;
			let made = 0;
			const attach = (id: string) => {
				const node = world.get(id) as World;
				node.attached = true;
				for (const unwanted of core.attach(helloOf({ id, ...node.shape, held: [...node.held.keys()] }), now))
					node.held.delete(unwanted);
			};
			const make = () => {
				const id = `m${made++}`;
				world.set(id, {
					shape: shapes[made % 2] as (typeof shapes)[number],
					attached: true,
					dead: false,
					held: new Map(),
				});
				attach(id);
			};
			const settle = () => {
				core.place(now);
				for (const reaction of core.takeReactions()) {
					if (reaction.kind === "dispatch") {
						const node = world.get(reaction.managerId) as World;
						expect(node.attached).toBe(true);
						for (const { id } of reaction.tasks) {
							for (const other of world.values()) if (!other.dead) expect(other.held.has(id)).toBe(false);
							node.held.set(id, all.get(id) as AcceptedTask);
						}
						const large = [...node.held.values()]
							.map((t) => t.task.resources as Resources)
							.filter((r) => r.cores > 1 || r.gpus > 0 || r.memoryBytes > 0);
						const sum = (pick: (r: Resources) => number) => large.reduce((total, r) => total + pick(r), 0);
						expect(sum((r) => Math.max(1, r.cores))).toBeLessThanOrEqual(
							Math.max(node.shape.cores, node.shape.workers),
						);
						expect(sum((r) => r.gpus)).toBeLessThanOrEqual(node.shape.gpus);
						expect(sum((r) => r.memoryBytes)).toBeLessThanOrEqual(node.shape.memoryBytes);
						expect(large.length).toBeLessThanOrEqual(node.shape.workers);
					} else if (reaction.kind === "result") {
						endings.set(reaction.id, (endings.get(reaction.id) ?? 0) + 1);
						expect(endings.get(reaction.id)).toBe(1);
					} else if (reaction.kind === "cancel") {
						const node = world.get(reaction.managerId) as World;
						for (const id of reaction.taskIds)
							if (node.held.delete(id))
								core.results(
									reaction.managerId,
									[
										create(ResultSchema, {
											taskId: idToBytes(id),
											cancelled: true,
											outcome: { case: "failure", value: { code: "CANCELLED" } },
										}),
									],
									now,
								);
					}
				}
			};
			const choose = <T>(from: T[], pick: number): T | undefined => from[pick % from.length];
			const add = (task: AcceptedTask) => {
				all.set(task.id, task);
				core.accept([task], now);
			};
			make();
			make();
			for (const action of steps) {
				now += 100;
				const live = [...world].filter(([, node]) => !node.dead);
				const holding = live.flatMap(([id, node]) => [...node.held.keys()].map((task) => ({ id, node, task })));
				switch (action.do) {
					case "accept":
						add(
							taskOf({
								cores: action.cores,
								gpus: action.gpus,
								memoryBytes: action.memoryBytes,
								priority: action.priority,
							}),
						);
						break;
					case "accept-plain":
						for (let i = 0; i < action.count; i++) add(taskOf());
						break;
					case "finish":
					case "worker-dies": {
						const one = choose(
							holding.filter((h) => h.node.attached),
							action.pick,
						);
						if (!one) break;
						one.node.held.delete(one.task);
						core.results(one.id, [action.do === "finish" ? success(one.task, action.tookMs) : died(one.task)], now);
						break;
					}
					case "cancel": {
						const id = choose([...all.keys()], action.pick);
						if (id) core.cancel([id], 0, now);
						break;
					}
					case "detach": {
						const one = choose(live, action.pick);
						if (!one) break;
						one[1].attached = false;
						core.detach(one[0], now);
						break;
					}
					case "lose": {
						const one = choose(live, action.pick);
						if (!one) break;
						one[1].dead = true;
						one[1].attached = false;
						core.lose(one[0], "died", now);
						make();
						break;
					}
					case "attach": {
						const one = choose(
							live.filter(([, node]) => !node.attached),
							action.pick,
						);
						if (one) attach(one[0]);
						break;
					}
					case "deliver-twice": {
						const task = choose([...all.values()], action.pick);
						if (task) core.accept([task], now);
						break;
					}
				}
				settle();
			}
			make();
			make();
			for (const [id, node] of world) if (!node.attached && !node.dead) attach(id);
			for (let round = 0; round < 1000 && !core.empty; round++) {
				now += 100;
				settle();
				for (const [id, node] of world) {
					for (const task of [...node.held.keys()]) {
						node.held.delete(task);
						core.results(id, [success(task)], now);
					}
				}
			}
			settle();
			expect(core.empty).toBe(true);
			expect(endings.size).toBe(all.size);
		}),
		{ numRuns: 150 },
	);
});

test("HQ-1: 100,000 tasks on 1,000 nodes are each placed once, never more than a node has room for, and all end", () => {
	const core = new Interchange();
	for (let node = 0; node < 1_000; node++) core.attach(helloOf({ id: `m${node}`, cores: 4 }), 0);
	const tasks = Array.from({ length: 100_000 }, () => taskOf());
	core.accept(tasks, 0);
	const placed = new Set<TaskId>();
	const held = new Map<string, number>();
	for (let now = 0; !core.empty; now++) {
		core.place(now);
		const sent = dispatched(core.takeReactions());
		expect(sent.length).toBeGreaterThan(0);
		for (const { managerId, id } of sent) {
			placed.add(id);
			held.set(managerId, (held.get(managerId) ?? 0) + 1);
		}
		expect(Math.max(...held.values())).toBeLessThanOrEqual(4);
		// Each took long enough that none is handed over ahead of a worker.
		for (const { managerId, id } of sent) core.results(managerId, [success(id, 5_000)], now);
		held.clear();
	}
	expect(placed.size).toBe(tasks.length);
});
