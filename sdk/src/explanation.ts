/** What a task waits for, as its future tells: the cloud's words, and what only this process knows. */
import type { WaitingWord } from "@errand/proto";
import type { Explanation } from "@errand/proto/rest";
import type { FutureState, TaskFuture } from "./future.ts";

/** Why a task is not running. */
export interface FutureExplanation {
	state: FutureState;
	/** Null: it does not wait; it runs, or has ended. */
	word: WaitingWord | null;
	/** For people. */
	sentence: string;
	/** Since when it is so; undefined of a task that the cloud has not accepted. */
	since: Date | undefined;
}

export function explanationOf({ state, word, sentence, since }: Explanation): FutureExplanation {
	return { state, word, sentence, since: new Date(since) };
}

/** Of a task that was never accepted and will not be. */
export function explainUnsent(state: FutureState, error: unknown): FutureExplanation {
	const why = error instanceof Error ? error.message : String(error);
	return { state, word: null, sentence: `It does not wait: it was not sent. ${why}`, since: undefined };
}

/** Of a task on its way to the cloud; `open` are the futures among its arguments that have no value yet. */
export async function explainSubmitting(open: readonly TaskFuture<unknown>[]): Promise<FutureExplanation> {
	const [first] = open;
	if (first === undefined)
		return {
			state: "submitting",
			word: "delivery",
			sentence: "The cloud has not accepted it yet: it leaves with the next batch, or with the next try.",
			since: undefined,
		};
	// Of a chain the first link that is under way is what all the others wait for.
	let head = first;
	for (let next: TaskFuture<unknown> | undefined = first; next !== undefined; next = head.waitsFor[0]) head = next;
	const others = open.length === 1 ? "" : ` and ${open.length - 1} more`;
	const which = head === first ? "That one" : `At the head of that chain, ${nameOf(head)}`;
	const { sentence } = await head.explain();
	return {
		state: "submitting",
		word: "dependency",
		sentence: `It is sent when the futures among its arguments have their values: ${nameOf(first)}${others}. ${which}: ${sentence}`,
		since: undefined,
	};
}

function nameOf({ functionName = "a task", taskId }: TaskFuture<unknown>): string {
	return taskId === undefined ? functionName : `${functionName} (task ${taskId})`;
}
