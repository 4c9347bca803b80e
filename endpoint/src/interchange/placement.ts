/** Which waiting task goes to which manager: highest priority first, then order of arrival, as far as there is room. */
import { couldEverRun } from "./demand.ts";
import type { Durations } from "./durations.ts";
import type { HeldTask } from "./held-task.ts";
import { fits, type ManagerRecord, mayPrefetch, prefetchMs } from "./manager-record.ts";
import type { DemandQueue } from "./task-queue.ts";

/** After this long at the head of the line a node is kept free for a task that nothing fits. */
const starvationMs = 10_000;

export type Assign = (task: HeldTask, manager: ManagerRecord, estimateMs: number) => void;

interface Line {
	readonly queue: DemandQueue;
	head: HeldTask;
	/** Managers that may still have room in this pass; those that have not are dropped. */
	candidates: ManagerRecord[];
	cursor: number;
	/** Free workers are used up; from here on plain tasks are handed over ahead of one. */
	ahead: boolean;
}

const before = (a: HeldTask, b: HeldTask): boolean =>
	a.priority > b.priority || (a.priority === b.priority && a.sequence < b.sequence);

/**
 * One pass over everything that waits. `assign` occupies the manager and moves the task.
 * Cost: the number of managers with room times the number of demands, plus the tasks placed.
 */
export function placeAll(
	queues: Iterable<DemandQueue>,
	managers: readonly ManagerRecord[],
	durations: Durations,
	nowMs: number,
	assign: Assign,
): void {
	const open = managers.filter((manager) => manager.link.at === "attached" && !manager.draining);
	if (open.length === 0) return;
	const lines: Line[] = [];
	for (const queue of queues) {
		const head = queue.peek();
		if (head) lines.push({ queue, head, candidates: open.slice(), cursor: 0, ahead: false });
	}
	for (const manager of open) {
		if (manager.reservedFor !== undefined && !lines.some((line) => line.queue.demand.key === manager.reservedFor))
			manager.reservedFor = undefined;
	}
	let turn = 0;
	while (lines.length > 0) {
		const best = bestOf(lines);
		const line = lines[best] as Line;
		const manager = pick(line, open, durations, nowMs, turn++);
		if (!manager) {
			lines.splice(best, 1);
			if (shouldReserve(line, lines, nowMs)) reserve(line, open);
			continue;
		}
		line.queue.take();
		if (manager.reservedFor === line.queue.demand.key) manager.reservedFor = undefined;
		assign(
			line.head,
			manager,
			line.head.demand.plain ? Math.min(durations.estimateMs(line.head.functionId), prefetchMs) : 0,
		);
		const next = line.queue.peek();
		if (next) line.head = next;
		else lines.splice(best, 1);
	}
}

function bestOf(lines: readonly Line[]): number {
	let best = 0;
	for (let i = 1; i < lines.length; i++) {
		if (before((lines[i] as Line).head, (lines[best] as Line).head)) best = i;
	}
	return best;
}

function pick(
	line: Line,
	open: readonly ManagerRecord[],
	durations: Durations,
	nowMs: number,
	turn: number,
): ManagerRecord | undefined {
	const { demand } = line.queue;
	for (;;) {
		const { candidates } = line;
		while (candidates.length > 0) {
			const at = (line.cursor + (line.cursor === 0 ? turn : 0)) % candidates.length;
			const manager = candidates[at] as ManagerRecord;
			const reserved = manager.reservedFor !== undefined && manager.reservedFor !== demand.key;
			const room =
				!reserved &&
				(line.ahead ? mayPrefetch(manager, durations.estimateMs(line.head.functionId)) : fits(manager, demand, nowMs));
			if (room) {
				line.cursor = at + 1;
				return manager;
			}
			candidates[at] = candidates[candidates.length - 1] as ManagerRecord;
			candidates.pop();
		}
		if (!demand.plain || line.ahead) return undefined;
		line.ahead = true;
		line.candidates = open.slice();
	}
}

function shouldReserve(line: Line, others: readonly Line[], nowMs: number): boolean {
	if (line.queue.demand.plain) return false;
	if (nowMs - line.head.queuedAtMs >= starvationMs) return true;
	return others.length > 0 && others.every((other) => other.head.priority < line.head.priority);
}

/** Keeps the emptiest node that could run the line's tasks for them, unless one is kept already. */
function reserve(line: Line, open: readonly ManagerRecord[]): void {
	const { demand } = line.queue;
	let emptiest: ManagerRecord | undefined;
	for (const manager of open) {
		if (manager.reservedFor === demand.key) return;
		if (manager.reservedFor !== undefined || !couldEverRun(manager.shape, demand)) continue;
		if (!emptiest || manager.tasks.size < emptiest.tasks.size) emptiest = manager;
	}
	if (emptiest) emptiest.reservedFor = demand.key;
}
