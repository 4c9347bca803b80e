/** What a block becomes by what the scheduler says of its job. Facts in, facts out. */
import type { JobStatus } from "../scheduler/scheduler.ts";
import { type Block, jobOf, move } from "./block.ts";
import { assumeRun, takenNodeMs } from "./budget.ts";
import { type BlockEnd, meaningOf } from "./job-end.ts";

export interface JobNews {
	readonly block: Block;
	/** It has ended. */
	readonly end?: BlockEnd;
	/** Managers of it that are not its own any more: of attempts before this one; of all so far when that is undefined. */
	readonly fence?: { readonly before: number | undefined; readonly reason: string };
	/** The scheduler is about to end it. */
	readonly ending?: string;
}

/** Where a block is while its job is in a state; what is not here leaves it where it is. */
const places: { readonly [State in JobStatus["state"]]?: "submitted" | "held" | "starting" } = {
	pending: "submitted",
	held: "held",
	starting: "starting",
	running: "starting",
	suspended: "starting",
};
const waiting: ReadonlySet<JobStatus["state"]> = new Set(["pending", "held"]);
const withNodes: ReadonlySet<JobStatus["state"]> = new Set(["running", "suspended", "ending"]);

/** @param askedMs when the scheduler was asked: what has happened since, it could not know */
export function hear(before: Block, status: JobStatus, nowMs: number, askedMs = nowMs): JobNews {
	const jobId = jobOf(before);
	if (jobId === undefined) return { block: before };
	if (status.state === "ended") {
		const end = meaningOf(status);
		return {
			block: assumeRun(before),
			end: before.state.at === "draining" ? { ...end, announced: true, harmless: true } : end,
		};
	}
	const { state, reason, expectedStartMs, restarts = 0 } = status;
	const says = reason === "" ? "" : ` (${reason})`;
	let block: Block = { ...before, told: { state, reason, expectedStartMs, atMs: askedMs } };
	let fence: JobNews["fence"];
	if (restarts > block.attempt) {
		block = newAttempt(block, restarts, nowMs);
		fence = { before: restarts, reason: `the scheduler has started its job anew${says}` };
	}
	const place = places[state];
	const waits = place === "submitted" || place === "held";
	if (waits && before.runningSinceMs !== undefined) {
		// A manager may come faster than an answer: that it waits must be said by one who knew that it ran, or twice.
		const knew = withNodes.has(before.told.state ?? "unknown");
		const again = before.told.atMs > before.runningSinceMs && waiting.has(before.told.state ?? "unknown");
		if (!knew && !again && fence === undefined) return { block };
		// It had nodes and waits again: what still runs of it does so where the scheduler has given up the node.
		fence ??= { before: undefined, reason: `the scheduler has queued its job again${says}` };
		block = {
			...before,
			...block,
			spentNodeMs: takenNodeMs(before, nowMs),
			runningSinceMs: undefined,
			endsAtMs: undefined,
		};
	}
	if (withNodes.has(state) && block.runningSinceMs === undefined) block = running(block, nowMs);
	const { at } = block.state;
	if (place !== undefined && place !== at && at !== "draining" && !(at === "active" && place === "starting"))
		block = move(block, { at: place, jobId, sinceMs: nowMs });
	return {
		block,
		...(fence && { fence }),
		...(state === "ending" && at === "active" && { ending: `the scheduler is ending it${says}` }),
	};
}

/** The job has nodes from now on. */
export function running(block: Block, nowMs: number): Block {
	const { walltimeMs } = block;
	return { ...block, runningSinceMs: nowMs, endsAtMs: walltimeMs === undefined ? undefined : nowMs + walltimeMs };
}

/** The job was started anew: what it took before is kept, its time starts again. */
export function newAttempt(block: Block, attempt: number, nowMs: number): Block {
	const next = {
		...block,
		attempt,
		spentNodeMs: takenNodeMs(block, nowMs),
		runningSinceMs: undefined,
		endsAtMs: undefined,
	};
	return block.runningSinceMs === undefined ? next : running(next, nowMs);
}
