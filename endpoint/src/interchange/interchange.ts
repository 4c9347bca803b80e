/**
 * The core of the endpoint: which task is where, and what happens next. State in, reactions out: it has no socket,
 * clock or file, and every time is given to it. One task is in one place, and ends once.
 */
import { cancelGraceMs as defaultGraceMs, idFromBytes, lossLimit, type TaskId } from "@errand/proto";
import type { Hello, Result } from "@errand/proto/wire";
import { couldEverRun, type NodeShape } from "./demand.ts";
import { Durations } from "./durations.ts";
import { cancelledResult, isLoss, lostResult, unavailableResult } from "./failures.ts";
import { type AcceptedTask, finished, type HeldTask, holdTask, queued, unsettled } from "./held-task.ts";
import { attached, type ManagerRecord, occupy, recordManager, release } from "./manager-record.ts";
import { placeAll } from "./placement.ts";
import type { Reaction } from "./reactions.ts";
import { RememberedIds } from "./remembered-ids.ts";
import { DemandQueue } from "./task-queue.ts";

export interface InterchangeOptions {
	/** How often a task is run again after the machine under it died. */
	readonly lossLimit: number;
	/** A manager that has been silent for this long is given up and its tasks are run elsewhere. */
	readonly silenceLimitMs: number;
	/** How many ids of finished tasks, and of tasks cancelled before they came, are remembered … */
	readonly rememberedTasks: number;
	/** … and for how long. */
	readonly rememberedMs: number;
}

export const interchangeDefaults: InterchangeOptions = {
	lossLimit,
	silenceLimitMs: 600_000,
	rememberedTasks: 200_000,
	rememberedMs: 24 * 3600 * 1000,
};

/**
 * A task that only waited at a manager when it died is not to blame. But a task may kill its node before anyone can say
 * that it runs: so many of these count as one loss.
 */
const waitingLossesPerLoss = 4;

/** What a heartbeat and the scaling ask. */
export interface InterchangeCounts {
	waiting: number;
	held: number;
	managers: number;
	workers: number;
	idleWorkers: number;
	cores: number;
}

export class Interchange {
	readonly #options: InterchangeOptions;
	readonly #tasks = new Map<TaskId, HeldTask>();
	readonly #queues = new Map<string, DemandQueue>();
	/** Unfinished tasks of each demand: what scaling counts. */
	readonly #open = new Map<string, { readonly task: HeldTask; count: number }>();
	readonly #managers = new Map<string, ManagerRecord>();
	readonly #shapes = new Map<string, NodeShape>();
	readonly #durations = new Durations();
	readonly #finished: RememberedIds<TaskId>;
	/** Cancelled before they came: the command may overtake the task. */
	readonly #cancelledAhead: RememberedIds<TaskId>;
	readonly #unsettled = new Set<HeldTask>();
	#sequence = 0;
	#waiting = 0;
	#reactions: Reaction[] = [];

	constructor(options: Partial<InterchangeOptions> = {}) {
		this.#options = { ...interchangeDefaults, ...options };
		this.#finished = new RememberedIds(this.#options.rememberedTasks, this.#options.rememberedMs);
		this.#cancelledAhead = new RememberedIds(this.#options.rememberedTasks, this.#options.rememberedMs);
	}

	/** What there is to do since the last call, in order. */
	takeReactions(): Reaction[] {
		const reactions = this.#reactions;
		this.#reactions = [];
		return reactions;
	}

	/** At start: what the journal knows. Open tasks wait until {@link settle}, for a manager may be running them. */
	restore(
		known: {
			open: Iterable<AcceptedTask>;
			finished: Iterable<[TaskId, number]>;
			cancelled: Iterable<[TaskId, number]>;
		},
		nowMs: number,
	): void {
		for (const [id, atMs] of known.finished) this.#finished.add(id, atMs);
		for (const [id, atMs] of known.cancelled) this.#cancelledAhead.add(id, atMs);
		for (const accepted of known.open) {
			if (this.#tasks.has(accepted.id) || this.#finished.has(accepted.id)) continue;
			const task = this.#hold(accepted, nowMs);
			if (this.#cancelledAhead.delete(accepted.id)) task.cancelGraceMs = defaultGraceMs;
			this.#unsettled.add(task);
		}
	}

	/** Nobody who may be running a restored task is expected any more: what is left of them is queued. */
	settle(nowMs: number): void {
		for (const task of this.#unsettled) {
			if (task.cancelGraceMs === undefined) this.#enqueue(task, nowMs, false);
			else this.#finish(task, cancelledResult(task.id, "before it ran"), undefined, nowMs);
		}
		this.#unsettled.clear();
	}

	/** Tasks that are in the journal now. A task that came before, finished or not, is dropped. */
	accept(tasks: Iterable<AcceptedTask>, nowMs: number): void {
		for (const accepted of tasks) {
			if (this.#tasks.has(accepted.id) || this.#finished.has(accepted.id)) continue;
			const task = this.#hold(accepted, nowMs);
			if (this.#cancelledAhead.delete(accepted.id)) {
				this.#finish(task, cancelledResult(task.id, "before it reached the endpoint"), undefined, nowMs);
				continue;
			}
			this.#enqueue(task, nowMs, false);
			this.#tell(task.id, "waiting-for-nodes", "");
		}
	}

	/** Stops tasks wherever they are. Each ends with a result; one that has not come yet will when it does. */
	cancel(ids: Iterable<TaskId>, graceMs: number, nowMs: number): void {
		const running = new Map<string, TaskId[]>();
		for (const id of ids) {
			const task = this.#tasks.get(id);
			if (!task) {
				if (!this.#finished.has(id)) this.#cancelledAhead.add(id, nowMs);
				continue;
			}
			const { state } = task;
			if (state.at === "queued") {
				this.#finish(task, cancelledResult(id, "while it waited for a node"), undefined, nowMs);
				continue;
			}
			task.cancelGraceMs = graceMs;
			if (state.at !== "held") continue;
			const list = running.get(state.manager.id);
			if (list) list.push(id);
			else running.set(state.manager.id, [id]);
		}
		for (const [managerId, taskIds] of running) {
			if (this.#managers.get(managerId)?.link.at === "attached")
				this.#reactions.push({ kind: "cancel", managerId, taskIds, graceMs });
		}
	}

	/**
	 * A manager has come, or come back. Returns the tasks that it holds and that are not its own any more: it kills
	 * them. What was handed to it and never arrived is queued again.
	 */
	attach(hello: Hello, nowMs: number): TaskId[] {
		let manager = this.#managers.get(hello.managerId);
		if (!manager) {
			manager = recordManager(hello, nowMs);
			this.#managers.set(manager.id, manager);
			this.#rememberShape(manager.shape);
		}
		manager.link = attached;
		const unwanted: TaskId[] = [];
		const arrived = new Set<TaskId>();
		for (const bytes of hello.heldTaskIds) {
			const id = idFromBytes<TaskId>(bytes);
			if (this.#adopt(manager, id, nowMs)) arrived.add(id);
			else unwanted.push(id);
		}
		for (const bytes of hello.unacknowledgedTaskIds) {
			const id = idFromBytes<TaskId>(bytes);
			if (this.#adopt(manager, id, nowMs)) arrived.add(id);
		}
		for (const task of [...manager.tasks.values()].reverse()) {
			if (arrived.has(task.id)) {
				if (task.cancelGraceMs !== undefined)
					this.#reactions.push({
						kind: "cancel",
						managerId: manager.id,
						taskIds: [task.id],
						graceMs: task.cancelGraceMs,
					});
			} else this.#leave(task, nowMs, "it did not reach the manager");
		}
		return unwanted;
	}

	/** The connection to a manager is gone; the manager itself may be well. Its tasks stay its own. */
	detach(managerId: string, nowMs: number): void {
		const manager = this.#managers.get(managerId);
		if (manager?.link.at === "attached") manager.link = { at: "silent", sinceMs: nowMs };
	}

	/**
	 * The manager is known to be dead: its process is gone, or its batch job has ended. `announced`: the scheduler took the
	 * node back, so that what ran is no more to blame than what waited.
	 */
	lose(managerId: string, reason: string, nowMs: number, announced = false): void {
		const manager = this.#managers.get(managerId);
		if (!manager) return;
		this.#managers.delete(managerId);
		for (const task of [...manager.tasks.values()].reverse()) {
			if (task.state.at !== "held") continue;
			const { running } = task.state;
			this.#countLoss(task, running && !announced, reason, undefined, nowMs);
		}
	}

	/** Every manager of the block is dead. */
	loseBlock(blockId: string, reason: string, nowMs: number, announced = false): void {
		for (const manager of [...this.#managers.values()]) {
			if (manager.blockId === blockId) this.lose(manager.id, reason, nowMs, announced);
		}
	}

	/** A manager says that this task has begun to run. */
	started(managerId: string, id: TaskId): void {
		const task = this.#tasks.get(id);
		if (task?.state.at === "held" && task.state.manager.id === managerId) task.state.running = true;
	}

	/** Results as they come from a manager; the same one may come again. */
	results(managerId: string, results: Iterable<Result>, nowMs: number): void {
		for (const result of results) {
			const id = idFromBytes<TaskId>(result.taskId);
			const task = this.#tasks.get(id);
			if (!task) {
				if (this.#finished.has(id)) this.#reactions.push({ kind: "acknowledge", managerId, id });
				else {
					this.#finished.add(id, nowMs);
					this.#reactions.push({ kind: "result", id, result, managerId });
				}
				continue;
			}
			if (
				result.outcome.case === "failure" &&
				task.cancelGraceMs === undefined &&
				!result.cancelled &&
				isLoss(result.outcome.value)
			) {
				this.#reactions.push({ kind: "forget", managerId, id });
				if (task.state.at === "held" && task.state.manager.id === managerId)
					this.#countLoss(task, true, result.outcome.value.message, result, nowMs);
				continue;
			}
			const { execution } = result;
			if (execution && execution.finishedAtUs > 0)
				this.#durations.learn(task.functionId, (execution.finishedAtUs - execution.startedAtUs) / 1000);
			if (execution && task.losses > 0) execution.losses = task.losses;
			this.#finish(task, result, managerId, nowMs);
		}
	}

	/** Hands out what there is room for. Call it once after a group of events. */
	place(nowMs: number): void {
		if (this.#waiting === 0 || this.#managers.size === 0) return;
		const assigned = new Map<ManagerRecord, HeldTask[]>();
		placeAll(
			this.#queues.values(),
			[...this.#managers.values()],
			this.#durations,
			nowMs,
			(task, manager, estimateMs) => {
				this.#waiting--;
				task.state = { at: "held", manager, estimateMs, running: false };
				occupy(manager, task, estimateMs);
				const list = assigned.get(manager);
				if (list) list.push(task);
				else assigned.set(manager, [task]);
				this.#tell(task.id, "waiting-for-launch", "");
			},
		);
		for (const [manager, tasks] of assigned) this.#reactions.push({ kind: "dispatch", managerId: manager.id, tasks });
		this.#refuseImpossible(nowMs);
	}

	/** Time has passed: gives up managers that have been silent for too long. */
	tick(nowMs: number): void {
		for (const manager of [...this.#managers.values()]) {
			if (manager.link.at === "silent" && nowMs - manager.link.sinceMs >= this.#options.silenceLimitMs)
				this.lose(manager.id, `manager ${manager.id} on ${manager.host} has been silent for too long`, nowMs);
		}
	}

	/** The block's managers take nothing new; what waits at them stays theirs. */
	drainBlock(blockId: string, reason: string): void {
		for (const manager of this.#managers.values()) {
			if (manager.blockId !== blockId || manager.draining) continue;
			manager.draining = true;
			this.#reactions.push({ kind: "drain", managerId: manager.id, reason });
		}
	}

	/** The id is that of a task which has not ended. */
	holds(id: TaskId): boolean {
		return this.#tasks.has(id);
	}

	/** Where the task is, in the words that states have; undefined when it has ended or is not known. */
	stateOf(id: TaskId): "waiting-for-nodes" | "waiting-for-launch" | "running" | undefined {
		const state = this.#tasks.get(id)?.state;
		if (state?.at === "held") return state.running ? "running" : "waiting-for-launch";
		return state === undefined || state.at === "finished" ? undefined : "waiting-for-nodes";
	}

	/** Nothing is left to do. */
	get empty(): boolean {
		return this.#tasks.size === 0;
	}

	counts(): InterchangeCounts {
		const counts = {
			waiting: this.#waiting + this.#unsettled.size,
			held: 0,
			managers: 0,
			workers: 0,
			idleWorkers: 0,
			cores: 0,
		};
		counts.held = this.#tasks.size - counts.waiting;
		for (const { shape, link, plain, taken } of this.#managers.values()) {
			if (link.at !== "attached") continue;
			counts.managers++;
			counts.workers += shape.workers;
			counts.cores += shape.cores;
			counts.idleWorkers += Math.max(0, shape.workers - taken.workers - plain);
		}
		return counts;
	}

	/** Unfinished tasks by what they ask for. */
	*demand(): Iterable<{ demand: HeldTask["demand"]; tasks: number }> {
		for (const { task, count } of this.#open.values()) if (count > 0) yield { demand: task.demand, tasks: count };
	}

	/** Since when all of the block's managers have had nothing to do; undefined when one has, or none has attached. */
	blockIdleSinceMs(blockId: string): number | undefined {
		let since: number | undefined;
		for (const manager of this.#managers.values()) {
			if (manager.blockId !== blockId) continue;
			if (manager.idleSinceMs === undefined) return undefined;
			since = Math.max(since ?? 0, manager.idleSinceMs);
		}
		return since;
	}

	/** Ids of the managers of a block that are attached now. */
	attachedManagers(blockId: string): string[] {
		return [...this.#managers.values()]
			.filter((manager) => manager.blockId === blockId && manager.link.at === "attached")
			.map((manager) => manager.id);
	}

	#hold(accepted: AcceptedTask, nowMs: number): HeldTask {
		const task = holdTask(accepted, this.#sequence++, nowMs);
		this.#tasks.set(task.id, task);
		const open = this.#open.get(task.demand.key);
		if (open) open.count++;
		else this.#open.set(task.demand.key, { task, count: 1 });
		return task;
	}

	#enqueue(task: HeldTask, nowMs: number, again: boolean): void {
		const { key } = task.demand;
		let queue = this.#queues.get(key);
		if (!queue) {
			queue = new DemandQueue(task.demand);
			this.#queues.set(key, queue);
		}
		task.state = queued;
		task.queuedAtMs = nowMs;
		this.#waiting++;
		if (again) queue.putBack(task);
		else queue.push(task);
	}

	/** True when the task is the manager's now. */
	#adopt(manager: ManagerRecord, id: TaskId, nowMs: number): boolean {
		const task = this.#tasks.get(id);
		if (!task || task.state.at === "finished") return false;
		if (task.state.at === "held") return task.state.manager === manager;
		if (task.state.at === "queued") this.#waiting--;
		this.#unsettled.delete(task);
		const known = task.demand.plain ? this.#durations.estimateMs(task.functionId) : 0;
		const estimateMs = Number.isFinite(known) ? known : 0;
		task.state = { at: "held", manager, estimateMs, running: true };
		task.queuedAtMs = nowMs;
		occupy(manager, task, estimateMs);
		return true;
	}

	/** A task leaves its manager and waits again. */
	#leave(task: HeldTask, nowMs: number, reason: string): void {
		if (task.state.at !== "held") return;
		release(task.state.manager, task, task.state.estimateMs, nowMs);
		if (task.cancelGraceMs !== undefined) {
			task.state = unsettled;
			this.#finish(task, cancelledResult(task.id, "when its node was lost"), undefined, nowMs);
			return;
		}
		this.#enqueue(task, nowMs, true);
		this.#tell(task.id, "waiting-for-nodes", reason);
	}

	#countLoss(task: HeldTask, running: boolean, reason: string, last: Result | undefined, nowMs: number): void {
		const before = task.losses;
		if (running) task.lossesWhileRunning++;
		if (running || ++task.lossesWhileWaiting % waitingLossesPerLoss === 0) task.losses++;
		if (task.losses > this.#options.lossLimit && task.cancelGraceMs === undefined)
			this.#finish(task, lostResult(task, reason, last), undefined, nowMs);
		else {
			if (task.losses > before)
				this.#reactions.push({
					kind: "lost",
					id: task.id,
					losses: { all: task.losses, whileRunning: task.lossesWhileRunning },
				});
			this.#leave(task, nowMs, reason);
		}
	}

	#finish(task: HeldTask, result: Result, managerId: string | undefined, nowMs: number): void {
		const { state } = task;
		if (state.at === "held") {
			release(state.manager, task, state.estimateMs, nowMs);
			if (managerId !== undefined && state.manager.id !== managerId && state.manager.link.at === "attached")
				this.#reactions.push({ kind: "cancel", managerId: state.manager.id, taskIds: [task.id], graceMs: 0 });
		} else if (state.at === "queued") this.#waiting--;
		task.state = finished;
		this.#unsettled.delete(task);
		this.#tasks.delete(task.id);
		const open = this.#open.get(task.demand.key);
		if (open && --open.count === 0 && !task.demand.plain) {
			this.#open.delete(task.demand.key);
			if (this.#queues.get(task.demand.key)?.peek() === undefined) this.#queues.delete(task.demand.key);
		}
		this.#finished.add(task.id, nowMs);
		this.#reactions.push({ kind: "result", id: task.id, result, managerId });
	}

	#rememberShape(shape: NodeShape): void {
		if (this.#shapes.size < 1000)
			this.#shapes.set(`${shape.workers}/${shape.cores}/${shape.memoryBytes}/${shape.gpus}`, shape);
	}

	/** Ends tasks that no node seen so far could run, however empty: they would wait for ever. */
	#refuseImpossible(nowMs: number): void {
		for (const queue of this.#queues.values()) {
			if (queue.demand.plain) continue;
			const { demand } = queue;
			if ([...this.#shapes.values()].some((shape) => couldEverRun(shape, demand))) continue;
			for (let task = queue.peek(); task; task = queue.peek()) {
				queue.take();
				this.#finish(task, unavailableResult(task.id, demand, this.#shapes.values()), undefined, nowMs);
			}
		}
	}

	#tell(id: TaskId, state: "waiting-for-nodes" | "waiting-for-launch", reason: string): void {
		this.#reactions.push({ kind: "state", id, state, reason });
	}
}
