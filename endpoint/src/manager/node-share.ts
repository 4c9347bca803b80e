/** What of a node is free: cores, memory and GPU indices. Each is given to one task at a time. */
import type { Resources } from "@errand/proto/wire";

export interface Share {
	readonly cores: number;
	readonly memoryBytes: number;
	readonly gpuIds: readonly string[];
}

export type Wish = Pick<Resources, "cores" | "memoryBytes" | "gpus">;

/** Without a word a task is one core's work. */
const coresOf = (wish: Wish): number => Math.max(1, wish.cores);

export class NodeShare {
	readonly #total: Share;
	#slots: number;
	#cores: number;
	#memoryBytes: number;
	readonly #gpuIds: string[];

	/** @param slots how many tasks may run at once; with more slots than cores, cores are lent more than once */
	constructor(total: Share, slots: number) {
		this.#total = { ...total, cores: Math.max(total.cores, slots) };
		this.#slots = slots;
		this.#cores = this.#total.cores;
		this.#memoryBytes = total.memoryBytes;
		this.#gpuIds = [...total.gpuIds];
	}

	/** How many further tasks of one core could run now. */
	get freeSlots(): number {
		return Math.min(this.#slots, Math.floor(this.#cores));
	}

	/** Why this node can never run such a task; undefined when it can. */
	refusal(wish: Wish): string | undefined {
		const { cores, memoryBytes, gpuIds } = this.#total;
		if (coresOf(wish) > cores) return `it asks for ${wish.cores} cores; this node offers ${cores}`;
		if (wish.memoryBytes > memoryBytes)
			return `it asks for ${wish.memoryBytes} bytes of memory; this node offers ${memoryBytes}`;
		if (wish.gpus > gpuIds.length) return `it asks for ${wish.gpus} GPUs; this node offers ${gpuIds.length}`;
		return undefined;
	}

	/** Takes what is wished, or nothing and returns undefined. */
	take(wish: Wish): Share | undefined {
		const cores = coresOf(wish);
		if (
			this.#slots < 1 ||
			cores > this.#cores ||
			wish.memoryBytes > this.#memoryBytes ||
			wish.gpus > this.#gpuIds.length
		)
			return undefined;
		this.#slots--;
		this.#cores -= cores;
		this.#memoryBytes -= wish.memoryBytes;
		return { cores, memoryBytes: wish.memoryBytes, gpuIds: this.#gpuIds.splice(0, wish.gpus) };
	}

	/** Inverse of {@link take}. */
	give(share: Share): void {
		this.#slots++;
		this.#cores += share.cores;
		this.#memoryBytes += share.memoryBytes;
		this.#gpuIds.push(...share.gpuIds);
		const order = this.#total.gpuIds;
		this.#gpuIds.sort((a, b) => order.indexOf(a) - order.indexOf(b)); // low indices first, as people expect
	}
}

/** What a task sees of its share, in the words of each vendor. */
export function shareEnvironment(share: Share, nodeHasGpus: boolean): Record<string, string> {
	return { ERRAND_CORES: String(share.cores), ...(nodeHasGpus ? gpuEnvironment(share.gpuIds.join(",")) : {}) };
}

export function gpuEnvironment(gpus: string): Record<string, string> {
	return {
		CUDA_VISIBLE_DEVICES: gpus,
		HIP_VISIBLE_DEVICES: gpus,
		ROCR_VISIBLE_DEVICES: gpus,
		ZE_AFFINITY_MASK: gpus,
	};
}
