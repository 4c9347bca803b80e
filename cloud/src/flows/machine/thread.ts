/** What goes from state to state, as it is stored between two steps: plain JSON. */
import type { FlowDefinition, Json, JsonObject, StateGraph } from "@errand/proto/flow";

/** Why a state, a branch or a run did not succeed. */
export interface Trouble {
	readonly error: string;
	readonly cause: string;
	/** What the error is called besides: a failed branch keeps its own error's name, and is a failed branch. */
	readonly also?: string;
	/** The document of the action that failed. */
	readonly details?: Json;
}

/** Why an action, and with it the run, cannot go on until somebody has put something right. */
export interface Inactivity {
	readonly code: string;
	readonly description: string;
	readonly details: Json;
}

/** What a thread waits for. Times are Unix milliseconds of the database's clock. */
export type Waits =
	/** To go into a state, at the next look. */
	| { readonly for: "entry"; readonly state: string }
	/** A Wait state's time. */
	| { readonly for: "time"; readonly untilMs: number }
	/** The time before the state is tried again. */
	| { readonly for: "retry"; readonly untilMs: number }
	| { readonly for: "action"; readonly deadlineMs: number; readonly inactive: Inactivity | null }
	| {
			readonly for: "branches";
			readonly total: number;
			/** The first that was not begun. */
			readonly next: number;
			/** Begun and not ended. At most as many as may run at a time, so that this stays short. */
			readonly running: readonly number[];
			readonly failed: number;
			/** Of the first that failed. */
			readonly trouble: Trouble | null;
	  }
	/** What its branches came to, to be read from where they left it. */
	| { readonly for: "outputs"; readonly total: number }
	| { readonly for: "nothing" };

export interface Thread {
	/** "" before the first. */
	readonly state: string;
	/** Counts states entered, from 1. */
	readonly visit: number;
	/** Counts tries of all states, from 1: names the one request or the branches that a try may have. */
	readonly turn: number;
	/** Of this visit, from 1. */
	readonly attempt: number;
	/** How often each Retry rule of the state was used in this visit. */
	readonly retries: readonly number[];
	/** When this visit began. */
	readonly enteredMs: number;
	/** When the whole thread is out of time; null: never. */
	readonly deadlineMs: number | null;
	/** States that it and its branches may still enter: loops end. */
	readonly budget: number;
	/** What paths read, and results are put into: the run's state. */
	readonly document: Json;
	/** `""` for the run's own; `Analyse[3]`, `Analyse[3]/Fit[0]` for items and branches. */
	readonly label: string;
	readonly waits: Waits;
}

export interface Begin {
	readonly state: string;
	readonly document: Json;
	readonly label: string;
	readonly budget: number;
	readonly deadlineMs: number | null;
}

export function beginThread({ state, document, label, budget, deadlineMs }: Begin): Thread {
	return {
		state: "",
		visit: 0,
		turn: 0,
		attempt: 0,
		retries: [],
		enteredMs: 0,
		deadlineMs,
		budget,
		document,
		label,
		waits: { for: "entry", state },
	};
}

/** From the run's definition to the graph that a thread is in: the names of the states, and of a Parallel which branch. */
export type Place = readonly (readonly [state: string, branch: number])[];

/** Throws a RangeError when there is no such place: the definition of a run never changes. */
export function graphAt(definition: FlowDefinition, place: Place): StateGraph {
	let graph: StateGraph = definition;
	for (const [name, branch] of place) {
		const state = graph.states.get(name);
		const inner =
			state?.type === "Map" ? state.processor : state?.type === "Parallel" ? state.branches[branch] : undefined;
		if (inner === undefined) throw new RangeError(`the definition has no branch ${branch} of ${name}`);
		graph = inner;
	}
	return graph;
}

/** When the thread must be looked at although nothing was told to it; undefined: never. */
export function dueMs(graph: StateGraph, thread: Thread): number | undefined {
	const { waits } = thread;
	if (waits.for === "nothing") return undefined;
	if (waits.for === "entry") return 0;
	const times = [thread.deadlineMs, stateDeadlineMs(graph, thread)].filter((time) => time !== null);
	if (waits.for === "time" || waits.for === "retry") times.push(waits.untilMs);
	if (waits.for === "action") times.push(waits.deadlineMs);
	return times.length === 0 ? undefined : Math.min(...times);
}

/** When the state's own `TimeoutSeconds` are over; null: it has none. */
export function stateDeadlineMs(graph: StateGraph, thread: Thread): number | null {
	const state = graph.states.get(thread.state);
	return state !== undefined && "timeoutMs" in state && state.timeoutMs !== undefined
		? thread.enteredMs + state.timeoutMs
		: null;
}

/** What a step needs to know besides the thread. */
export interface Situation {
	readonly graph: StateGraph;
	/** `$._context`. */
	readonly context: JsonObject;
	/** The thread's id: what a random delay is made from, so that a repeated step is the same step. */
	readonly seed: string;
	readonly nowMs: number;
}
