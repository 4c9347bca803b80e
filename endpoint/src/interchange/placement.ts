/**
 * Which waiting task goes to which manager: highest priority first, then order of arrival, as far as there is room.
 * A demand that every node has refused is asked again only of nodes that have more room since: what waits costs nothing.
 */
import type { Demand, NodeDemand } from "./demand.ts";
import type { Durations } from "./durations.ts";
import { goesBefore, type HeldTask } from "./held-task.ts";
import { type BlockRecord, fits, isOpen, type ManagerRecord, mayPrefetch, prefetchMs } from "./manager-record.ts";
import { chooseReservation, holdsStill, mayUse, type Reservation } from "./reservation.ts";
import type { DemandQueue } from "./task-queue.ts";

/** After this long at the head of the line nodes are kept free for a task that nothing fits. */
const starvationMs = 10_000;
const mostReservations = 32;
/** Between two looks for a node to keep. */
const reserveAgainMs = 1_000;
/** A task that is expected to take this much less than the one refused may fit where that did not. */
const shorter = 0.8;

/** Where a task is to go: its manager first. */
export interface Assignment {
	readonly task: HeldTask;
	readonly managers: readonly [ManagerRecord, ...ManagerRecord[]];
	readonly variant: NodeDemand;
	readonly estimateMs: number;
}

/** Managers that may still have room for the line's tasks in this pass; those that have not are dropped. */
interface Candidates {
	managers: ManagerRecord[];
	blocks: BlockRecord[];
	cursor: number;
}

interface Line {
	readonly queue: DemandQueue;
	head: HeldTask;
	/** Of each variant of the demand; undefined before it has been its turn. */
	candidates: readonly Candidates[] | undefined;
	/** Free workers are used up; from here on plain tasks are handed over ahead of one. */
	ahead: boolean;
	/** Some node had room, but no further launch is allowed for the moment. */
	throttled: boolean;
}

export class Placement {
	readonly #durations: Durations;
	/** Managers that have come or that have more room since the last pass. */
	readonly #freed = new Set<ManagerRecord>();
	readonly #reservations = new Map<string, Reservation>();
	#open: ManagerRecord[] | undefined;
	/** Those of the freed that this pass looks at. */
	#fresh: readonly ManagerRecord[] = [];
	/** Of those the ones that may still have a free worker. */
	#roomy: ManagerRecord[] = [];
	#turn = 0;

	constructor(durations: Durations) {
		this.#durations = durations;
	}

	/** The manager has more room than before, or takes tasks again. */
	freed(manager: ManagerRecord): void {
		this.#freed.add(manager);
	}

	/** A manager has come, gone, or takes tasks or not. */
	changed(manager: ManagerRecord): void {
		this.#open = undefined;
		this.#freed.add(manager);
		if (!isOpen(manager) && manager.reservation) this.#lift(manager.reservation);
	}

	/** Nodes are kept for this demand. */
	reservationOf(demand: Demand): Reservation | undefined {
		return this.#reservations.get(demand.key);
	}

	/**
	 * One pass over everything that waits. `assign` occupies the managers and moves the task.
	 * Cost: the managers with more room since the last pass times the demands, plus the tasks placed.
	 */
	pass(
		queues: ReadonlyMap<string, DemandQueue>,
		managers: Iterable<ManagerRecord>,
		nowMs: number,
		assign: (assignment: Assignment) => void,
	): void {
		this.#open ??= [...managers].filter(isOpen);
		if (this.#open.length === 0) return;
		this.#review(queues, nowMs);
		this.#fresh = [...this.#freed].filter(isOpen);
		this.#roomy = this.#fresh.slice();
		// What a lifted reservation frees from here on is for the next pass.
		this.#freed.clear();
		const lines = new LineHeap();
		for (const queue of queues.values()) {
			const head = queue.peek();
			if (head && !(this.#fresh.length === 0 && this.#isHopeless({ queue, head }, nowMs)))
				lines.add({ queue, head, candidates: undefined, ahead: false, throttled: false });
		}
		let full = false;
		for (let line = lines.best; line !== undefined; line = lines.best) {
			if (!full && this.#allFull()) {
				full = true;
				lines.keep((other) => !this.#isHopeless(other, nowMs));
				continue;
			}
			const found = this.#pick(line, nowMs);
			if (found === undefined) {
				lines.remove();
				if (line.throttled) line.queue.refused = undefined;
				else this.#refuse(line, lines, nowMs);
				continue;
			}
			line.queue.take();
			const reserved = this.#reservations.get(line.queue.demand.key);
			if (reserved) this.#lift(reserved);
			assign(found);
			const next = line.queue.peek();
			if (next) {
				line.head = next;
				lines.moved();
			} else lines.remove();
		}
	}

	/** Whether nodes that have no more room than at the last pass would refuse the head as they did then. */
	#refusedStill({ refused, demand }: DemandQueue, head: HeldTask): boolean {
		return (
			refused !== undefined &&
			head.priority <= refused.priority &&
			(!demand.plain || this.#durations.estimateMs(head.functionId) >= refused.estimateMs * shorter)
		);
	}

	/** No manager with more room than at the last pass has a free worker left: within a pass they only fill. */
	#allFull(): boolean {
		for (let last = this.#roomy.at(-1); last !== undefined; last = this.#roomy.at(-1)) {
			if (hasFreeWorker(last)) return false;
			this.#roomy.pop();
		}
		return true;
	}

	/** Whether it would be refused again, when all are full, and nodes need not be kept for it. */
	#isHopeless({ queue, head }: Pick<Line, "queue" | "head">, nowMs: number): boolean {
		if (!this.#refusedStill(queue, head)) return false;
		if (queue.demand.plain) return this.#fresh.length === 0;
		if (nowMs - head.queuedAtMs < starvationMs || this.#reservations.has(queue.demand.key)) return true;
		return nowMs - queue.reserveTriedMs < reserveAgainMs;
	}

	/** Where to look for room; undefined when there can be none. */
	#candidates({ queue, head }: Line): readonly Candidates[] | undefined {
		const { demand } = queue;
		const again = this.#refusedStill(queue, head);
		if (again && !demand.plain && this.#allFull()) return undefined;
		const managers = again ? this.#fresh : (this.#open as ManagerRecord[]);
		if (!again) queue.refused = undefined;
		return demand.variants.map((variant) => ({
			managers: variant.nodes > 1 ? [] : managers.slice(),
			blocks: variant.nodes > 1 ? [...new Set(managers.map(({ block }) => block))] : [],
			cursor: 0,
		}));
	}

	#pick(line: Line, nowMs: number): Assignment | undefined {
		const { head } = line;
		const { demand } = line.queue;
		line.candidates ??= this.#candidates(line);
		if (line.candidates === undefined) return undefined;
		for (const [at, variant] of demand.variants.entries()) {
			const candidates = line.candidates[at] as Candidates;
			if (variant.nodes > 1) {
				const managers = this.#pickBlock(line, candidates, variant, nowMs);
				if (managers) return { task: head, managers, variant, estimateMs: 0 };
				continue;
			}
			const manager = this.#pickManager(line, candidates, variant, nowMs);
			if (!manager) continue;
			const estimateMs = demand.plain ? Math.min(this.#durations.estimateMs(head.functionId), prefetchMs) : 0;
			return { task: head, managers: [manager], variant, estimateMs };
		}
		return undefined;
	}

	#pickManager(line: Line, from: Candidates, variant: NodeDemand, nowMs: number): ManagerRecord | undefined {
		const { demand } = line.queue;
		for (;;) {
			const { managers } = from;
			while (managers.length > 0) {
				const at = (from.cursor === 0 ? this.#turn++ : from.cursor) % managers.length;
				const manager = managers[at] as ManagerRecord;
				let room =
					mayUse(manager, line.head, nowMs) &&
					(line.ahead
						? mayPrefetch(manager, this.#durations.estimateMs(line.head.functionId), nowMs)
						: fits(manager, demand, variant, nowMs));
				if (room && variant.launches && !manager.block.queue.throttle.allows(nowMs)) {
					line.throttled = true;
					room = false;
				}
				if (room) {
					from.cursor = at + 1;
					return manager;
				}
				managers[at] = managers[managers.length - 1] as ManagerRecord;
				managers.pop();
			}
			if (!demand.plain || line.ahead) return undefined;
			line.ahead = true;
			from.managers = (line.queue.refused ? this.#fresh : (this.#open as ManagerRecord[])).slice();
		}
	}

	/** The block whose free nodes are the fewest that suffice: the larger holes stay for larger tasks. */
	#pickBlock(
		line: Line,
		from: Candidates,
		variant: NodeDemand,
		nowMs: number,
	): [ManagerRecord, ...ManagerRecord[]] | undefined {
		const { demand } = line.queue;
		let best: ManagerRecord[] | undefined;
		from.blocks = from.blocks.filter((block) => {
			const free: ManagerRecord[] = [];
			for (const manager of block.managers) {
				if (manager.tasks.size > 0 || !isOpen(manager) || !mayUse(manager, line.head, nowMs)) continue;
				if (fits(manager, demand, variant, nowMs)) free.push(manager);
			}
			if (free.length < variant.nodes) return false;
			if (!block.queue.throttle.allows(nowMs)) {
				line.throttled = true;
				return false;
			}
			if (best === undefined || free.length < best.length) best = free;
			return true;
		});
		if (best === undefined) return undefined;
		const own = (manager: ManagerRecord): number => (manager.reservation?.key === demand.key ? 0 : 1);
		best.sort((a, b) => own(a) - own(b) || byHost(a, b));
		const chosen = best.slice(0, variant.nodes).sort(byHost);
		return chosen as [ManagerRecord, ...ManagerRecord[]];
	}

	/** Every node has been asked. After a while, or when it is more urgent than the rest, nodes are kept for it. */
	#refuse(line: Line, others: LineHeap, nowMs: number): void {
		const { queue, head } = line;
		const { demand } = queue;
		queue.refused = {
			priority: head.priority,
			estimateMs: demand.plain ? this.#durations.estimateMs(head.functionId) : 0,
		};
		if (demand.plain || this.#reservations.has(demand.key) || nowMs - queue.reserveTriedMs < reserveAgainMs) return;
		const urgent = (others.best?.head.priority ?? Number.POSITIVE_INFINITY) < head.priority;
		if (!urgent && nowMs - head.queuedAtMs < starvationMs) return;
		queue.reserveTriedMs = nowMs;
		if (!this.#mayKeepMore(head)) return;
		const reservation = chooseReservation(head, this.#open as ManagerRecord[], nowMs);
		if (reservation === undefined) return;
		for (const manager of reservation.managers) if (manager.reservation) this.#lift(manager.reservation);
		this.#reservations.set(demand.key, reservation);
		for (const manager of reservation.managers) manager.reservation = reservation;
	}

	/** Nodes are kept for so many demands at a time; for those that go first, so that each gets its turn. */
	#mayKeepMore(head: HeldTask): boolean {
		if (this.#reservations.size < mostReservations) return true;
		let last: Reservation | undefined;
		for (const one of this.#reservations.values()) if (!last || goesBefore(last, one)) last = one;
		if (!last || !goesBefore(head, last)) return false;
		this.#lift(last);
		return true;
	}

	/** Reservations whose task has gone or whose nodes end too early are lifted. */
	#review(queues: ReadonlyMap<string, DemandQueue>, nowMs: number): void {
		for (const reservation of this.#reservations.values()) {
			const queue = queues.get(reservation.key);
			if (queue?.peek() === undefined || !holdsStill(reservation, queue.demand, nowMs)) this.#lift(reservation);
		}
	}

	#lift(reservation: Reservation): void {
		this.#reservations.delete(reservation.key);
		for (const manager of reservation.managers) {
			if (manager.reservation !== reservation) continue;
			manager.reservation = undefined;
			this.#freed.add(manager);
		}
	}
}

const hasFreeWorker = ({ whole, room, plain }: ManagerRecord): boolean => whole === undefined && room.workers > plain;

/** In the order of names with numbers in them, as people and host lists have it. */
const byHost = (a: ManagerRecord, b: ManagerRecord): number =>
	hostOrder.compare(a.host, b.host) || (a.id < b.id ? -1 : 1);
const hostOrder = new Intl.Collator("en", { numeric: true });

/** The line whose head goes first, at hand: a binary heap. */
class LineHeap {
	readonly #lines: Line[] = [];

	get best(): Line | undefined {
		return this.#lines[0];
	}

	add(line: Line): void {
		let at = this.#lines.push(line) - 1;
		while (at > 0) {
			const parent = (at - 1) >> 1;
			if (!this.#swapIfBefore(at, parent)) return;
			at = parent;
		}
	}

	/** Removes those that are not wanted. What is sorted is a heap. */
	keep(wanted: (line: Line) => boolean): void {
		const kept = this.#lines.filter(wanted).sort((a, b) => (goesBefore(a.head, b.head) ? -1 : 1));
		this.#lines.splice(0, this.#lines.length, ...kept);
	}

	/** Removes the best. */
	remove(): void {
		const last = this.#lines.pop();
		if (last === undefined || this.#lines.length === 0) return;
		this.#lines[0] = last;
		this.moved();
	}

	/** The best has another head. */
	moved(): void {
		for (let at = 0; ; ) {
			const left = 2 * at + 1;
			const child = left + 1 < this.#lines.length && this.#before(left + 1, left) ? left + 1 : left;
			if (child >= this.#lines.length || !this.#swapIfBefore(child, at)) return;
			at = child;
		}
	}

	#before(a: number, b: number): boolean {
		return goesBefore((this.#lines[a] as Line).head, (this.#lines[b] as Line).head);
	}

	#swapIfBefore(a: number, b: number): boolean {
		if (!this.#before(a, b)) return false;
		[this.#lines[a], this.#lines[b]] = [this.#lines[b] as Line, this.#lines[a] as Line];
		return true;
	}
}
