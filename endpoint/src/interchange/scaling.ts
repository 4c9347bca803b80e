/**
 * How many blocks are wanted, and which may go. The question is asked of the arithmetic that places tasks: what would
 * run if this block were here? Tasks are looked at by demand, so that a hundred thousand cost no more than one.
 */
import { couldEverRun, type Demand, endsInTime, type NodeDemand } from "./demand.ts";
import { type BlockRecord, isOpen } from "./manager-record.ts";
import type { Nodes } from "./nodes.ts";
import type { QueueRecord } from "./queue-record.ts";
import type { BlockView, QueueView, ScalingPlan, ScalingView } from "./queue-view.ts";
import { Room } from "./room.ts";

/** Managers of one block come within this time of each other; later the missing ones are not counted on. */
const companionsMs = 60_000;

/** Tasks of one demand that wait. */
interface DemandGroup {
	readonly demand: Demand;
	readonly tasks: number;
}

interface ForecastRoom {
	readonly room: Room;
	/** So many nodes alike. */
	readonly nodes: number;
	/** Kept for the tasks of this demand. */
	readonly onlyFor: string | undefined;
}

/** Blocks alike as they will be, with nodes that are there or are to come. */
interface ForecastBlocks {
	count: number;
	/** Of those that have been asked for; empty for new ones. */
	ids: string[];
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
	const used = new Set(blocks.filter((block) => block.used).flatMap(({ ids }) => ids));
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

function forecastBlocks(
	nodes: Nodes,
	views: readonly BlockView[],
	nowMs: number,
	withRooms: boolean,
): ForecastBlocks[] {
	if (!withRooms) return [];
	const blocks: ForecastBlocks[] = [];
	/** On their way, by queue and state: nothing tells one from the other. */
	const alike = new Map<string, ForecastBlocks>();
	for (const view of views.toSorted((a, b) => order[a.state] - order[b.state])) {
		const queue = nodes.queue(view.queue);
		if (!queue || view.state === "draining") continue;
		const known = nodes.block(view.id);
		const key = `${view.state}/${view.nodes}/${view.queue}`;
		const like = known ? undefined : alike.get(key);
		if (like && isPending(view)) {
			like.count++;
			like.ids.push(view.id);
			continue;
		}
		const rooms = known ? roomsOf(known) : [];
		const toCome = known && nowMs - known.firstAttachMs > companionsMs ? 0 : view.nodes - (known?.managers.size ?? 0);
		if (toCome > 0) rooms.push({ room: new Room(queue.nextShape), nodes: toCome, onlyFor: undefined });
		if (rooms.length === 0) continue;
		// Of a block that has not begun, the whole of its time is ahead.
		const endsAtMs = isPending(view)
			? nowMs + (queue.settings.walltimeMs ?? Number.POSITIVE_INFINITY)
			: (view.endsAtMs ?? Number.POSITIVE_INFINITY);
		const block: ForecastBlocks = { count: 1, ids: [view.id], queue, endsAtMs, rooms, used: false };
		blocks.push(block);
		if (!known && isPending(view)) alike.set(key, block);
	}
	return blocks;
}

/** Rooms are never changed here, only replaced: what is free at a manager may be looked at as it is. */
function roomsOf(block: BlockRecord): ForecastRoom[] {
	const rooms: ForecastRoom[] = [];
	for (const manager of block.managers) {
		const { room, plain, whole, reservation } = manager;
		if (!isOpen(manager) || whole || room.workers <= plain) continue;
		rooms.push({ room: plain === 0 ? room : room.lending(plain), nodes: 1, onlyFor: reservation?.key });
	}
	return rooms;
}

function serve(
	{ demand, tasks }: DemandGroup,
	blocks: ForecastBlocks[],
	queues: ReadonlyMap<string, QueueForecast>,
	nowMs: number,
): void {
	let left = tasks;
	for (const variant of demand.variants) {
		for (const block of blocks) {
			if (left === 0) return;
			left -= fill(block, { demand, variant, nowMs }, left, blocks);
		}
	}
	for (const ask of [open, probe]) {
		for (const variant of demand.variants) {
			for (const queue of queues.values()) {
				if (left === 0) return;
				if (queue.record.longEnough(demand)) left = ask(queue, { demand, variant, nowMs }, left, blocks);
			}
		}
	}
}

/** What is to be placed. */
interface Load {
	readonly demand: Demand;
	readonly variant: NodeDemand;
	readonly nowMs: number;
}

/** Asks for blocks of the queue as long as they help. Returns how many tasks are left. */
function open(queue: QueueForecast, load: Load, tasks: number, blocks: ForecastBlocks[]): number {
	const { record, allowance } = queue;
	if (allowance === 0 || record.couldRun(load.variant) !== "yes") return tasks;
	const { nodesPerBlock, walltimeMs } = record.settings;
	const fresh = (count: number): ForecastBlocks => ({
		count,
		ids: [],
		queue: record,
		endsAtMs: load.nowMs + (walltimeMs ?? Number.POSITIVE_INFINITY),
		rooms: [{ room: new Room(record.shapeFor(load.variant)), nodes: nodesPerBlock, onlyFor: undefined }],
		used: false,
	});
	const each = fill(fresh(1), load, tasks, []);
	if (each === 0) return tasks;
	const block = fresh(Math.min(allowance, Math.ceil(tasks / each)));
	queue.allowance -= block.count;
	queue.started += block.count;
	blocks.push(block);
	return tasks - fill(block, load, tasks, blocks);
}

/** Where it is not known what nodes have, one block will tell; as long as it is on its way all the tasks wait for it. */
function probe(queue: QueueForecast, { variant }: Load, tasks: number): number {
	if (queue.record.couldRun(variant) !== "maybe") return tasks;
	if (queue.started > 0 || queue.live.some(isPending)) return 0;
	if (queue.live.length > 0 || queue.allowance === 0) return tasks;
	queue.allowance--;
	queue.started++;
	return 0;
}

/**
 * Places up to so many tasks in the blocks; those that are not like the others any more are added to the list. Returns
 * how many it took.
 */
function fill(block: ForecastBlocks, load: Load, tasks: number, blocks: ForecastBlocks[]): number {
	if (block.rooms.length === 0 || load.nowMs + load.demand.expectedMs > block.endsAtMs) return 0;
	const filled = fillOne(block.rooms, load, tasks);
	if (filled === undefined) return 0;
	const full = Math.min(block.count, Math.floor(tasks / filled.tasks));
	const rest = full < block.count ? tasks - full * filled.tasks : 0;
	const untouched = block.count - full - (rest > 0 ? 1 : 0);
	if (untouched > 0) blocks.push(split(block, untouched));
	if (rest > 0) {
		const last = split(block, 1);
		last.used = true;
		last.rooms = fillOne(block.rooms, load, rest)?.rooms ?? [];
		blocks.push(last);
	}
	block.rooms = filled.rooms;
	block.used = true;
	return full * filled.tasks + rest;
}

/** Takes the last so many off. */
function split(block: ForecastBlocks, count: number): ForecastBlocks {
	block.count -= count;
	return { ...block, count, ids: block.ids.splice(block.count) };
}

interface Filled {
	readonly tasks: number;
	readonly rooms: ForecastRoom[];
}

/** What up to so many tasks leave of the rooms; undefined when there is room for none. */
function fillOne(rooms: readonly ForecastRoom[], load: Load, tasks: number): Filled | undefined {
	return load.variant.nodes > 1 ? fillWhole(rooms, load, tasks) : fillNodes(rooms, load, tasks);
}

const admits = ({ room, onlyFor }: ForecastRoom, { demand, nowMs }: Load): boolean =>
	(onlyFor === undefined || onlyFor === demand.key) && endsInTime(room.shape, demand.expectedMs, nowMs);

function fillWhole(rooms: readonly ForecastRoom[], load: Load, tasks: number): Filled | undefined {
	const { variant } = load;
	const able = rooms.filter(
		(entry) => entry.room.empty && couldEverRun(entry.room.shape, variant) && admits(entry, load),
	);
	const free = able.reduce((sum, { nodes }) => sum + nodes, 0);
	const placed = Math.min(tasks, Math.floor(free / variant.nodes));
	if (placed === 0) return undefined;
	let toTake = placed * variant.nodes;
	const left = rooms.map((entry) => {
		if (toTake === 0 || !able.includes(entry)) return entry;
		const taken = Math.min(entry.nodes, toTake);
		toTake -= taken;
		return { ...entry, nodes: entry.nodes - taken };
	});
	return { tasks: placed, rooms: left.filter(({ nodes }) => nodes > 0) };
}

function fillNodes(rooms: readonly ForecastRoom[], load: Load, tasks: number): Filled | undefined {
	const { variant } = load;
	let left = tasks;
	let kept: ForecastRoom[] | undefined;
	for (const [at, entry] of rooms.entries()) {
		const each = left > 0 && admits(entry, load) ? entry.room.capacity(variant) : 0;
		if (each === 0) {
			kept?.push(entry);
			continue;
		}
		kept ??= rooms.slice(0, at);
		const full = Math.min(entry.nodes, Math.floor(left / each));
		const rest = full < entry.nodes ? left - full * each : 0;
		for (const [nodes, placed] of [
			[full, each],
			[rest > 0 ? 1 : 0, rest],
			[entry.nodes - full - (rest > 0 ? 1 : 0), 0],
		] as const) {
			if (nodes === 0) continue;
			const room = placed === 0 ? entry.room : after(entry.room, variant, placed);
			if (room.workers >= 1 && room.cores >= 1) kept.push({ room, nodes, onlyFor: entry.onlyFor });
		}
		left -= full * each + rest;
	}
	return kept && { tasks: tasks - left, rooms: kept };
}

function after(room: Room, variant: NodeDemand, tasks: number): Room {
	const copy = room.copy();
	copy.take(variant, tasks);
	return copy;
}

function blocksToStart(queue: QueueForecast, nodes: Nodes, used: ReadonlySet<string>): number {
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
function pendingToCancel(queue: QueueForecast, used: ReadonlySet<string>, input: ScalingInput): string[] {
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
	used: ReadonlySet<string>,
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
