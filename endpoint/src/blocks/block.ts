/** The life of a block: from the wish for it to its end. One `move` changes it, and refuses what cannot be. */
import type { JobId } from "../scheduler/scheduler.ts";

export type BlockState =
	/** Wanted; the scheduler may or may not have heard of it. */
	| { readonly at: "requested"; readonly sinceMs: number }
	/** The scheduler has it; no manager has come yet. */
	| { readonly at: "submitted"; readonly jobId: JobId; readonly sinceMs: number }
	/** A manager of it has attached. */
	| { readonly at: "active"; readonly jobId: JobId; readonly sinceMs: number }
	/** Takes nothing new and ends when it is done, or is ended. */
	| { readonly at: "draining"; readonly jobId: JobId; readonly sinceMs: number; readonly reason: string }
	| { readonly at: "ended"; readonly sinceMs: number; readonly reason: string; readonly neverActive: boolean };

export interface Block {
	readonly id: string;
	readonly state: BlockState;
}

const successors: { readonly [At in BlockState["at"]]: readonly BlockState["at"][] } = {
	requested: ["submitted", "ended"],
	submitted: ["active", "draining", "ended"],
	active: ["draining", "ended"],
	draining: ["ended"],
	ended: [],
};

/** The block in its next state. Throws when there is no way from the one to the other. */
export function move(block: Block, state: BlockState): Block {
	if (!successors[block.state.at].includes(state.at))
		throw new RangeError(`block ${block.id} cannot go from ${block.state.at} to ${state.at}`);
	return { id: block.id, state };
}

export function jobOf(block: Block): JobId | undefined {
	return "jobId" in block.state ? block.state.jobId : undefined;
}
