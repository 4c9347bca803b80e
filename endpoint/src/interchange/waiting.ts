/** Why what waits is not running: for each demand one word, and one sentence with the numbers that decide. */
import type { WaitingWord } from "@errand/proto";
import { toldDemands, type WaitingSummary } from "@errand/proto/rest";
import { counted, describeDemand, describeMs, describeTime } from "./amounts.ts";
import { couldEverRun, type Demand, endsInTime, type NodeDemand } from "./demand.ts";
import { offersOf } from "./failures.ts";
import type { HeldTask } from "./held-task.ts";
import { fits, isOpen, type ManagerRecord } from "./manager-record.ts";
import type { Nodes } from "./nodes.ts";
import type { QueueRecord } from "./queue-record.ts";
import type { BlockView, ClosedQueue, QueueView, ScalingView } from "./queue-view.ts";
import { mayUse } from "./reservation.ts";
import type { WaitingGroup } from "./waiting-tasks.ts";

/** A task that was handed to a node and has not begun after this long waits for more than the way. */
const handedMs = 2_000;

export interface WaitingInput {
	/** In the order in which they would be placed. */
	readonly queued: readonly WaitingGroup[];
	/** Nodes of before are expected back, and may be running these. */
	readonly unsettled: Iterable<HeldTask>;
	/** All tasks. */
	readonly tasks: Iterable<HeldTask>;
	readonly nodes: Nodes;
	readonly view: ScalingView;
	readonly nowMs: number;
}

type Reason = Pick<WaitingSummary, "word" | "sentence">;

/** What the questions about one demand look at. */
interface Case extends Omit<WaitingInput, "queued" | "unsettled" | "tasks"> {
	readonly head: HeldTask;
	readonly demand: Demand;
	/** Queues some block of which could run it, however long it takes. */
	readonly able: readonly QueueRecord[];
	/** Of those, the ones whose blocks last long enough. */
	readonly lasting: readonly QueueRecord[];
	/** Blocks of those on which no node has come yet. */
	readonly onTheWay: readonly BlockView[];
	/** Nodes that could run it were they empty, as many as it needs of one block. */
	readonly usable: readonly ManagerRecord[];
}

/** The first that has an answer is the reason. */
const questions: readonly ((about: Case) => Reason | undefined)[] = [
	noSuchResources,
	walltimeDoesNotFit,
	launchThrottled,
	nodeKept,
	nodesBusy,
	blockStarting,
	schedulerSilent,
	blockPending,
	blockHeld,
	nothingAskedFor,
];

export function explainWaiting(input: WaitingInput): WaitingSummary[] {
	const told = new Map<string, WaitingSummary>();
	const tell = (demand: Demand, tasks: number, { word, sentence }: Reason): void => {
		if (told.size < toldDemands && !told.has(demand.key))
			told.set(demand.key, { demand: demand.key, tasks, word, sentence });
	};
	for (const group of input.queued) {
		if (told.size >= toldDemands) break;
		tell(group.head.demand, group.tasks, reasonOf(caseOf(group.head, input)));
	}
	for (const { demand, tasks } of byDemand(input.unsettled)) tell(demand, tasks, unsettledReason);
	const handed = [...input.tasks].filter(
		({ state }) => state.at === "held" && !state.running && input.nowMs - state.sinceMs >= handedMs,
	);
	for (const { demand, tasks, host } of byDemand(handed))
		tell(demand, tasks, {
			word: "worker-starting",
			sentence: `${tasks === 1 ? "It is" : `${counted(tasks, "task")} are`} at node ${host} and ${tasks === 1 ? "waits" : "wait"} for a worker there.`,
		});
	return [...told.values()];
}

const unsettledReason: Reason = {
	word: "block-starting",
	sentence:
		"The endpoint has just started: nodes that it had before are expected back, and one of them may be running it.",
};

function reasonOf(about: Case): Reason {
	for (const question of questions) {
		const reason = question(about);
		if (reason) return reason;
	}
	return { word: "block-pending", sentence: "A block for it is about to be asked for." };
}

function* byDemand(tasks: Iterable<HeldTask>): Iterable<{ demand: Demand; tasks: number; host: string }> {
	const groups = new Map<string, { demand: Demand; tasks: number; host: string }>();
	for (const { demand, state } of tasks) {
		const group = groups.get(demand.key);
		if (group) group.tasks++;
		else groups.set(demand.key, { demand, tasks: 1, host: state.at === "held" ? state.manager.host : "" });
	}
	yield* groups.values();
}

function caseOf(head: HeldTask, { nodes, view, nowMs }: WaitingInput): Case {
	const { demand } = head;
	const able = nodes.queues.filter((queue) => demand.variants.some((variant) => queue.couldRun(variant) !== "no"));
	const lasting = able.filter((queue) => queue.longEnough(demand));
	const names = new Set(lasting.map(({ settings }) => settings.name));
	return {
		head,
		demand,
		nodes,
		view,
		nowMs,
		able,
		lasting,
		onTheWay: view.blocks.filter(({ queue, state }) => names.has(queue) && state !== "active" && state !== "draining"),
		usable: usableFor(demand, nodes, (manager, variant) => couldRunEmpty(manager, demand, variant, nowMs)),
	};
}

const couldRunEmpty = (manager: ManagerRecord, demand: Demand, variant: NodeDemand, nowMs: number): boolean =>
	isOpen(manager) && couldEverRun(manager.shape, variant) && endsInTime(manager.shape, demand.expectedMs, nowMs);

/** Managers that are good for some variant, counting only blocks with as many as the variant needs. */
function usableFor(
	demand: Demand,
	nodes: Nodes,
	good: (manager: ManagerRecord, variant: NodeDemand) => boolean,
): ManagerRecord[] {
	const usable = new Set<ManagerRecord>();
	for (const variant of demand.variants) {
		const blocks = new Map<string, ManagerRecord[]>();
		for (const manager of nodes.managers) {
			if (!good(manager, variant)) continue;
			const members = blocks.get(manager.block.id);
			if (members) members.push(manager);
			else blocks.set(manager.block.id, [manager]);
		}
		for (const members of blocks.values())
			if (members.length >= variant.nodes) for (const manager of members) usable.add(manager);
	}
	return [...usable];
}

function free(
	{ demand, nodes, nowMs }: Case,
	may: (manager: ManagerRecord, variant: NodeDemand) => boolean,
): ManagerRecord[] {
	return usableFor(
		demand,
		nodes,
		(manager, variant) =>
			isOpen(manager) &&
			(variant.nodes === 1 || manager.tasks.size === 0) &&
			couldEverRun(manager.shape, variant) &&
			fits(manager, demand, variant, nowMs) &&
			may(manager, variant),
	);
}

function noSuchResources({ demand, able, nodes }: Case): Reason | undefined {
	if (able.length > 0 || nodes.queues.length === 0) return undefined;
	return { word: "no-such-resources", sentence: `It asks for ${describeDemand(demand)}; ${offersOf(nodes.queues)}.` };
}

function walltimeDoesNotFit({ demand, able, lasting }: Case): Reason | undefined {
	if (able.length === 0 || lasting.length > 0) return undefined;
	const lasts = able.map(
		({ settings }) => `blocks of queue ${settings.name} last ${describeMs(settings.walltimeMs ?? 0)}`,
	);
	return {
		word: "walltime-does-not-fit",
		sentence:
			`It is expected to take ${describeMs(demand.expectedMs)}; ${lasts.join("; ")}. ` +
			"Say a shorter time if it takes less, or have the queue's walltime raised.",
	};
}

function launchThrottled(about: Case): Reason | undefined {
	const { head, nowMs } = about;
	const ready = free(about, (manager) => mayUse(manager, head, nowMs));
	for (const { block } of ready) {
		const reason = block.queue.throttle.reason(nowMs);
		if (reason !== undefined && about.demand.variants.some(({ launches }) => launches))
			return {
				word: "launch-throttled",
				sentence: `There is room for it, but of queue ${block.queue.settings.name} ${reason}.`,
			};
	}
	return undefined;
}

function nodeKept(about: Case): Reason | undefined {
	const { head, nowMs } = about;
	const kept = free(about, () => true);
	if (kept.length === 0 || free(about, (manager) => mayUse(manager, head, nowMs)).length > 0) return undefined;
	const reservation = kept.find(({ reservation }) => reservation !== undefined)?.reservation;
	if (!reservation) return undefined;
	const from =
		reservation.startsAtMs < Number.POSITIVE_INFINITY && reservation.startsAtMs > nowMs
			? `, which can start at ${describeTime(reservation.startsAtMs, nowMs)} at the latest`
			: "";
	return {
		word: "node-kept-for-larger",
		sentence: `${counted(kept.length, "node has", "nodes have")} room for it, but ${kept.length === 1 ? "is" : "are"} kept for a larger task that waited first (${reservation.key})${from}.`,
	};
}

function nodesBusy(about: Case): Reason | undefined {
	const { demand, usable, onTheWay } = about;
	if (usable.length === 0) return undefined;
	const [first] = demand.variants;
	const busy = usable.filter(({ tasks }) => tasks.size > 0).length;
	const state = demand.plain
		? `All ${counted(
				usable.reduce((sum, { shape }) => sum + shape.workers, 0),
				"worker",
			)} of ${counted(usable.length, "node")} are busy`
		: first.nodes > 1
			? `It needs ${first.nodes} whole nodes of one block; of ${counted(usable.length, "node")} that could run it ${busy} ${busy === 1 ? "is" : "are"} busy`
			: `It asks for ${describeDemand(demand)}; ${counted(usable.length, "node")} could run it, and none has that free now`;
	const more =
		onTheWay.length > 0
			? `; ${counted(onTheWay.length, "more block is", "more blocks are")} on the way`
			: noMore(about);
	return { word: "nodes-busy", sentence: `${state}${more}.` };
}

/** Why no further block comes, as a part of a sentence. */
function noMore(about: Case): string {
	const reason = nothingAskedFor(about);
	return reason === undefined ? "" : `; and no further block comes: ${reason.sentence.replace(/\.$/, "")}`;
}

function blockStarting({ onTheWay, demand, view, nodes, lasting }: Case): Reason | undefined {
	const [starting, ...more] = onTheWay.filter(({ state }) => state === "starting");
	if (starting)
		return {
			word: "block-starting",
			sentence: `${more.length === 0 ? "A block has" : `${more.length + 1} blocks have`} been started by the scheduler${says([starting])}; no node of ${more.length === 0 ? "it" : "them"} has come yet.`,
		};
	const needed = Math.min(...demand.variants.map((variant) => variant.nodes));
	for (const block of view.blocks) {
		const come = nodes.ofBlock(block.id).filter(isOpen).length;
		if (
			block.state === "active" &&
			come < block.nodes &&
			block.nodes >= needed &&
			lasting.some(({ settings }) => settings.name === block.queue)
		)
			return {
				word: "block-starting",
				sentence: `Of the ${block.nodes} nodes of a block ${come} ${come === 1 ? "has" : "have"} come, and it needs ${needed}.`,
			};
	}
	return undefined;
}

function schedulerSilent(about: Case): Reason | undefined {
	const closed = views(about).find((queue) => queue.closed?.word === "scheduler-silent")?.closed;
	return closed && reasonOfClosed(closed);
}

const reasonOfClosed = ({ word, sentence }: ClosedQueue): Reason => ({ word, sentence });

function blockPending({ onTheWay, nowMs }: Case): Reason | undefined {
	const pending = onTheWay.filter(({ state }) => state === "submitted" || state === "requested");
	if (pending.length === 0) return undefined;
	const submitted = pending.some(({ state }) => state === "submitted");
	const starts = pending.map(({ expectedStartMs }) => expectedStartMs ?? Number.POSITIVE_INFINITY);
	const soonest = Math.min(...starts);
	const expects = Number.isFinite(soonest) ? `expects a start at ${describeTime(soonest, nowMs)}` : "";
	const words = [...new Set(pending.map(({ reason }) => reason).filter((reason) => reason !== ""))].slice(0, 3);
	const tells = [...(words.length > 0 ? [`says ${words.join(", ")}`] : []), ...(expects === "" ? [] : [expects])];
	const count = counted(pending.length, "block is", "blocks are");
	return {
		word: "block-pending",
		sentence: submitted
			? `${count} queued at the scheduler${tells.length > 0 ? `, which ${tells.join(" and ")}` : ""}.`
			: `${count} being asked of the scheduler.`,
	};
}

function blockHeld({ onTheWay }: Case): Reason | undefined {
	const held = onTheWay.filter(({ state }) => state === "held");
	if (held.length === 0) return undefined;
	return {
		word: "block-held",
		sentence: `${counted(held.length, "block is", "blocks are")} held at the scheduler${says(held)}: nothing starts until somebody releases ${held.length === 1 ? "it" : "them"}.`,
	};
}

function says(blocks: readonly BlockView[]): string {
	const reason = blocks.find((block) => block.reason !== "")?.reason;
	return reason === undefined ? "" : `, which says ${reason}`;
}

/** No block is on its way, and none will be asked for; undefined when one will. */
function nothingAskedFor(about: Case): Reason | undefined {
	const queues = views(about);
	const stopped = queues.map((queue) => stops(queue, about));
	return stopped.includes(undefined) ? undefined : stopped[0];
}

/** Why this queue gets no block. */
function stops(queue: QueueView, { nodes, view }: Case): Reason | undefined {
	if (queue.closed) return reasonOfClosed(queue.closed);
	const { name } = queue;
	if (queue.affordableBlocks !== undefined && queue.affordableBlocks < 1)
		return {
			word: "budget-used-up",
			sentence: `What is left of budget_node_hours does not pay for another block of queue ${name}.`,
		};
	const settings = nodes.queue(name)?.settings;
	const blocks = view.blocks.filter((block) => block.queue === name);
	const waiting = blocks.filter(({ state }) => state !== "active" && state !== "draining");
	const limit = (count: number, what: string, setting: string): Reason => ({
		word: "block-limit" satisfies WaitingWord,
		sentence: `Queue ${name} has ${counted(count, "block")}${what}, as many as ${setting} allows.`,
	});
	if (settings && blocks.length >= settings.maxBlocks) return limit(blocks.length, "", "max_blocks");
	if (settings && waiting.length >= settings.maxQueuedBlocks)
		return limit(waiting.length, " at the scheduler", "max_queued_blocks");
	return undefined;
}

/** Of the queues that could run it, in their order. */
function views({ view, lasting }: Case): QueueView[] {
	return lasting.flatMap(({ settings }) => view.queues.filter(({ name }) => name === settings.name));
}
