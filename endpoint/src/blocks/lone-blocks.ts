/** Jobs that have nodes and do nothing with them: no manager comes, or none is left. */
import type { Block } from "./block.ts";
import { type BlockEnd, endedByUs } from "./job-end.ts";

/** A job that has nodes, and of which no manager has come after this long, is ended: programs start in seconds, file systems stall for minutes. */
export const managerAttachLimitMs = 600_000;
/** A block that gives its nodes back and has no manager left gets this long for its job to end by itself. */
const drainedLimitMs = 30_000;

const minutes = managerAttachLimitMs / 60_000;
interface Limit {
	readonly ms: number;
	readonly end: (reason: string) => BlockEnd;
}
const limits: { readonly [At in Block["state"]["at"]]?: Limit } = {
	starting: {
		ms: managerAttachLimitMs,
		end: () => ({
			reason: `its job has run for ${minutes} minutes and no manager of it has come`,
			announced: false,
			harmless: false,
		}),
	},
	active: {
		ms: managerAttachLimitMs,
		end: () => ({
			reason: `nothing has been heard of its managers for ${minutes} minutes`,
			announced: false,
			harmless: true,
		}),
	},
	draining: { ms: drainedLimitMs, end: endedByUs },
};

export class LoneBlocks {
	/** On the steady clock. */
	readonly #since = new Map<string, number>();

	/** The blocks whose time is over, and what is said of it. Call it now and then. */
	overdue(blocks: readonly Block[], managersOf: (id: string) => number, nowMs: number): [string, BlockEnd][] {
		const overdue: [string, BlockEnd][] = [];
		for (const { id, state, told } of blocks) {
			const limit = limits[state.at];
			// Of a job that is suspended, or of which the scheduler says nothing, no manager can be expected.
			const isExpected = state.at === "draining" || told.state === "running";
			if (!limit || !isExpected || managersOf(id) > 0) {
				this.#since.delete(id);
				continue;
			}
			const since = this.#since.get(id) ?? nowMs;
			this.#since.set(id, since);
			if (nowMs - since >= limit.ms) overdue.push([id, limit.end(state.at === "draining" ? state.reason : "")]);
		}
		return overdue;
	}

	/** A manager of it has come, or it has ended. */
	forget(id: string): void {
		this.#since.delete(id);
	}
}
