/** Nodes that are kept free for tasks that the small ones would never leave room for. */
import { couldEverRun, type Demand, endsInTime, type NodeDemand } from "./demand.ts";
import { goesBefore, type HeldTask } from "./held-task.ts";
import { type BlockRecord, isOpen, type ManagerRecord } from "./manager-record.ts";

export interface Reservation {
	readonly key: string;
	/** The order of the task that it is for. */
	readonly priority: number;
	readonly sequence: number;
	readonly managers: readonly ManagerRecord[];
	/** When its nodes are expected to be free; Infinity when nobody can say. What has ended by then may run there. */
	readonly startsAtMs: number;
}

/** Whether this task may take room at the manager although it may be kept for another. */
export function mayUse(manager: ManagerRecord, task: HeldTask, nowMs: number): boolean {
	const { reservation } = manager;
	if (reservation === undefined || reservation.key === task.demand.key) return true;
	if (goesBefore(task, reservation)) return true;
	const { expectedMs } = task.demand;
	return (
		expectedMs > 0 && reservation.startsAtMs < Number.POSITIVE_INFINITY && nowMs + expectedMs <= reservation.startsAtMs
	);
}

/** When everything on it has ended, as far as all of it has said how long it takes. */
function freeAtMs(manager: ManagerRecord, nowMs: number): number {
	let atMs = nowMs;
	for (const { demand, state } of manager.tasks.values()) {
		if (state.at !== "held") continue;
		if (demand.expectedMs === 0) return Number.POSITIVE_INFINITY;
		atMs = Math.max(atMs, state.sinceMs + demand.expectedMs);
	}
	return atMs;
}

interface Candidate {
	readonly manager: ManagerRecord;
	readonly freeAtMs: number;
}

/** The soonest free first; of equals the one with the least to do. */
const bySoonest = (a: Candidate, b: Candidate): number =>
	a.freeAtMs === b.freeAtMs ? a.manager.tasks.size - b.manager.tasks.size : a.freeAtMs < b.freeAtMs ? -1 : 1;

/** The nodes to keep for this task; undefined when none could run it, or others that go before keep them. */
export function chooseReservation(
	task: HeldTask,
	open: readonly ManagerRecord[],
	nowMs: number,
): Reservation | undefined {
	for (const variant of task.demand.variants) {
		const able = open.filter((manager) => mayReserve(manager, task, variant, nowMs));
		const chosen = variant.nodes > 1 ? soonestBlock(able, variant.nodes, nowMs) : soonest(able, 1, nowMs);
		if (chosen.length < variant.nodes) continue;
		return {
			key: task.demand.key,
			priority: task.priority,
			sequence: task.sequence,
			managers: chosen.map(({ manager }) => manager),
			startsAtMs: Math.max(...chosen.map((one) => one.freeAtMs)),
		};
	}
	return undefined;
}

function mayReserve(manager: ManagerRecord, task: HeldTask, variant: NodeDemand, nowMs: number): boolean {
	const { reservation } = manager;
	return (
		(reservation === undefined || reservation.key === task.demand.key || goesBefore(task, reservation)) &&
		couldEverRun(manager.shape, variant) &&
		endsInTime(manager.shape, task.demand.expectedMs, nowMs)
	);
}

function soonest(able: readonly ManagerRecord[], count: number, nowMs: number): Candidate[] {
	return able
		.map((manager) => ({ manager, freeAtMs: freeAtMs(manager, nowMs) }))
		.sort(bySoonest)
		.slice(0, count);
}

function soonestBlock(able: readonly ManagerRecord[], nodes: number, nowMs: number): Candidate[] {
	const blocks = new Map<BlockRecord, ManagerRecord[]>();
	for (const manager of able) {
		const members = blocks.get(manager.block);
		if (members) members.push(manager);
		else blocks.set(manager.block, [manager]);
	}
	let best: Candidate[] = [];
	for (const members of blocks.values()) {
		if (members.length < nodes) continue;
		const chosen = soonest(members, nodes, nowMs);
		if (best.length === 0 || bySoonest(chosen.at(-1) as Candidate, best.at(-1) as Candidate) < 0) best = chosen;
	}
	return best;
}

/** Whether it still makes sense: its nodes take tasks and last long enough. */
export function holdsStill(reservation: Reservation, demand: Demand, nowMs: number): boolean {
	return reservation.managers.every(
		(manager) => isOpen(manager) && endsInTime(manager.shape, demand.expectedMs, nowMs),
	);
}
