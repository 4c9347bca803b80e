/** Tasks that wait for a node: by demand, then by priority, then in order of arrival. */
import type { Demand } from "./demand.ts";
import { Fifo } from "./fifo.ts";
import type { HeldTask } from "./held-task.ts";

interface Lane {
	readonly priority: number;
	readonly tasks: Fifo<HeldTask>;
}

/** A head of this priority, expected to take this long, was refused by every node. */
interface Refusal {
	readonly priority: number;
	readonly estimateMs: number;
}

/** The queue of one demand. Tasks that left in another way than by `take` are skipped when their turn comes. */
export class DemandQueue {
	readonly demand: Demand;
	/** Tasks that wait. Kept by the interchange, which knows of those that left in another way. */
	size = 0;
	/** Until a node has more room than before, the others need not be asked again. */
	refused: Refusal | undefined;
	/** The version of what is known of nodes by which it was found possible. */
	possibleSince: number | undefined;
	/** When a node was last looked for to be kept free. */
	reserveTriedMs = Number.NEGATIVE_INFINITY;
	/** Highest priority first; few, so a sorted array. */
	#lanes: Lane[] = [];

	constructor(demand: Demand) {
		this.demand = demand;
	}

	push(task: HeldTask): void {
		this.#lane(task.priority).tasks.push(task);
	}

	/** To the head of its priority: a task whose node died has waited before. */
	putBack(task: HeldTask): void {
		this.#lane(task.priority).tasks.putBack(task);
		this.refused = undefined;
	}

	/** The next task, left in place. */
	peek(): HeldTask | undefined {
		for (;;) {
			const lane = this.#lanes[0];
			if (!lane) return undefined;
			const task = lane.tasks.peek();
			if (task === undefined) this.#lanes.shift();
			else if (task.state.at !== "queued") lane.tasks.shift();
			else return task;
		}
	}

	/** Removes what {@link peek} returned. */
	take(): void {
		this.#lanes[0]?.tasks.shift();
	}

	#lane(priority: number): Lane {
		let at = 0;
		while (at < this.#lanes.length && (this.#lanes[at] as Lane).priority > priority) at++;
		const found = this.#lanes[at];
		if (found?.priority === priority) return found;
		const lane = { priority, tasks: new Fifo<HeldTask>() };
		this.#lanes.splice(at, 0, lane);
		return lane;
	}
}
