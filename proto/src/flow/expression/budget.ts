/** How much the expressions of one state may do and make, so that each ends and none fills the memory. */
import { FlowFailure } from "../flow-failure.ts";
import { expressionLimitSize, expressionLimitSteps } from "../flow-limits.ts";

export class EvaluationBudget {
	readonly #limitSteps: number;
	readonly #limitSize: number;
	#steps = 0;
	#size = 0;

	constructor(limits: { steps?: number; size?: number } = {}) {
		this.#limitSteps = limits.steps ?? expressionLimitSteps;
		this.#limitSize = limits.size ?? expressionLimitSize;
	}

	/** Before an operation that looks at so many values. */
	spend(steps = 1): void {
		this.#steps += steps;
		if (this.#steps > this.#limitSteps)
			throw new FlowFailure(
				"States.QueryEvaluationError",
				`the expressions of this state need more than ${this.#limitSteps} operations: use a function on an endpoint`,
			);
	}

	/** Before an operation that looks at each character, or place, of this. */
	read(value: string | readonly unknown[]): void {
		this.spend(Math.ceil(value.length / 100));
	}

	/** Before something with so many characters or places is made. */
	make(size: number): void {
		this.#size += size;
		if (this.#size > this.#limitSize)
			throw new FlowFailure(
				"States.DataLimitExceeded",
				`the expressions of this state make more than ${this.#limitSize} characters and places: keep large values in files`,
			);
	}
}
