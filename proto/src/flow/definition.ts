/**
 * A flow's definition, parsed: paths and expressions are syntax trees, defaults are filled in, times are in milliseconds.
 * `parseFlow` makes it of the JSON document, which stays what is stored and shown.
 */
import type { ComparisonName } from "./comparison.ts";
import type { Expression } from "./expression/syntax.ts";
import type { Json } from "./json.ts";
import type { ReferencePath } from "./reference-path.ts";

/** States and the arrows between them: a whole flow, a branch of a Parallel, or what a Map does with each item. */
export interface StateGraph {
	readonly startAt: string;
	/** In the order of the document. Every name that a state goes on to is in it, and every one is reachable. */
	readonly states: ReadonlyMap<string, FlowState>;
}

export interface FlowDefinition extends StateGraph {
	readonly comment: string | undefined;
	/** A run that takes longer fails with `States.Timeout`; undefined: the service's own limit. */
	readonly timeoutMs: number | undefined;
}

export type FlowState =
	| ActionState
	| ChoiceState
	| ExpressionEvalState
	| FailState
	| MapState
	| ParallelState
	| PassState
	| SucceedState
	| WaitState;

export type StateType = FlowState["type"];

interface AnyState {
	readonly name: string;
	readonly comment: string | undefined;
}

/** A state with one way out; `next` undefined: the graph ends after it (`End: true`). */
interface StepState extends AnyState {
	readonly next: string | undefined;
}

/** A state that makes a value: where it goes in the run's state. Null: the value is dropped (`ResultPath: null`). */
interface ResultState extends StepState {
	readonly resultPath: ReferencePath | null;
}

/** A state that can fail: who takes over, and whether it is tried again. */
interface FallibleState extends ResultState {
	readonly retry: readonly RetryRule[];
	readonly catch: readonly CatchRule[];
	/** All tries of the state together, `TimeoutSeconds`; then `States.Timeout`. Undefined: no limit of its own. */
	readonly timeoutMs: number | undefined;
}

/** One call of an action provider: asked for once for each try, followed until it ends. */
export interface ActionState extends FallibleState {
	readonly type: "Action";
	/** `https://…`, or one of the service's own: `errand:compute`. */
	readonly actionUrl: string;
	readonly actionScope: string | undefined;
	/** The action's body. */
	readonly input: InputSource;
	/** One try, `WaitTime`; then `ActionTimeout`. */
	readonly waitTimeMs: number;
	readonly exceptionOnActionFailure: boolean;
	/** `User`, `Flow`, or a role whose token is in the input's `_tokens`. */
	readonly runAs: string;
}

export interface ChoiceState extends AnyState {
	readonly type: "Choice";
	/** The first whose condition holds. */
	readonly choices: readonly { readonly condition: Condition; readonly next: string }[];
	/** None held; undefined: `States.NoChoiceMatched`. */
	readonly default: string | undefined;
}

export interface ExpressionEvalState extends ResultState {
	readonly type: "ExpressionEval";
	readonly input: InputSource;
}

/** Ends the graph as failed. In a branch of a Parallel or Map the error is that state's, and may be caught there. */
export interface FailState extends AnyState {
	readonly type: "Fail";
	readonly error: string;
	readonly cause: string | undefined;
}

export interface PassState extends ResultState {
	readonly type: "Pass";
	/** `Result` is a template without paths; without any of the three fields it is the whole state. */
	readonly input: InputSource;
}

/** Ends the graph as succeeded. */
export interface SucceedState extends AnyState {
	readonly type: "Succeed";
}

export interface WaitState extends StepState {
	readonly type: "Wait";
	readonly until: WaitTarget;
}

export type WaitTarget =
	| { readonly kind: "seconds"; readonly seconds: number }
	| { readonly kind: "seconds-path"; readonly path: ReferencePath }
	| { readonly kind: "timestamp"; readonly timestampMs: number }
	| { readonly kind: "timestamp-path"; readonly path: ReferencePath };

/** All branches at once, each on its own copy of `input`. The value: what each branch's state was at its end, in order. */
export interface ParallelState extends FallibleState {
	readonly type: "Parallel";
	readonly input: InputSource;
	readonly branches: readonly StateGraph[];
}

/** The same graph for each item of a list. The value: what the state of each was at its end, in the order of the items. */
export interface MapState extends FallibleState {
	readonly type: "Map";
	/** Must give a list. */
	readonly items: InputSource;
	/**
	 * What one iteration begins with. It may name the item as `$._context.map.item` and its place, from 0, as
	 * `$._context.map.index`. Undefined: the item itself.
	 */
	readonly itemSelector: Template | undefined;
	readonly processor: StateGraph;
	/** So many iterations at a time; 0: as many as the service lets. */
	readonly maxConcurrency: number;
	/** More failed iterations than either lets fail the state with `States.ExceedToleratedFailureThreshold`; none by default. */
	readonly toleratedFailureCount: number | undefined;
	readonly toleratedFailurePercentage: number | undefined;
}

/** Where a state's input comes from. */
export type InputSource =
	| { readonly kind: "path"; readonly path: ReferencePath }
	| { readonly kind: "template"; readonly template: Template };

/** `Parameters`, with its `.$` and `.=` keys understood. */
export type Template =
	| { readonly kind: "constant"; readonly value: Json }
	| { readonly kind: "path"; readonly path: ReferencePath }
	| { readonly kind: "expression"; readonly expression: Expression }
	| { readonly kind: "list"; readonly items: readonly Template[] }
	| {
			readonly kind: "object";
			/** Keys without their `.$` or `.=`. */
			readonly entries: readonly (readonly [key: string, value: Template])[];
			/** Of them, those that `__Private_Parameters` names: sent, but not shown. */
			readonly privateKeys: readonly string[];
	  };

/** What a Choice asks. */
export type Condition =
	| { readonly kind: "and" | "or"; readonly conditions: readonly Condition[] }
	| { readonly kind: "not"; readonly condition: Condition }
	| {
			readonly kind: "comparison";
			/** `NumericLessThan`, without the `Path` of its other form. */
			readonly operator: ComparisonName;
			readonly variable: ReferencePath;
			readonly operand: { readonly path: ReferencePath } | { readonly value: Json };
	  };

export interface RetryRule {
	readonly errorEquals: readonly string[];
	/** Before the first repeat. */
	readonly intervalMs: number;
	/** Repeats after the first try; 0: never. */
	readonly maxAttempts: number;
	/** Each repeat waits so many times as long as the one before. */
	readonly backoffRate: number;
	/** No repeat waits longer. */
	readonly maxDelayMs: number | undefined;
	/** `FULL`: a random part of the delay, so that many do not come back at once. */
	readonly jitter: "FULL" | "NONE";
}

export interface CatchRule {
	readonly errorEquals: readonly string[];
	readonly next: string;
	/** Where `{Error, Cause}` goes; by default it replaces the whole state, as for results. */
	readonly resultPath: ReferencePath | null;
}
