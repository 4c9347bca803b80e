/** Which waiting task goes to which worker, and which workers there are. Decides from what it is told; no clock of its own. */
import { demandKey } from "@errand/proto/demand-key";
import type { HeldTask, WorkerKind } from "./held-task.ts";
import { keyOf } from "./held-task.ts";
import type { NodeShare } from "./node-share.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Work that may lie behind the running task in a worker: longer, and one slow task would delay what others could do. */
const windowUs = 20_000;
const windowTasks = 64;
/** A full worker is filled again when it has come down to this: one write for many tasks, and it never runs dry. */
const refillTasks = 32;
/** Of a function that has not run yet. */
const unknownUs = windowUs;
/** How much the last run counts in what the next is expected to take. */
const recency = 0.2;
/** A task that waited this long for cores, memory or GPUs is not overtaken any more. */
const overtakeLimitMs = 2000;
/** A worker that holds this many functions is replaced when idle: modules cannot be unloaded. */
const functionLimit = 1000;

export interface DispatcherPort {
	start(kind: WorkerKind): WorkerProcess;
	/** Sends the task; its share is in `worker.share`. */
	run(worker: WorkerProcess, task: HeldTask): void;
}

type Placement = "placed" | "no worker" | "no room";

/** Tasks that can be placed where the others of their class can: looked at together. */
interface Class {
	readonly kind: WorkerKind;
	readonly tasks: HeldTask[];
	/** Tasks before this index have left; the array is cut now and then. */
	head: number;
}

export class Dispatcher {
	readonly workers = new Set<WorkerProcess>();
	readonly #port: DispatcherPort;
	readonly #node: NodeShare;
	readonly #maxWorkers: number;
	readonly #classes = new Map<string, Class>();
	readonly #expectedUs = new Map<string, number>();
	#queued = 0;
	#ending = false;

	constructor(port: DispatcherPort, node: NodeShare, maxWorkers: number) {
		this.#port = port;
		this.#node = node;
		this.#maxWorkers = maxWorkers;
	}

	get queued(): number {
		return this.#queued;
	}

	add(task: HeldTask): void {
		const { tasks } = this.#classOf(task);
		tasks.push(task);
		this.#queued++;
	}

	/** Back to its old place: its worker died under another task. */
	putBack(task: HeldTask): void {
		const class_ = this.#classOf(task);
		let at = class_.head;
		while (at < class_.tasks.length && (class_.tasks[at] as HeldTask).sequence < task.sequence) at++;
		class_.tasks.splice(at, 0, task);
		this.#queued++;
	}

	/** False when it does not wait here. */
	remove(task: HeldTask): boolean {
		const class_ = this.#classOf(task);
		const at = class_.tasks.indexOf(task, class_.head);
		if (at < 0) return false;
		class_.tasks.splice(at, 1);
		this.#queued--;
		return true;
	}

	/** Removes and returns all that wait for this kind of worker. */
	removeAll(kind?: WorkerKind): HeldTask[] {
		const removed: HeldTask[] = [];
		for (const class_ of this.#classes.values()) {
			if (kind !== undefined && class_.kind !== kind) continue;
			removed.push(...class_.tasks.splice(0).slice(class_.head));
			class_.head = 0;
		}
		this.#queued -= removed.length;
		return removed;
	}

	/** A task of this function took so long. */
	learn(task: HeldTask, tookUs: number): void {
		const key = keyOf(task.definition.id);
		const before = this.#expectedUs.get(key);
		const mixed = before === undefined ? tookUs : before + recency * (tookUs - before);
		this.#expectedUs.set(key, Math.max(1, tookUs > windowUs ? tookUs : mixed));
	}

	/** The task has left the worker. What the worker holds of the node is given back with its last one. */
	release(worker: WorkerProcess, task: HeldTask): void {
		if (worker.inFlight.length <= refillTasks) worker.full = false;
		worker.expectedUs = worker.inFlight.length === 0 ? 0 : worker.expectedUs - task.expectedUs;
		if (worker.inFlight.length > 0 || worker.share === undefined) return;
		this.#node.give(worker.share);
		worker.share = undefined;
	}

	/** Places what can be placed, in order of arrival, and starts the workers that are missing. */
	dispatch(nowMs: number): void {
		const missing = new Map<WorkerKind, number>();
		const heads = [...this.#classes.entries()].filter(([, class_]) => class_.head < class_.tasks.length);
		heads.sort(([, a], [, b]) => (a.tasks[a.head] as HeldTask).sequence - (b.tasks[b.head] as HeldTask).sequence);
		for (const [key, class_] of heads) {
			const placement = this.#placeClass(class_);
			const left = class_.tasks.length - class_.head;
			if (left === 0) {
				this.#classes.delete(key);
				continue;
			}
			if (placement === "no worker") missing.set(class_.kind, (missing.get(class_.kind) ?? 0) + left);
			const oldest = class_.tasks[class_.head] as HeldTask;
			if (placement === "no room" && nowMs - oldest.queuedAtMs > overtakeLimitMs) break;
		}
		for (const [kind, tasks] of missing) this.#startMissing(kind, tasks);
		for (const worker of this.workers) worker.flush();
		this.#retire();
		this.keepSpare();
	}

	/** One warm Node.js worker is always there: a start costs a fifth of a second. */
	keepSpare(): void {
		if (this.#ending || this.workers.size > this.#maxWorkers) return;
		for (const worker of this.workers) if (worker.kind === "node" && isFree(worker)) return;
		this.workers.add(this.#port.start("node"));
	}

	/** From now on no worker is started ahead of need. */
	startNoSpares(): void {
		this.#ending = true;
	}

	#placeClass(class_: Class): Placement {
		while (class_.head < class_.tasks.length) {
			const placement = this.#place(class_.tasks[class_.head] as HeldTask, class_.kind);
			if (placement !== "placed") return placement;
			class_.head++;
			this.#queued--;
			if (class_.head < 1024) continue;
			class_.tasks.splice(0, class_.head);
			class_.head = 0;
		}
		return "placed";
	}

	#place(task: HeldTask, kind: WorkerKind): Placement {
		const expectedUs = this.#expected(task);
		let idle: WorkerProcess | undefined;
		let shortest: WorkerProcess | undefined;
		for (const worker of this.workers) {
			if (worker.kind !== kind || worker.life !== "ready") continue;
			if (worker.inFlight.length === 0) idle ??= worker;
			else if (task.mayShare && canWaitAt(worker, expectedUs) && worker.expectedUs < (shortest?.expectedUs ?? windowUs))
				shortest = worker;
		}
		if (idle !== undefined) {
			const share = this.#node.take(task.resources, idle.cpus);
			if (share !== undefined) {
				idle.share = share;
				idle.cpus = share.cpus;
				return this.#send(idle, task, expectedUs);
			}
		}
		if (shortest !== undefined) return this.#send(shortest, task, expectedUs);
		return idle === undefined ? "no worker" : "no room";
	}

	#send(worker: WorkerProcess, task: HeldTask, expectedUs: number): "placed" {
		if (worker.inFlight.length + 1 >= windowTasks) worker.full = true;
		task.expectedUs = expectedUs;
		worker.expectedUs += expectedUs;
		this.#port.run(worker, task);
		return "placed";
	}

	#startMissing(kind: WorkerKind, tasks: number): void {
		let starting = 0;
		for (const worker of this.workers) if (worker.kind === kind && worker.life === "starting") starting++;
		let wanted = Math.min(tasks, this.#node.freeSlots) - starting;
		while (wanted-- > 0) {
			if (this.workers.size > this.#maxWorkers && !this.#endIdle(kind)) return;
			this.workers.add(this.#port.start(kind));
		}
	}

	/** Ends the worker of another kind that has been idle longest. False when there is none. */
	#endIdle(wanted: WorkerKind): boolean {
		let oldest: WorkerProcess | undefined;
		for (const worker of this.workers) {
			if (worker.kind === wanted || worker.life !== "ready" || worker.inFlight.length > 0) continue;
			if (oldest === undefined || worker.idleSinceMs < oldest.idleSinceMs) oldest = worker;
		}
		oldest?.end(0);
		return oldest !== undefined;
	}

	#retire(): void {
		for (const worker of this.workers)
			if (worker.loadedFunctions > functionLimit && isFree(worker) && worker.life === "ready") worker.end(0);
	}

	#expected(task: HeldTask): number {
		return this.#expectedUs.get(keyOf(task.definition.id)) ?? unknownUs;
	}

	#classOf(task: HeldTask): Class {
		const { kind } = task;
		const key = task.plain ? kind : `${kind} ${demandKey(task.message.resources)}`;
		let class_ = this.#classes.get(key);
		if (class_ === undefined) {
			class_ = { kind, tasks: [], head: 0 };
			this.#classes.set(key, class_);
		}
		return class_;
	}
}

function isFree(worker: WorkerProcess): boolean {
	return worker.inFlight.length === 0 && (worker.life === "ready" || worker.life === "starting");
}

function canWaitAt(worker: WorkerProcess, expectedUs: number): boolean {
	const [running] = worker.inFlight; // one that asks for more than a core is always alone
	return (
		running?.mayShare === true &&
		running.stop === undefined &&
		!worker.full &&
		worker.expectedUs + expectedUs <= windowUs
	);
}
