/** Asks the interchange how many blocks it wants, and has the supervisor see to it. */

import { availableParallelism, totalmem } from "node:os";
import type { BlockSupervisor } from "../blocks/supervisor.ts";
import { warmBlocks } from "../blocks/warm-window.ts";
import type { QueueConfig } from "../config/queue.ts";
import type {
	BlockView,
	ClosedQueue,
	QueueSettings,
	QueueView,
	ScalingPlan,
	ScalingView,
} from "../interchange/queue-view.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** A scheduler that has been silent for less is only slow. */
const silentAfterMs = 60_000;

/** What the interchange is told of a queue once. Of this machine all is known; of nodes what config.yaml says. */
export function queueSettings(queue: QueueConfig, isLocal: boolean): QueueSettings {
	const cores = queue.coresPerNode ?? (isLocal ? availableParallelism() : undefined);
	return {
		...queue,
		node: {
			workers: queue.workersPerNode ?? cores,
			cores,
			memoryBytes: queue.memoryPerNodeBytes ?? (isLocal ? totalmem() : undefined),
			// A batch job tells its nodes of devices that config.yaml does not name.
			gpus: isLocal || queue.gpuIds.length > 0 ? queue.gpuIds.length : undefined,
			named: queue.resourcesPerNode,
		},
	};
}

export interface ScalingDriverOptions {
	readonly supervisor: BlockSupervisor;
	readonly interchange: {
		planScaling(view: ScalingView, nowMs: number): ScalingPlan;
		drainBlock(blockId: string, reason: string): void;
	};
	readonly queues: readonly QueueConfig[];
	readonly clock: Clock;
	readonly log: Logger;
}

export class ScalingDriver {
	readonly #options: ScalingDriverOptions;
	#isFirst = true;

	constructor(options: ScalingDriverOptions) {
		this.#options = options;
	}

	/** What the interchange is told of queues and blocks. */
	view(): ScalingView {
		const { supervisor, queues } = this.#options;
		return { queues: queues.map((queue) => this.#queueView(queue)), blocks: supervisor.blocks.flatMap(blockView) };
	}

	/** Does what the interchange wants now. */
	scale(): void {
		const { supervisor, interchange, clock, log } = this.#options;
		this.#leaveQueues();
		const plan = interchange.planScaling(this.view(), clock.steadyMs());
		this.#isFirst = false;
		supervisor.cancelPending(plan.cancelPending, "nothing waits for it any more");
		for (const id of plan.drain) {
			log.info({ block: id }, "blocks: a block has been idle for long and is given back");
			supervisor.drain(id, "idle");
			interchange.drainBlock(id, "the block was idle");
		}
		for (const { queue, count } of plan.start) supervisor.start(queue, count);
	}

	/** Blocks of queues that are not in the configuration any more finish what they run. */
	#leaveQueues(): void {
		const { supervisor, interchange, queues } = this.#options;
		for (const { id, queue, state } of supervisor.blocks) {
			if (state.at === "draining" || queues.some(({ name }) => name === queue)) continue;
			const reason = `there is no queue ${queue} any more`;
			if (state.at === "active") {
				supervisor.drain(id, reason);
				interchange.drainBlock(id, reason);
			} else supervisor.cancelPending([id], reason);
		}
	}

	#queueView(queue: QueueConfig): QueueView {
		const { supervisor, clock } = this.#options;
		const affordable = supervisor.affordable(queue);
		return {
			name: queue.name,
			keepBlocks: Math.max(queue.minBlocks, warmBlocks(queue.keepWarm, new Date(clock.wallMs()))),
			...(this.#isFirst && { firstBlocks: queue.initBlocks }),
			affordableBlocks: Number.isFinite(affordable) ? affordable : undefined,
			closed: this.#closed(queue),
		};
	}

	#closed(queue: QueueConfig): ClosedQueue | undefined {
		const { supervisor, clock } = this.#options;
		const { paused, silent } = supervisor.view;
		if (paused !== undefined) return { word: "paused", sentence: `The endpoint is paused: ${paused}.` };
		const overBudget = supervisor.overBudget(queue);
		if (overBudget !== undefined) return { word: "budget-used-up", sentence: `The budget is used up: ${overBudget}.` };
		if (silent === undefined || clock.wallMs() - silent.sinceMs < silentAfterMs) return undefined;
		return {
			word: "scheduler-silent",
			sentence: `The scheduler has not answered since ${new Date(silent.sinceMs).toISOString()}: ${silent.reason}.`,
		};
	}
}

function blockView({ id, queue, nodes, state, told, endsAtMs }: BlockSupervisor["blocks"][number]): BlockView[] {
	if (state.at === "ended") return [];
	const { expectedStartMs, reason } = told;
	return [{ id, queue, nodes, state: state.at, reason, expectedStartMs, endsAtMs }];
}
