/**
 * Why a task is not running yet: one word each. The endpoint says the words of what waits at it, the cloud those of
 * what has not reached it; a sentence goes with each, with the scheduler's own reason where there is one.
 */
export const waitingWords = [
	// Before the endpoint has it
	"endpoint-never-started",
	"endpoint-offline",
	"endpoint-stopped",
	"user-endpoint-starting",
	"user-endpoint-failed",
	"user-endpoint-stopped",
	"delivery",
	"dependency",
	// At the endpoint
	"no-such-resources",
	"walltime-does-not-fit",
	"paused",
	"budget-used-up",
	"block-limit",
	"scheduler-silent",
	"block-pending",
	"block-held",
	"block-starting",
	"nodes-busy",
	"node-kept-for-larger",
	"launch-throttled",
	"outside-window",
	// At a node
	"worker-starting",
] as const;

export type WaitingWord = (typeof waitingWords)[number];
