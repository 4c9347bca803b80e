/** The arrows of a graph of states, and what can be reached along them. */
import type { FlowState, StateGraph } from "./definition.ts";
import type { DocumentPath } from "./findings.ts";

export interface Arrow {
	/** Undefined: the graph ends. */
	readonly to: string | undefined;
	readonly kind: "next" | "choice" | "default" | "catch";
	/** Which rule, from 0, of a choice or catch. */
	readonly rule: number;
	/** Where it is written, within the state. */
	readonly at: DocumentPath;
}

/** The ways out of a state, in the order of the document. */
export function arrowsOf(state: FlowState): readonly Arrow[] {
	switch (state.type) {
		case "Fail":
		case "Succeed":
			return [{ to: undefined, kind: "next", rule: 0, at: [] }];
		case "Choice": {
			const rules = state.choices.map(
				({ next }, rule): Arrow => ({ to: next, kind: "choice", rule, at: ["Choices", rule, "Next"] }),
			);
			return state.default === undefined
				? rules
				: [...rules, { to: state.default, kind: "default", rule: 0, at: ["Default"] }];
		}
		default: {
			const next: Arrow = { to: state.next, kind: "next", rule: 0, at: [state.next === undefined ? "End" : "Next"] };
			if (!("catch" in state)) return [next];
			const caught = state.catch.map(
				({ next: to }, rule): Arrow => ({ to, kind: "catch", rule, at: ["Catch", rule, "Next"] }),
			);
			return [next, ...caught];
		}
	}
}

/** Graphs within a state: branches of a Parallel, the processor of a Map. */
export function innerGraphs(state: FlowState): readonly StateGraph[] {
	if (state.type === "Parallel") return state.branches;
	return state.type === "Map" ? [state.processor] : [];
}

/** Names of the states to which a way leads from the first. */
export function reachableStates(graph: StateGraph): ReadonlySet<string> {
	return follow([graph.startAt], (name) => {
		const state = graph.states.get(name);
		return state ? arrowsOf(state).flatMap(({ to }) => (to !== undefined && graph.states.has(to) ? [to] : [])) : [];
	});
}

/** Names of the states from which a way leads to an end. */
export function endingStates(graph: StateGraph): ReadonlySet<string> {
	const before = new Map<string, string[]>();
	const ends: string[] = [];
	for (const [name, state] of graph.states)
		for (const { to } of arrowsOf(state)) {
			if (to === undefined) ends.push(name);
			else before.set(to, [...(before.get(to) ?? []), name]);
		}
	return follow(ends, (name) => before.get(name) ?? []);
}

function follow(from: readonly string[], next: (name: string) => readonly string[]): ReadonlySet<string> {
	const seen = new Set(from);
	for (const name of seen) for (const other of next(name)) seen.add(other);
	return seen;
}

/** Every state of a flow, those of branches after the state that has them. */
export function* allStates(graph: StateGraph): Generator<FlowState> {
	for (const state of graph.states.values()) {
		yield state;
		for (const inner of innerGraphs(state)) yield* allStates(inner);
	}
}
