/** Names of the errors that a state can raise and that `Catch` and `Retry` match. A Fail state may raise others. */
export const flowErrors = {
	ActionUnableToRun: "the provider did not take the action",
	ActionFailedException: "the action ended as FAILED",
	ActionTimeout: "the action did not end within WaitTime",
	"States.Timeout": "the state or the run did not end within TimeoutSeconds",
	"States.NoChoiceMatched": "no rule of a Choice held, and it has no Default",
	"States.ParameterPathFailure": "a path leads to nothing",
	"States.ResultPathMatchFailure": "a result cannot be put where ResultPath says",
	"States.QueryEvaluationError": "an expression cannot be evaluated",
	"States.BranchFailed": "a branch of a Parallel failed",
	"States.ExceedToleratedFailureThreshold": "more iterations of a Map failed than it tolerates",
	"States.DataLimitExceeded": "a value is larger than a run's state may be",
	"States.Runtime": "the run cannot go on: too many transitions, or a state that is not as its type needs it",
} as const satisfies Record<string, string>;

export type FlowErrorName = keyof typeof flowErrors;

/** Names that match several errors: everything; every failed action but those that ran out of time. */
export const errorWildcards = {
	"States.ALL": "every error",
	"States.TaskFailed": "ActionUnableToRun and ActionFailedException",
} as const;

/** The one error that evaluating paths, templates, expressions and conditions throws. */
export class FlowFailure extends Error {
	override readonly name = "FlowFailure";
	/** For `ErrorEquals`. */
	readonly error: FlowErrorName;

	constructor(error: FlowErrorName, message: string) {
		super(message);
		this.error = error;
	}
}

/** Whether `ErrorEquals` names this error. */
export function matchesError(errorEquals: readonly string[], error: string): boolean {
	return errorEquals.some(
		(name) =>
			name === error ||
			name === "States.ALL" ||
			(name === "States.TaskFailed" && (error === "ActionUnableToRun" || error === "ActionFailedException")),
	);
}
