/** What the end of a block's job means, by the scheduler's word for it. */
import type { JobEnd, JobStatus } from "../scheduler/scheduler.ts";

interface Meaning {
	/** For people. */
	readonly says: string;
	/** The end was the scheduler's to give, not the tasks' fault: what is lost by it does not use up their budgets. */
	readonly announced: boolean;
	/** Nothing is wrong with the endpoint when this ends a block before a manager has come. */
	readonly harmless: boolean;
}

const meanings: { readonly [End in JobEnd]: Meaning } = {
	completed: { says: "its job completed", announced: false, harmless: false },
	failed: { says: "its job failed", announced: false, harmless: false },
	timeout: { says: "its walltime is over", announced: true, harmless: false },
	cancelled: { says: "its job was cancelled at the scheduler", announced: true, harmless: false },
	preempted: { says: "its job was preempted", announced: true, harmless: true },
	"node-failure": { says: "its node failed", announced: false, harmless: true },
	"out-of-memory": { says: "its job used more memory than it had", announced: false, harmless: false },
	vanished: { says: "the scheduler does not know its job any more", announced: false, harmless: false },
};

export interface BlockEnd {
	/** A sentence's part: "its walltime is over (TIMEOUT)". */
	readonly reason: string;
	readonly announced: boolean;
	readonly harmless: boolean;
}

export function meaningOf({ end = "vanished", reason, exitCode }: Omit<JobStatus, "state">): BlockEnd {
	const { says, announced, harmless } = meanings[end];
	const words = [
		reason,
		exitCode === undefined || exitCode === 0 || reason.includes(String(exitCode)) ? "" : `status ${exitCode}`,
	].filter((word) => word !== "");
	return { reason: words.length === 0 ? says : `${says} (${words.join(", ")})`, announced, harmless };
}

/** We ended it. */
export const endedByUs = (reason: string): BlockEnd => ({ reason, announced: true, harmless: true });
