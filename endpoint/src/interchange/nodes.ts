/** The managers that are known, by block and by queue. */
import type { Hello } from "@errand/proto/wire";
import type { Demand } from "./demand.ts";
import { attached, type BlockRecord, type ManagerRecord, recordManager } from "./manager-record.ts";
import { QueueRecord, unnamedQueue } from "./queue-record.ts";
import type { QueueSettings } from "./queue-view.ts";

export class Nodes {
	readonly #managers = new Map<string, ManagerRecord>();
	readonly #blocks = new Map<string, BlockRecord>();
	readonly #queues = new Map<string, QueueRecord>();
	readonly #unnamed = new QueueRecord(unnamedQueue, false);
	#version = 0;

	constructor(queues: readonly QueueSettings[]) {
		for (const settings of queues) this.#queues.set(settings.name, new QueueRecord(settings, true));
	}

	get managers(): Iterable<ManagerRecord> {
		return this.#managers.values();
	}

	/** Another number when {@link couldRun} may answer otherwise than before. */
	get version(): number {
		return this.#version;
	}

	/** In the order of the configuration; those last that only blocks of an earlier one name. */
	get queues(): readonly QueueRecord[] {
		const queues = [...this.#queues.values()];
		return this.#unnamed.seen ? [...queues, this.#unnamed] : queues;
	}

	get(managerId: string): ManagerRecord | undefined {
		return this.#managers.get(managerId);
	}

	has(manager: ManagerRecord): boolean {
		return this.#managers.get(manager.id) === manager;
	}

	queue(name: string): QueueRecord | undefined {
		return this.#queues.get(name);
	}

	block(blockId: string): BlockRecord | undefined {
		return this.#blocks.get(blockId);
	}

	ofBlock(blockId: string): ManagerRecord[] {
		return [...(this.#blocks.get(blockId)?.managers ?? [])];
	}

	/** The manager, new or known, attached. */
	attach(hello: Hello, queueName: string | undefined, nowMs: number): ManagerRecord {
		let manager = this.#managers.get(hello.managerId);
		if (!manager) {
			let block = this.#blocks.get(hello.blockId);
			if (!block) {
				block = { id: hello.blockId, queue: this.#queueOf(queueName), managers: new Set(), firstAttachMs: nowMs };
				this.#blocks.set(block.id, block);
			}
			manager = recordManager(hello, block, nowMs);
			block.managers.add(manager);
			if (block.queue.see(manager.shape)) this.#version++;
			this.#managers.set(manager.id, manager);
		}
		manager.link = attached;
		return manager;
	}

	/** Forgets the manager, and its block with the last one. */
	remove(managerId: string): ManagerRecord | undefined {
		const manager = this.#managers.get(managerId);
		if (!manager) return undefined;
		this.#managers.delete(managerId);
		manager.block.managers.delete(manager);
		if (manager.block.managers.size === 0) this.#blocks.delete(manager.block.id);
		return manager;
	}

	/** Whether some queue's block could run the task; `maybe`: that is not known before a node has come. */
	couldRun(demand: Demand): "yes" | "no" | "maybe" {
		const answers = this.queues.flatMap((queue) => demand.variants.map((variant) => queue.couldRun(variant)));
		if (answers.includes("yes")) return "yes";
		return answers.length === 0 || answers.includes("maybe") ? "maybe" : "no";
	}

	/** Since when all managers of the block have had nothing to do; undefined when one has, or none has come. */
	idleSinceMs(blockId: string): number | undefined {
		let since: number | undefined;
		for (const { idleSinceMs } of this.ofBlock(blockId)) {
			if (idleSinceMs === undefined) return undefined;
			since = Math.max(since ?? 0, idleSinceMs);
		}
		return since;
	}

	/** Without a name it is the only queue's; a name that the configuration does not have any more is its own. */
	#queueOf(name: string | undefined): QueueRecord {
		const [first, ...more] = this.#queues.values();
		if (name === undefined) return first !== undefined && more.length === 0 ? first : this.#unnamed;
		let queue = this.#queues.get(name);
		if (!queue) {
			queue = new QueueRecord({ ...unnamedQueue, name }, false);
			this.#queues.set(name, queue);
			this.#version++;
		}
		return queue;
	}
}
