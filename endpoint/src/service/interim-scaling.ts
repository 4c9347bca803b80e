/** The first queue's blocks by the demand as a whole, until the interchange plans for all of them. */
import { availableParallelism, totalmem } from "node:os";
import type { QueueConfig } from "../config/queue.ts";
import type { Interchange } from "../interchange/interchange.ts";
import type { ScalingPort } from "../interchange/queue-view.ts";
import { planBlocks, wantedBlocks } from "../interchange/scaling.ts";

export function interimScaling(interchange: Interchange, queue: QueueConfig): ScalingPort {
	const cores = queue.coresPerNode ?? availableParallelism();
	const shape = {
		workers: queue.workersPerNode ?? cores,
		cores: Math.max(cores, queue.workersPerNode ?? 1),
		memoryBytes: queue.memoryPerNodeBytes ?? totalmem(),
		gpus: queue.gpuIds.length,
		endsAtMs: 0,
	};
	return {
		planScaling(view, nowMs) {
			const [first] = view.queues;
			const limits = {
				initial: queue.initBlocks,
				minimum: first?.keepBlocks ?? 0,
				maximum: queue.maxBlocks,
				nodesPerBlock: queue.nodesPerBlock,
				idleTimeoutMs: queue.idleTimeoutMs,
			};
			const views = view.blocks
				.filter((block) => block.queue === queue.name)
				.map(({ id, state }) => ({
					id,
					draining: state === "draining",
					idleSinceMs: state === "active" ? interchange.blockIdleSinceMs(id) : undefined,
				}));
			const wanted = Math.max(first?.firstBlocks ?? 0, wantedBlocks(interchange.demand(), shape, limits));
			const plan = planBlocks(views, wanted, limits, nowMs);
			return {
				start: plan.start > 0 ? [{ queue: queue.name, count: plan.start }] : [],
				drain: plan.drain,
				cancelPending: [],
			};
		},
		waiting: () => [],
	};
}
