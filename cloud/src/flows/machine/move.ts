/** A step of a thread under way: what states and events do with it. */
import {
	type CatchRule,
	FlowFailure,
	type FlowState,
	hidePrivateState,
	type Json,
	matchesError,
	type RetryRule,
	retryDelayMs,
	type Scope,
} from "@errand/proto/flow";
import type { Effect } from "./event.ts";
import { enterState } from "./states.ts";
import { type Inactivity, type Situation, stateDeadlineMs, type Thread, type Trouble, type Waits } from "./thread.ts";
import { withResult } from "./values.ts";

/** States in one step: a loop that never waits must not hold up whoever carries it out. */
const statesAtOnce = 100;

export class Move {
	readonly situation: Situation;
	readonly effects: Effect[] = [];
	thread: Thread;
	#entered = 0;
	/** The state's entry has been told. */
	#begun = true;

	constructor(situation: Situation, thread: Thread) {
		this.situation = situation;
		this.thread = thread;
	}

	get state(): FlowState {
		const state = this.situation.graph.states.get(this.thread.state);
		if (state === undefined) throw new RangeError(`the definition has no state ${this.thread.state}`);
		return state;
	}

	get scope(): Scope {
		return { state: this.thread.document, context: this.situation.context };
	}

	wait(waits: Waits): void {
		this.thread = { ...this.thread, waits };
	}

	log(code: string, description: string, details: { readonly [key: string]: Json } = {}): void {
		const { state, label } = this.thread;
		const place = state === "" ? {} : { state_name: state, state_type: this.state.type };
		this.effects.push({
			do: "log",
			code,
			description,
			details: { ...place, ...(label === "" ? {} : { branch: label }), ...details },
		});
	}

	/** Into the next state; undefined: the graph's end. */
	goTo(name: string | undefined): void {
		const { budget } = this.thread;
		if (name === undefined) this.end("succeeded", null);
		else if (budget <= 0)
			this.end("failed", {
				error: "States.Runtime",
				cause: "the run has gone through as many states as a run may; let a loop wait, or count",
			});
		else if (this.#entered >= statesAtOnce) this.wait({ for: "entry", state: name });
		else this.#goInto(name);
	}

	#goInto(state: string): void {
		const { visit, turn, budget } = this.thread;
		this.#entered++;
		this.#begun = false;
		this.thread = {
			...this.thread,
			state,
			visit: visit + 1,
			turn: turn + 1,
			attempt: 1,
			retries: [],
			enteredMs: this.situation.nowMs,
			budget: budget - 1,
		};
		this.attempt(() => enterState(this));
	}

	/** What paths and expressions throw becomes the state's failure. */
	attempt(work: () => void): void {
		try {
			work();
		} catch (cause) {
			if (!(cause instanceof FlowFailure)) throw cause;
			this.fail({ error: cause.error, cause: cause.message });
		}
	}

	/** The state is entered and begins to work. */
	enter(input: Json): void {
		const { state, thread } = this;
		if (this.#begun || thread.attempt > 1) return;
		this.#begun = true;
		this.effects.push({ do: "enter", visit: thread.visit, state: state.name, type: state.type, input });
		this.log(`${state.type}Started`, `State ${state.name} of type ${state.type} started`, { input });
	}

	/** The state has done its work with this result. */
	finish(result: Json, next: string | undefined): void {
		const { state, thread } = this;
		const path = "resultPath" in state ? state.resultPath : null;
		this.thread = { ...thread, document: withResult(thread.document, path, result) };
		const output = hidePrivateState(result);
		this.log(`${state.type}Completed`, `State ${state.name} of type ${state.type} completed`, { output });
		this.#leave("succeeded", output, null);
		this.goTo(next);
	}

	/** The state has not done its work: it is tried again, somebody takes over, or the thread ends. */
	fail(trouble: Trouble): void {
		const { state } = this;
		// Its input could not be made.
		this.enter(null);
		if ("retry" in state && this.#retry(state.retry, trouble)) return;
		const { error, cause } = trouble;
		this.log(`${state.type}Failed`, `State ${state.name} of type ${state.type} failed: ${error}: ${cause}`, {
			error,
			cause,
		});
		this.#leave("failed", null, trouble);
		const rule = "catch" in state ? state.catch.find((one) => names(one.errorEquals, trouble)) : undefined;
		if (rule === undefined) this.end("failed", trouble);
		else this.#hand(trouble, rule);
	}

	#hand({ error, cause, details }: Trouble, rule: CatchRule): void {
		const caught: Json = { Error: error, Cause: cause, ...(details !== undefined && { Details: details }) };
		try {
			this.thread = { ...this.thread, document: withResult(this.thread.document, rule.resultPath, caught) };
			this.goTo(rule.next);
		} catch (failure) {
			if (!(failure instanceof FlowFailure)) throw failure;
			this.end("failed", { error: failure.error, cause: failure.message });
		}
	}

	#retry(rules: readonly RetryRule[], trouble: Trouble): boolean {
		const at = rules.findIndex((rule) => names(rule.errorEquals, trouble));
		const rule = rules[at];
		const { nowMs, seed } = this.situation;
		const delayMs =
			rule && retryDelayMs(rule, (this.thread.retries[at] ?? 0) + 1, fractionOf(`${seed} ${this.thread.turn}`));
		if (delayMs === undefined) return false;
		const deadline = stateDeadlineMs(this.situation.graph, this.thread);
		if (deadline !== null && nowMs + delayMs >= deadline) return false;
		const { state } = this;
		this.log(
			`${state.type}Retrying`,
			`State ${state.name} of type ${state.type} is tried again in ${Math.round(delayMs) / 1000} s, after ${trouble.error}: ${trouble.cause}`,
			{ error: trouble.error, cause: trouble.cause, attempt: this.thread.attempt + 1 },
		);
		this.thread = {
			...this.thread,
			retries: rules.map((_, n) => (this.thread.retries[n] ?? 0) + (n === at ? 1 : 0)),
			waits: { for: "retry", untilMs: nowMs + delayMs },
		};
		return true;
	}

	tryAgain(): void {
		const { turn, attempt } = this.thread;
		this.thread = { ...this.thread, turn: turn + 1, attempt: attempt + 1 };
		this.attempt(() => enterState(this));
	}

	/** What the turn has under way elsewhere is no longer wanted. */
	abandon(reason: string): void {
		const { waits, turn } = this.thread;
		if (waits.for === "action") {
			if (waits.inactive !== null) this.effects.push({ do: "inactive", why: null });
			this.effects.push({ do: "cancel-action", turn });
		}
		if (waits.for === "branches" && waits.running.length > 0)
			this.effects.push({ do: "cancel-branches", turn, reason });
	}

	setInactive(why: Inactivity | null): void {
		const { waits } = this.thread;
		if (waits.for !== "action" || (waits.inactive === null && why === null)) return;
		if (JSON.stringify(waits.inactive) === JSON.stringify(why)) return;
		this.wait({ ...waits, inactive: why });
		this.effects.push({ do: "inactive", why });
		if (why === null) this.log("FlowActive", `State ${this.thread.state} goes on`);
		else
			this.log("FlowInactive", `State ${this.thread.state} waits: ${why.description}`, {
				code: why.code,
				details: why.details,
			});
	}

	end(outcome: "succeeded" | "failed" | "cancelled", trouble: Trouble | null): void {
		const output = outcome === "succeeded" ? this.thread.document : null;
		this.thread = { ...this.thread, waits: { for: "nothing" } };
		this.effects.push({ do: "end", outcome, output, trouble });
	}

	/** The thread ends before its state does. */
	stop(outcome: "failed" | "cancelled", trouble: Trouble): void {
		const { waits } = this.thread;
		this.abandon(trouble.cause);
		const within = this.thread.state !== "" && waits.for !== "entry";
		if (within) this.#leave(outcome, null, trouble);
		this.end(outcome, trouble);
	}

	#leave(outcome: "succeeded" | "failed" | "cancelled", output: Json, error: Trouble | null): void {
		const { visit, attempt } = this.thread;
		this.effects.push({ do: "leave", visit, attempts: attempt, outcome, output, error });
	}
}

const names = (errorEquals: readonly string[], { error, also }: Trouble): boolean =>
	matchesError(errorEquals, error) || (also !== undefined && matchesError(errorEquals, also));

/** FNV-1a of a text, as a number from 0 to 1. */
function fractionOf(text: string): number {
	let hash = 0x811c9dc5;
	for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
	return (hash >>> 0) / 2 ** 32;
}
