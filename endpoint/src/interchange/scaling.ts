/**
 * How many blocks are wanted, and which may go. The question is asked of the arithmetic that places tasks: what would
 * run if this block were here? Tasks are looked at by demand, so that a hundred thousand cost no more than one.
 */
import { couldEverRun, type Demand, endsInTime, type NodeDemand } from "./demand.ts";
import { isOpen } from "./manager-record.ts";
import type { Nodes } from "./nodes.ts";
import type { QueueRecord } from "./queue-record.ts";
import type { BlockView, QueueView, ScalingPlan, ScalingView } from "./queue-view.ts";
import { Room } from "./room.ts";

/** Managers of one block come within this time of each other; later the missing ones are not counted on. */
const companionsMs = 60_000;

/** Tasks of one demand that wait. */
export interface DemandGroup {
	readonly demand: Demand;
	readonly tasks: number;
}

interface ForecastRoom {
	readonly room: Room;
	/** So many nodes alike. */
	nodes: number;
	/** Kept for the tasks of this demand. */
	readonly onlyFor: string | undefined;
}

/** A block as it will be: with nodes that are there, or are to come. */
interface ForecastBlock {
	readonly id: string | undefined;
	readonly queue: QueueRecord;
	/** Unix milliseconds; Infinity: not by itself. */
	readonly endsAtMs: number;
	rooms: ForecastRoom[];
	used: boolean;
}

interface QueueForecast {
	readonly record: QueueRecord;
	readonly view: QueueView;
	readonly live: readonly BlockView[];
	/** So many more may be asked for. */
	allowance: number;
	started: number;
}

export interface ScalingInput {
	/** In the order in which they would be placed. */
	readonly groups: readonly DemandGroup[];
	readonly nodes: Nodes;
	readonly view: ScalingView;
	readonly nowMs: number;
	/** Since when a block that waits at the scheduler has not been needed; remembered between calls. */
	readonly unneededSinceMs: Map<string, number>;
}

export function planScaling(input: ScalingInput): ScalingPlan {
	const { groups, nodes, view, nowMs } = input;
	const queues = new Map<string, QueueForecast>();
	for (const queue of view.queues) {
		const record = nodes.queue(queue.name);
		if (record?.configured) queues.set(queue.name, forecastQueue(record, queue, view.blocks));
	}
	const blocks = forecastBlocks(nodes, view.blocks, nowMs, groups.length > 0);
	for (const group of groups) serve(group, blocks, queues, nowMs);
	const used = new Set(blocks.filter((block) => block.used).map(({ id }) => id));
	const start: { queue: string; count: number }[] = [];
	const drain: string[] = [];
	const cancelPending: string[] = [];
	for (const queue of queues.values()) {
		const count = blocksToStart(queue, nodes, used);
		if (count > 0) start.push({ queue: queue.view.name, count });
		const cancelled = pendingToCancel(queue, used, input);
		cancelPending.push(...cancelled);
		drain.push(...idleToDrain(queue, nodes, used, queue.live.length - cancelled.length, nowMs));
	}
	forgetOthers(input.unneededSinceMs, view.blocks);
	return { start, drain, cancelPending };
}

const isPending = (block: BlockView): boolean => block.state !== "active" && block.state !== "draining";

function forecastQueue(record: QueueRecord, view: QueueView, blocks: readonly BlockView[]): QueueForecast {
	const own = blocks.filter((block) => block.queue === view.name);
	const { maxBlocks, maxQueuedBlocks } = record.settings;
	const allowance = Math.min(
		maxBlocks - own.length,
		maxQueuedBlocks - own.filter(isPending).length,
		view.affordableBlocks ?? Number.POSITIVE_INFINITY,
	);
	return {
		record,
		view,
		live: own.filter((block) => block.state !== "draining"),
		allowance: view.closed === undefined ? Math.max(0, Math.floor(allowance)) : 0,
		started: 0,
	};
}

/** First what is there, then what is on its way; a block that is held comes last, for nobody knows when it will start. */
const order: Readonly<Record<BlockView["state"], number>> = {
	active: 0,
	draining: 0,
	starting: 1,
	submitted: 2,
	requested: 3,
	held: 4,
};

function forecastBlocks(nodes: Nodes, views: readonly BlockView[], nowMs: number, withRooms: boolean): ForecastBlock[] {
	if (!withRooms) return [];
	const blocks: ForecastBlock[] = [];
	for (const view of views.toSorted((a, b) => order[a.state] - order[b.state])) {
		const queue = nodes.queue(view.queue);
		if (!queue || view.state === "draining") continue;
		const rooms: ForecastRoom[] = [];
		const known = nodes.block(view.id);
		for (const manager of known?.managers ?? []) {
			if (!isOpen(manager) || manager.whole || manager.room.workers <= manager.plain) continue;
			const room = manager.room.copy();
			room.workers -= manager.plain;
			room.cores -= manager.plain;
			rooms.push({ room, nodes: 1, onlyFor: manager.reservation?.key });
		}
		const toCome = known && nowMs - known.firstAttachMs > companionsMs ? 0 : view.nodes - (known?.managers.size ?? 0);
		if (toCome > 0) rooms.push({ room: new Room(queue.nextShape), nodes: toCome, onlyFor: undefined });
		// Of a block that has not begun, the whole of its time is ahead.
		const endsAtMs = isPending(view)
			? nowMs + (queue.settings.walltimeMs ?? Number.POSITIVE_INFINITY)
			: (view.endsAtMs ?? Number.POSITIVE_INFINITY);
		blocks.push({ id: view.id, queue, endsAtMs, rooms, used: false });
	}
	return blocks;
}

function serve(
	{ demand, tasks }: DemandGroup,
	blocks: ForecastBlock[],
	queues: ReadonlyMap<string, QueueForecast>,
	nowMs: number,
): void {
	let left = tasks;
	for (const variant of demand.variants) {
		for (const block of blocks) {
			if (left === 0) return;
			left -= fill(block, demand, variant, left, nowMs);
		}
	}
	for (const ask of [open, probe]) {
		for (const variant of demand.variants) {
			for (const queue of queues.values()) {
				if (left === 0) return;
				if (queue.record.longEnough(demand)) left = ask(queue, demand, variant, left, blocks, nowMs);
			}
		}
	}
}

/** Asks for blocks of the queue as long as they help. Returns how many tasks are left. */
function open(
	queue: QueueForecast,
	demand: Demand,
	variant: NodeDemand,
	tasks: number,
	blocks: ForecastBlock[],
	nowMs: number,
): number {
	const { record } = queue;
	if (record.couldRun(variant) !== "yes") return tasks;
	const { nodesPerBlock, walltimeMs } = record.settings;
	let left = tasks;
	while (left > 0 && queue.allowance > 0) {
		const block: ForecastBlock = {
			id: undefined,
			queue: record,
			endsAtMs: nowMs + (walltimeMs ?? Number.POSITIVE_INFINITY),
			rooms: [{ room: new Room(record.shapeFor(variant)), nodes: nodesPerBlock, onlyFor: undefined }],
			used: false,
		};
		const filled = fill(block, demand, variant, left, nowMs);
		if (filled === 0) break;
		left -= filled;
		queue.allowance--;
		queue.started++;
		if (block.rooms.length > 0) blocks.push(block);
	}
	return left;
}

/** Where it is not known what nodes have, one block will tell; as long as it is on its way all the tasks wait for it. */
function probe(queue: QueueForecast, _demand: Demand, variant: NodeDemand, tasks: number): number {
	if (queue.record.couldRun(variant) !== "maybe") return tasks;
	if (queue.started > 0 || queue.live.some(isPending)) return 0;
	if (queue.live.length > 0 || queue.allowance === 0) return tasks;
	queue.allowance--;
	queue.started++;
	return 0;
}

/** Places up to so many tasks in the block. Returns how many it took. */
function fill(block: ForecastBlock, demand: Demand, variant: NodeDemand, tasks: number, nowMs: number): number {
	if (block.rooms.length === 0 || nowMs + demand.expectedMs > block.endsAtMs) return 0;
	const filled =
		variant.nodes > 1
			? fillWhole(block, demand, variant, tasks, nowMs)
			: fillNodes(block, demand, variant, tasks, nowMs);
	if (filled > 0) block.used = true;
	return filled;
}

function fillWhole(block: ForecastBlock, demand: Demand, variant: NodeDemand, tasks: number, nowMs: number): number {
	const able = block.rooms.filter(
		({ room, onlyFor }) =>
			room.empty &&
			couldEverRun(room.shape, variant) &&
			endsInTime(room.shape, demand.expectedMs, nowMs) &&
			(onlyFor === undefined || onlyFor === demand.key),
	);
	const free = able.reduce((sum, { nodes }) => sum + nodes, 0);
	const placed = Math.min(tasks, Math.floor(free / variant.nodes));
	let taken = placed * variant.nodes;
	for (const entry of able) {
		const nodes = Math.min(entry.nodes, taken);
		entry.nodes -= nodes;
		taken -= nodes;
	}
	if (placed > 0) block.rooms = block.rooms.filter(({ nodes }) => nodes > 0);
	return placed;
}

function fillNodes(block: ForecastBlock, demand: Demand, variant: NodeDemand, tasks: number, nowMs: number): number {
	let left = tasks;
	const rooms: ForecastRoom[] = [];
	const keep = (room: Room, nodes: number, onlyFor: string | undefined): void => {
		if (nodes > 0 && room.workers >= 1 && room.cores >= 1) rooms.push({ room, nodes, onlyFor });
	};
	for (const entry of block.rooms) {
		const { room, nodes, onlyFor } = entry;
		const each =
			left > 0 && (onlyFor === undefined || onlyFor === demand.key) && endsInTime(room.shape, demand.expectedMs, nowMs)
				? room.capacity(variant)
				: 0;
		if (each === 0) {
			rooms.push(entry);
			continue;
		}
		const filledNodes = Math.min(nodes, Math.floor(left / each));
		const rest = filledNodes < nodes ? left - filledNodes * each : 0;
		keep(after(room, variant, each), filledNodes, onlyFor);
		if (rest > 0) keep(after(room, variant, rest), 1, onlyFor);
		keep(room, nodes - filledNodes - (rest > 0 ? 1 : 0), onlyFor);
		left -= filledNodes * each + rest;
	}
	block.rooms = rooms;
	return tasks - left;
}

function after(room: Room, variant: NodeDemand, tasks: number): Room {
	const copy = room.copy();
	copy.take(variant, tasks);
	return copy;
}

function blocksToStart(queue: QueueForecast, nodes: Nodes, used: ReadonlySet<string | undefined>): number {
	const { record, view, live, started, allowance } = queue;
	const needed = live.filter(
		({ id, state }) => used.has(id) || (state === "active" && nodes.idleSinceMs(id) === undefined),
	);
	const wanted = Math.ceil(record.settings.parallelism * (needed.length + started) - 1e-9);
	const forTasks = started === 0 ? 0 : Math.max(0, Math.max(1, wanted) - needed.length);
	const atLeast = Math.max(view.keepBlocks, view.firstBlocks ?? 0) - live.length;
	return Math.min(Math.max(Math.min(forTasks, started), atLeast, 0), allowance + started);
}

/** Those that have not been needed for a while, beyond the blocks that there are to be. */
function pendingToCancel(queue: QueueForecast, used: ReadonlySet<string | undefined>, input: ScalingInput): string[] {
	const { live, view, record } = queue;
	const since = input.unneededSinceMs;
	const spare: string[] = [];
	for (const { id } of live.filter(isPending)) {
		if (used.has(id)) {
			since.delete(id);
			continue;
		}
		const sinceMs = since.get(id) ?? input.nowMs;
		since.set(id, Math.min(sinceMs, input.nowMs));
		if (input.nowMs - sinceMs >= record.settings.idleTimeoutMs) spare.push(id);
	}
	// The last asked for go first: the others have waited longer at the scheduler.
	return spare.reverse().slice(0, Math.max(0, live.length - view.keepBlocks));
}

/** The longest idle first; a block that works is never given back, nor one that what waits could use. */
function idleToDrain(
	queue: QueueForecast,
	nodes: Nodes,
	used: ReadonlySet<string | undefined>,
	live: number,
	nowMs: number,
): string[] {
	const idle: { id: string; sinceMs: number }[] = [];
	for (const { id, state } of queue.live) {
		const sinceMs = state === "active" && !used.has(id) ? nodes.idleSinceMs(id) : undefined;
		if (sinceMs !== undefined && nowMs - sinceMs >= queue.record.settings.idleTimeoutMs) idle.push({ id, sinceMs });
	}
	return idle
		.sort((a, b) => a.sinceMs - b.sinceMs)
		.slice(0, Math.max(0, live - queue.view.keepBlocks))
		.map(({ id }) => id);
}

function forgetOthers(sinceMs: Map<string, number>, blocks: readonly BlockView[]): void {
	if (sinceMs.size === 0) return;
	const known = new Set(blocks.map(({ id }) => id));
	for (const id of sinceMs.keys()) if (!known.has(id)) sinceMs.delete(id);
}
