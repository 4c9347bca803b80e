/** All tasks that wait for nodes, by demand. */
import { goesBefore, type HeldTask } from "./held-task.ts";
import { DemandQueue } from "./task-queue.ts";

/** Tasks of one demand that wait, and the one that is next. */
export interface WaitingGroup {
	readonly head: HeldTask;
	readonly tasks: number;
}

export class WaitingTasks {
	readonly #queues = new Map<string, DemandQueue>();
	#count = 0;

	get queues(): ReadonlyMap<string, DemandQueue> {
		return this.#queues;
	}

	get count(): number {
		return this.#count;
	}

	/** `again`: it has waited before, and is next in its demand and priority. */
	add(task: HeldTask, again: boolean): void {
		const { key } = task.demand;
		let queue = this.#queues.get(key);
		if (!queue) {
			queue = new DemandQueue(task.demand);
			this.#queues.set(key, queue);
		}
		this.#count++;
		queue.size++;
		if (again) queue.putBack(task);
		else queue.push(task);
	}

	/** The task waits no more. Whoever calls moves it at once: by its state its queue passes it over. */
	remove(task: HeldTask): void {
		this.#count--;
		const queue = this.#queues.get(task.demand.key);
		if (queue && --queue.size === 0 && !task.demand.plain) this.#queues.delete(task.demand.key);
	}

	/** In the order in which they would be placed. */
	groups(): WaitingGroup[] {
		const groups: WaitingGroup[] = [];
		for (const queue of this.#queues.values()) {
			const head = queue.peek();
			if (head) groups.push({ head, tasks: queue.size });
		}
		return groups.sort((a, b) => (goesBefore(a.head, b.head) ? -1 : 1));
	}
}
