/**
 * The core of the endpoint: which task is where, and what happens next. State in, reactions out: it has no socket,
 * clock or file, and every time is given to it. One task is in one place, and ends once.
 */
import { cancelGraceMs as defaultGraceMs, idFromBytes, lossLimit, type TaskId } from "@errand/proto";
import type { WaitingSummary } from "@errand/proto/rest";
import type { Hello, Holding, Result } from "@errand/proto/wire";
import { adoptedVariant, ShortOfNodes } from "./adoption.ts";
import { Durations } from "./durations.ts";
import { cancelledResult, forbiddenResult, isLoss, lostResult, unavailableResult } from "./failures.ts";
import {
	type AcceptedTask,
	type DispatchedTask,
	dispatchedForm,
	finished,
	type HeldPlace,
	type HeldTask,
	holdTask,
	type NodeLoss,
	queued,
	unsettled,
} from "./held-task.ts";
import { type ManagerRecord, managersOf, occupy, release } from "./manager-record.ts";
import { Nodes } from "./nodes.ts";
import { Placement } from "./placement.ts";
import type { QueueSettings, ScalingPlan, ScalingView } from "./queue-view.ts";
import type { Reaction } from "./reactions.ts";
import { RememberedIds } from "./remembered-ids.ts";
import { planScaling } from "./scaling.ts";
import { explainWaiting } from "./waiting.ts";
import { WaitingTasks } from "./waiting-tasks.ts";

export interface InterchangeOptions {
	/** How often a task is run again after the machine under it died. */
	readonly lossLimit: number;
	/** A manager that has been silent for this long is given up and its tasks are run elsewhere. */
	readonly silenceLimitMs: number;
	/** How many ids of finished tasks, and of tasks cancelled before they came, are remembered … */
	readonly rememberedTasks: number;
	/** … and for how long. */
	readonly rememberedMs: number;
	/** Where blocks come from, in the order in which they are tried. Empty: nothing is known of them. */
	readonly queues: readonly QueueSettings[];
	/** Nothing else is run; undefined: whatever comes. */
	readonly allowedFunctions: ReadonlySet<string> | undefined;
}

export const interchangeDefaults: InterchangeOptions = {
	lossLimit,
	silenceLimitMs: 600_000,
	rememberedTasks: 200_000,
	rememberedMs: 24 * 3600 * 1000,
	queues: [],
	allowedFunctions: undefined,
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
	readonly #waiting = new WaitingTasks();
	readonly #nodes: Nodes;
	readonly #durations = new Durations();
	readonly #placement = new Placement(this.#durations);
	readonly #finished: RememberedIds<TaskId>;
	/** Cancelled before they came: the command may overtake the task. */
	readonly #cancelledAhead: RememberedIds<TaskId>;
	readonly #unsettled = new Set<HeldTask>();
	readonly #short = new ShortOfNodes();
	readonly #unneededSinceMs = new Map<string, number>();
	#sequence = 0;
	#reactions: Reaction[] = [];

	constructor(options: Partial<InterchangeOptions> = {}) {
		this.#options = { ...interchangeDefaults, ...options };
		this.#nodes = new Nodes(this.#options.queues);
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
			if (!this.#isAllowed(task)) this.#finish(task, forbiddenResult(task.id, task.functionId), undefined, nowMs);
			else if (task.cancelGraceMs === undefined) this.#enqueue(task, nowMs, false);
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
			if (!this.#isAllowed(task)) {
				this.#finish(task, forbiddenResult(task.id, task.functionId), undefined, nowMs);
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
			if (this.#nodes.get(managerId)?.link.at === "attached")
				this.#reactions.push({ kind: "cancel", managerId, taskIds, graceMs });
		}
	}

	/**
	 * A manager has come, or come back, in a block of this queue. Returns the tasks that it holds and that are not its own
	 * any more: it kills them. What was handed to it and never arrived is queued again.
	 */
	attach(hello: Hello, nowMs: number, queue?: string): TaskId[] {
		const manager = this.#nodes.attach(hello, queue, nowMs);
		this.#placement.changed(manager);
		const unwanted: TaskId[] = [];
		const arrived = new Set<TaskId>();
		const holdings = new Map(hello.holdings.map((holding) => [idFromBytes<TaskId>(holding.taskId), holding]));
		for (const bytes of hello.heldTaskIds) {
			const id = idFromBytes<TaskId>(bytes);
			if (this.#adopt(manager, id, holdings.get(id), nowMs)) arrived.add(id);
			else unwanted.push(id);
		}
		for (const bytes of hello.unacknowledgedTaskIds) {
			const id = idFromBytes<TaskId>(bytes);
			if (this.#adopt(manager, id, undefined, nowMs)) arrived.add(id);
		}
		for (const task of [...manager.tasks.values()].reverse()) {
			const place = task.state as HeldPlace;
			if (place.manager !== manager) continue;
			if (!arrived.has(task.id)) this.#leave(task, nowMs, "it did not reach the manager");
			else if (task.cancelGraceMs !== undefined || place.lostBecause !== undefined)
				this.#stop(manager, task, task.cancelGraceMs ?? 0);
		}
		this.#short.find();
		return unwanted;
	}

	/** The connection to a manager is gone; the manager itself may be well. Its tasks stay its own. */
	detach(managerId: string, nowMs: number): void {
		const manager = this.#nodes.get(managerId);
		if (manager?.link.at !== "attached") return;
		manager.link = { at: "silent", sinceMs: nowMs };
		this.#placement.changed(manager);
	}

	/**
	 * The manager is known to be dead: its process is gone, or its batch job has ended. `announced`: the scheduler took the
	 * node back, so that what ran is no more to blame than what waited.
	 */
	lose(managerId: string, reason: string, nowMs: number, announced = false): void {
		const manager = this.#nodes.remove(managerId);
		if (!manager) return;
		manager.draining = true;
		this.#placement.changed(manager);
		for (const task of [...manager.tasks.values()].reverse()) {
			const place = task.state;
			if (place.at !== "held") continue;
			if (place.manager === manager) this.#countLoss(task, place.running && !announced, reason, undefined, nowMs);
			else if (place.lostBecause === undefined) {
				// What runs of it elsewhere ends first: until its manager says so it keeps its nodes.
				place.lostBecause = { reason, announced };
				this.#stop(place.manager, task, 0);
			}
		}
	}

	/** Every manager of the block is dead. */
	loseBlock(blockId: string, reason: string, nowMs: number, announced = false): void {
		for (const manager of this.#nodes.ofBlock(blockId)) this.lose(manager.id, reason, nowMs, announced);
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
			const lost = task.cancelGraceMs === undefined ? lossIn(task, result) : undefined;
			if (lost !== undefined) {
				this.#reactions.push({ kind: "forget", managerId, id });
				if (task.state.at === "held" && task.state.manager.id === managerId)
					this.#countLoss(task, !lost.announced, lost.reason, result, nowMs);
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
		if (this.#waiting.count === 0) return;
		this.#refuseImpossible(nowMs);
		// A node that looks free may belong to such a task, whose manager has not come back yet.
		for (const task of this.#unsettled) if (task.demand.variants.some(({ nodes }) => nodes > 1)) return;
		const assigned = new Map<ManagerRecord, DispatchedTask[]>();
		this.#placement.pass(
			this.#waiting.queues,
			this.#nodes.managers,
			nowMs,
			({ task, managers, variant, estimateMs }) => {
				const [manager, ...others] = managers;
				const place: HeldPlace = {
					at: "held",
					manager,
					others,
					variant,
					estimateMs,
					sinceMs: nowMs,
					grant: undefined,
					running: false,
				};
				this.#waiting.remove(task);
				this.#hand(task, place, nowMs);
				const sent = dispatchedForm(task, place);
				const list = assigned.get(manager);
				if (list) list.push(sent);
				else assigned.set(manager, [sent]);
				this.#tell(task.id, "waiting-for-launch", "");
			},
		);
		for (const [manager, tasks] of assigned) this.#reactions.push({ kind: "dispatch", managerId: manager.id, tasks });
	}

	/** Time has passed: gives up managers that have been silent for too long. */
	tick(nowMs: number): void {
		for (const manager of [...this.#nodes.managers]) {
			if (manager.link.at === "silent" && nowMs - manager.link.sinceMs >= this.#options.silenceLimitMs)
				this.lose(manager.id, `manager ${manager.id} on ${manager.host} has been silent for too long`, nowMs);
		}
	}

	/** The block's managers take nothing new; what waits at them stays theirs. */
	drainBlock(blockId: string, reason: string): void {
		for (const manager of this.#nodes.ofBlock(blockId)) {
			if (manager.draining) continue;
			manager.draining = true;
			this.#placement.changed(manager);
			const { whole } = manager;
			// A manager with nothing of its own would end at once, and the task over several nodes lose one of them.
			if (whole?.state.at === "held" && whole.state.manager !== manager) manager.drainWhenFree = reason;
			else this.#reactions.push({ kind: "drain", managerId: manager.id, reason });
		}
	}

	/** The cloud looks at submit; here nobody gets past it, and a list that has become shorter holds for what waits. */
	#isAllowed({ functionId }: HeldTask): boolean {
		return this.#options.allowedFunctions?.has(functionId) ?? true;
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
			waiting: this.#waiting.count + this.#unsettled.size,
			held: 0,
			managers: 0,
			workers: 0,
			idleWorkers: 0,
			cores: 0,
		};
		counts.held = this.#tasks.size - counts.waiting;
		for (const { shape, link, plain, room, whole } of this.#nodes.managers) {
			if (link.at !== "attached") continue;
			counts.managers++;
			counts.workers += shape.workers;
			counts.cores += shape.cores;
			if (!whole) counts.idleWorkers += Math.max(0, room.workers - plain);
		}
		return counts;
	}

	/** How many blocks to ask for and which to give back. Call it after {@link place}: what there is room for is no demand. */
	planScaling(view: ScalingView, nowMs: number): ScalingPlan {
		return planScaling({
			groups: this.#waiting.groups().map(({ head, tasks }) => ({ demand: head.demand, tasks })),
			nodes: this.#nodes,
			view,
			nowMs,
			unneededSinceMs: this.#unneededSinceMs,
		});
	}

	/** Why what waits is not running, by demand; those that would go first are told of. */
	waiting(view: ScalingView, nowMs: number): WaitingSummary[] {
		return explainWaiting({
			queued: this.#waiting.groups(),
			unsettled: this.#unsettled,
			tasks: this.#tasks.values(),
			nodes: this.#nodes,
			view,
			nowMs,
		});
	}

	/** Ids of the managers of a block that are attached now. */
	attachedManagers(blockId: string): string[] {
		return this.#nodes
			.ofBlock(blockId)
			.filter(({ link }) => link.at === "attached")
			.map(({ id }) => id);
	}

	#hold(accepted: AcceptedTask, nowMs: number): HeldTask {
		const task = holdTask(accepted, this.#sequence++, nowMs);
		this.#tasks.set(task.id, task);
		return task;
	}

	#enqueue(task: HeldTask, nowMs: number, again: boolean): void {
		task.state = queued;
		task.queuedAtMs = nowMs;
		this.#waiting.add(task, again);
	}

	#hand(task: HeldTask, place: HeldPlace, nowMs: number): void {
		task.state = place;
		occupy(task, place);
		if (place.variant.launches) place.manager.block.queue.throttle.launched(nowMs);
	}

	/** Inverse of {@link #hand}. Whoever calls moves the task at once. */
	#takeBack(task: HeldTask, place: HeldPlace, nowMs: number): void {
		release(task, place, nowMs);
		this.#short.delete(task);
		if (place.variant.launches) place.manager.block.queue.throttle.ended();
		for (const manager of managersOf(place)) {
			this.#placement.freed(manager);
			if (manager.drainWhenFree === undefined || !this.#nodes.has(manager)) continue;
			this.#reactions.push({ kind: "drain", managerId: manager.id, reason: manager.drainWhenFree });
			manager.drainWhenFree = undefined;
		}
	}

	#stop(manager: ManagerRecord, task: HeldTask, graceMs: number): void {
		if (manager.link.at === "attached")
			this.#reactions.push({ kind: "cancel", managerId: manager.id, taskIds: [task.id], graceMs });
	}

	/** True when the task is the manager's now. */
	#adopt(manager: ManagerRecord, id: TaskId, holding: Holding | undefined, nowMs: number): boolean {
		const task = this.#tasks.get(id);
		if (!task || task.state.at === "finished") return false;
		if (task.state.at === "held") return task.state.manager === manager;
		if (task.state.at === "queued") this.#waiting.remove(task);
		this.#unsettled.delete(task);
		const known = task.demand.plain ? this.#durations.estimateMs(task.functionId) : 0;
		const variant = adoptedVariant(task, holding);
		task.queuedAtMs = nowMs;
		this.#hand(
			task,
			{
				at: "held",
				manager,
				others: [],
				variant,
				estimateMs: Number.isFinite(known) ? known : 0,
				sinceMs: nowMs,
				grant: undefined,
				running: true,
			},
			nowMs,
		);
		if (variant.nodes > 1) this.#short.add(task, holding);
		return true;
	}

	/** A task leaves its manager and waits again. */
	#leave(task: HeldTask, nowMs: number, reason: string): void {
		if (task.state.at !== "held") return;
		this.#takeBack(task, task.state, nowMs);
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
			this.#takeBack(task, state, nowMs);
			if (managerId !== undefined && state.manager.id !== managerId) this.#stop(state.manager, task, 0);
		} else if (state.at === "queued") this.#waiting.remove(task);
		task.state = finished;
		this.#unsettled.delete(task);
		this.#tasks.delete(task.id);
		this.#finished.add(task.id, nowMs);
		this.#reactions.push({ kind: "result", id: task.id, result, managerId });
	}

	/** Ends tasks that no node of any queue could run, however empty: they would wait for ever. */
	#refuseImpossible(nowMs: number): void {
		for (const queue of [...this.#waiting.queues.values()]) {
			if (queue.demand.plain || queue.possibleSince === this.#nodes.version) continue;
			if (this.#nodes.couldRun(queue.demand) !== "no") {
				queue.possibleSince = this.#nodes.version;
				continue;
			}
			for (let task = queue.peek(); task; task = queue.peek()) {
				queue.take();
				this.#finish(task, unavailableResult(task.id, queue.demand, this.#nodes.queues), undefined, nowMs);
			}
		}
	}

	#tell(id: TaskId, state: "waiting-for-nodes" | "waiting-for-launch", reason: string): void {
		this.#reactions.push({ kind: "state", id, state, reason });
	}
}

/** Why this result is no end of the task but the loss of the machine under it; undefined when it is an end. */
function lossIn({ state }: HeldTask, { outcome, cancelled }: Result): NodeLoss | undefined {
	if (outcome.case !== "failure") return undefined;
	if (state.at === "held" && state.lostBecause !== undefined) return state.lostBecause;
	return !cancelled && isLoss(outcome.value) ? { reason: outcome.value.message, announced: false } : undefined;
}
