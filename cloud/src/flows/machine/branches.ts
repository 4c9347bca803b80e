/** Fan-out and join: the branches of a Parallel and the items of a Map. */
import {
	evaluateTemplate,
	FlowFailure,
	type FlowState,
	flowLimitItems,
	hidePrivateState,
	type Json,
	kindOf,
	type MapState,
	type ParallelState,
	resolveInput,
} from "@errand/proto/flow";
import type { Move } from "./move.ts";
import type { Trouble } from "./thread.ts";

type FanOut = MapState | ParallelState;

/** Items and branches of one state under way at a time, whatever it asks for. */
const concurrencyLimit = 1_000;

export function beginBranches(move: Move, state: FanOut): void {
	const documents = documentsOf(move, state);
	const { total } = documents;
	move.enter(hidePrivateState(documents.input));
	if (total > flowLimitItems)
		throw new FlowFailure(
			"States.DataLimitExceeded",
			`state ${state.name} has ${total} items; ${flowLimitItems} are allowed. Give an action several items at a time`,
		);
	move.wait({ for: "branches", total, next: 0, running: [], failed: 0, trouble: null });
	goOn(move, state);
}

export function branchEnded(move: Move, nth: number, trouble: Trouble | null): void {
	const { waits } = move.thread;
	const state = fanOutOf(move.state);
	if (waits.for !== "branches" || state === undefined || !waits.running.includes(nth)) return;
	move.wait({
		...waits,
		running: waits.running.filter((one) => one !== nth),
		failed: waits.failed + (trouble === null ? 0 : 1),
		trouble: waits.trouble ?? trouble,
	});
	if (trouble !== null && waits.failed + 1 > tolerated(state, waits.total)) giveUp(move, state);
	else goOn(move, state);
}

/** All branches have ended, and few enough have failed. */
export function join(move: Move, outputs: readonly Json[]): void {
	const state = fanOutOf(move.state);
	if (move.thread.waits.for !== "outputs" || state === undefined) return;
	move.finish(outputs, state.next);
}

/** Begins as many as there is room for, and asks for what they came to when none is left. */
function goOn(move: Move, state: FanOut): void {
	const { waits, turn, label } = move.thread;
	if (waits.for !== "branches") return;
	const { total } = waits;
	const room = Math.min(
		concurrencyLimit,
		state.type === "Map" && state.maxConcurrency > 0 ? state.maxConcurrency : Number.POSITIVE_INFINITY,
	);
	const running = [...waits.running];
	let { next } = waits;
	if (running.length < room && next < total) {
		const { documentOf } = documentsOf(move, state);
		// The same share for each, whatever the order in which they begin; one share stays for what comes after them.
		const share = Math.floor(move.thread.budget / (total - next + 1));
		while (running.length < room && next < total) {
			const nth = next++;
			move.effects.push({
				do: "branch",
				turn,
				nth,
				of: state,
				document: documentOf(nth),
				label: `${label === "" ? "" : `${label}/`}${state.name}[${nth}]`,
				budget: share,
			});
			move.thread = { ...move.thread, budget: move.thread.budget - share };
			running.push(nth);
		}
	}
	if (running.length === 0 && next === total) {
		move.wait({ for: "outputs", total });
		move.effects.push({ do: "collect", turn, total });
	} else move.wait({ ...waits, next, running });
}

function giveUp(move: Move, state: FanOut): void {
	const { waits } = move.thread;
	if (waits.for !== "branches") return;
	const { trouble, failed, total } = waits;
	const tolerance = state.type === "Map" ? tolerated(state, total) : 0;
	const cause =
		tolerance === 0
			? (trouble?.cause ?? "")
			: `${failed} of ${total} items failed and ${tolerance} are tolerated; the first: ${trouble?.error}: ${trouble?.cause}`;
	move.abandon(`another branch of state ${state.name} failed`);
	move.fail({
		error: tolerance === 0 ? (trouble?.error ?? "States.BranchFailed") : "States.ExceedToleratedFailureThreshold",
		cause,
		also: state.type === "Map" ? "States.ExceedToleratedFailureThreshold" : "States.BranchFailed",
		...(trouble?.details !== undefined && { details: trouble.details }),
	});
}

function tolerated(state: FanOut, total: number): number {
	if (state.type === "Parallel") return 0;
	const { toleratedFailureCount: count = 0, toleratedFailurePercentage: percentage = 0 } = state;
	return Math.max(count, Math.floor((percentage / 100) * total));
}

const fanOutOf = (state: FlowState): FanOut | undefined =>
	state.type === "Map" || state.type === "Parallel" ? state : undefined;

/** What each branch begins with. The thread's document does not change while they run, so this is the same each time. */
function documentsOf(move: Move, state: FanOut): { total: number; input: Json; documentOf: (nth: number) => Json } {
	if (state.type === "Parallel") {
		const input = resolveInput(state.input, move.scope);
		return { total: state.branches.length, input, documentOf: () => input };
	}
	const items = resolveInput(state.items, move.scope);
	if (!Array.isArray(items))
		throw new FlowFailure(
			"States.Runtime",
			`the items of state ${state.name} must be a list; they are ${kindOf(items)}`,
		);
	const { itemSelector } = state;
	const { state: document, context } = move.scope;
	return {
		total: items.length,
		input: items,
		documentOf: (index) => {
			const item = items[index] as Json;
			if (itemSelector === undefined) return item;
			return evaluateTemplate(itemSelector, { state: document, context: { ...context, map: { index, item } } });
		},
	};
}
