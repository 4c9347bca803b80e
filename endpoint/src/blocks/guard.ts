/**
 * The runaway guard: a broken node, account or `worker_init` must not burn an allocation. Blocks that fail are tried
 * again later and later, one at a time, and after a few in a row not at all until a person has looked.
 */

/** Blocks in a row of which no manager ever came. */
const failedStartsLimit = 3;
/** Submissions in a row that the scheduler refused. */
const failedSubmitsLimit = 10;
/** The wait after the first failure; doubled for each more in a row, to the longest. */
const firstWaitMs = 1_000;
const longestWaitMs = 300_000;

/** Of one queue. */
export interface Guard {
	readonly failedStarts: number;
	readonly failedSubmits: number;
	/** What went wrong last, for people. */
	readonly reason: string;
	/** On the steady clock; not kept over restarts. */
	readonly notBeforeMs: number;
}

export const noFailures: Guard = { failedStarts: 0, failedSubmits: 0, reason: "", notBeforeMs: 0 };

const waitMs = (failures: number): number => Math.min(longestWaitMs, firstWaitMs * 2 ** (failures - 1));

/** A block ended and no manager of it had come. */
export function startFailed(guard: Guard, reason: string, nowMs: number): Guard {
	const failedStarts = guard.failedStarts + 1;
	return { ...guard, failedStarts, reason, notBeforeMs: nowMs + waitMs(failedStarts) };
}

/** The scheduler refused a block. */
export function submitFailed(guard: Guard, reason: string, nowMs: number): Guard {
	const failedSubmits = guard.failedSubmits + 1;
	return { ...guard, failedSubmits, reason, notBeforeMs: nowMs + waitMs(failedSubmits) };
}

/** The scheduler took a block: whether it starts is still to be seen. */
export function submitWorked(guard: Guard): Guard {
	return guard.failedSubmits === 0 ? guard : { ...guard, failedSubmits: 0 };
}

/** Whether something has failed and nothing has worked since. */
export function isFailing(guard: Guard): boolean {
	return guard.failedStarts > 0 || guard.failedSubmits > 0;
}

/** Why no more blocks are to be asked for until somebody says so; undefined while it may be tried again. */
export function pauseReason(queue: string, guard: Guard): string | undefined {
	const { failedStarts, failedSubmits } = guard;
	if (failedStarts < failedStartsLimit && failedSubmits < failedSubmitsLimit) return undefined;
	return troubleOf(queue, guard);
}

/** For people; empty when all is well. */
export function troubleOf(queue: string, { failedStarts, failedSubmits, reason }: Guard): string {
	if (failedSubmits > 0)
		return `the scheduler refused ${counted(failedSubmits, "block")} of queue ${queue} in a row: ${reason}`;
	if (failedStarts > 0)
		return `${counted(failedStarts, "block")} of queue ${queue} ended in a row before a manager came: ${reason}`;
	return "";
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;
