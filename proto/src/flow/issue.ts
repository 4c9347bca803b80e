/** What is wrong with a flow's document, and where. */
export interface FlowIssue {
	/** `error`: the flow is refused. `warning`: it runs, and its author should know. */
	readonly severity: "error" | "warning";
	/** A row of `issueCodes`. */
	readonly code: FlowIssueCode;
	/** The place in the document as a JSON pointer: `/States/Move/Next`; "" is the whole. */
	readonly path: string;
	/** What, which one, the limit, what to do. */
	readonly message: string;
	/** From 1; undefined when the document came without its text. */
	readonly line: number | undefined;
	readonly column: number | undefined;
}

/** Every kind of issue, once, with what it means: the reference page is checked against it. */
export const issueCodes = {
	syntax: "the text is neither JSON nor YAML",
	type: "a value of the wrong type",
	value: "a value outside of what the field takes",
	required: "a field is missing",
	"unknown-field": "a field that this kind of state does not have",
	"unsupported-field": "a field of another dialect, with what to use instead",
	exclusive: "fields that exclude one another",
	"missing-state": "a name of a state that is not there",
	unreachable: "a state that nothing leads to",
	"no-end": "a state from which no end can be reached",
	path: "a path that cannot be read",
	expression: "an expression that cannot be read",
	limit: "larger or deeper than is taken",
	"input-schema": "an input schema that is not one",
	"wait-time": "an action that does not say how long it may take",
	"exception-on-failure": "an action that does not say whether its failure is an error",
	"result-path": "a result that replaces the whole state",
	"unknown-variable": "a path to what nothing has written",
	"private-parameter": "a private parameter that is not there",
	"error-name": "an error that nothing raises",
} as const;

export type FlowIssueCode = keyof typeof issueCodes;

/** Errors and warnings of a document, in the order of its lines. */
export interface FlowReading<T> {
	/** Undefined when there is an error among the issues. */
	readonly flow: T | undefined;
	readonly issues: readonly FlowIssue[];
}
