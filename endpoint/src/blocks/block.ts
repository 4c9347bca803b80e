/** The life of a block: from the wish for it to its end. One `move` changes it, and refuses what cannot be. */
import type { JobId, JobState } from "../scheduler/scheduler.ts";

export type BlockState =
	/** Wanted; the scheduler may or may not have heard of it. */
	| { readonly at: "requested"; readonly sinceMs: number }
	/** The scheduler has it, and it waits for its turn. */
	| { readonly at: "submitted"; readonly jobId: JobId; readonly sinceMs: number }
	/** It waits at the scheduler until somebody lets it go. */
	| { readonly at: "held"; readonly jobId: JobId; readonly sinceMs: number }
	/** It has nodes; no manager has come yet. */
	| { readonly at: "starting"; readonly jobId: JobId; readonly sinceMs: number }
	/** A manager of it has attached. */
	| { readonly at: "active"; readonly jobId: JobId; readonly sinceMs: number }
	/** Takes nothing new and ends when it is done, or is ended. */
	| { readonly at: "draining"; readonly jobId: JobId; readonly sinceMs: number; readonly reason: string }
	| { readonly at: "ended"; readonly sinceMs: number; readonly reason: string; readonly neverActive: boolean };

/** What the scheduler said of its job the last time. */
export interface ToldOfBlock {
	/** Undefined: nothing yet. */
	readonly state: JobState | undefined;
	/** Its own words; empty when it has none. */
	readonly reason: string;
	readonly expectedStartMs: number | undefined;
	/** When it was asked; times here are Unix milliseconds. */
	readonly atMs: number;
}

export interface Block {
	readonly id: string;
	/** The name of its queue in the configuration; a later configuration may not have it any more. */
	readonly queue: string;
	readonly nodes: number;
	/** As it was asked for; undefined when it does not end by itself. */
	readonly walltimeMs: number | undefined;
	/** How often the scheduler has started its job anew. Managers of an earlier attempt are not its own any more. */
	readonly attempt: number;
	readonly requestedMs: number;
	/** Since when its job has nodes, in this attempt. */
	readonly runningSinceMs: number | undefined;
	/** When it ends by itself. */
	readonly endsAtMs: number | undefined;
	/** What earlier attempts took. */
	readonly spentNodeMs: number;
	readonly told: ToldOfBlock;
	readonly state: BlockState;
}

export const toldNothing: ToldOfBlock = { state: undefined, reason: "", expectedStartMs: undefined, atMs: 0 };

const successors: { readonly [At in BlockState["at"]]: readonly BlockState["at"][] } = {
	requested: ["submitted", "ended"],
	submitted: ["held", "starting", "active", "draining", "ended"],
	held: ["submitted", "starting", "active", "draining", "ended"],
	// Back to waiting: the scheduler has taken the nodes away and queued the job again.
	starting: ["submitted", "held", "active", "draining", "ended"],
	active: ["submitted", "held", "draining", "ended"],
	draining: ["ended"],
	ended: [],
};

/** The block in its next state. Throws when there is no way from the one to the other. */
export function move(block: Block, state: BlockState): Block {
	if (!successors[block.state.at].includes(state.at))
		throw new RangeError(`block ${block.id} cannot go from ${block.state.at} to ${state.at}`);
	return { ...block, state };
}

export function jobOf(block: Block): JobId | undefined {
	return "jobId" in block.state ? block.state.jobId : undefined;
}

/**
 * Whether it counts towards the limit of blocks that wait at the scheduler: all that may be there and have no node. One
 * of which the scheduler says nothing may be there.
 */
export function isQueued({ state, told, runningSinceMs }: Block): boolean {
	if (state.at === "requested" || state.at === "submitted" || state.at === "held") return true;
	return state.at !== "active" && state.at !== "ended" && (told.state === "unknown" || runningSinceMs === undefined);
}

/** No manager of it has ever come. */
export function neverActive({ state }: Block): boolean {
	return state.at === "requested" || state.at === "submitted" || state.at === "held" || state.at === "starting";
}
