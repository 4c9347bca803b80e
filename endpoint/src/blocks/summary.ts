/** Blocks as a heartbeat tells of them. */
import { type BlockSummary, toldBlocks } from "@errand/proto/rest";
import { type Block, jobOf } from "./block.ts";

function summarize(block: Block, managers: number): BlockSummary {
	const { state, told } = block;
	const waits = state.at === "submitted" || state.at === "held";
	return {
		id: block.id,
		queue: block.queue,
		state: state.at,
		job_id: jobOf(block) ?? null,
		nodes: block.nodes,
		managers,
		reason: state.at === "draining" ? state.reason : told.reason,
		since_ms: state.sinceMs,
		expected_start_ms: waits ? (told.expectedStartMs ?? null) : null,
		ends_at_ms: block.endsAtMs ?? null,
	};
}

/** As many as a heartbeat has room for; those that people ask about first: what waits, then what works. */
export function summarizeAll(blocks: readonly Block[], managersOf: (id: string) => number): BlockSummary[] {
	const rank = (block: Block): number => (block.state.at === "active" ? 1 : 0);
	const sorted = blocks.length > toldBlocks ? blocks.toSorted((a, b) => rank(a) - rank(b)) : blocks;
	return sorted.slice(0, toldBlocks).map((block) => summarize(block, managersOf(block.id)));
}
