/** Tasks that managers go on with over a restart of the daemon, which has forgotten how and where it told them to run. */
import type { Holding } from "@errand/proto/wire";
import { demandOf, type NodeDemand } from "./demand.ts";
import type { HeldPlace, HeldTask } from "./held-task.ts";
import { type ManagerRecord, occupy } from "./manager-record.ts";

/** What it takes, as its manager was told; without word of that the best way to run it. */
export function adoptedVariant(task: HeldTask, holding: Holding | undefined): NodeDemand {
	return holding?.resources === undefined ? task.demand.variants[0] : demandOf(holding.resources).variants[0];
}

/** Tasks over several nodes not all of whose nodes have come back, and the hosts of the missing, where they are known. */
export class ShortOfNodes {
	readonly #tasks = new Map<HeldTask, string[] | undefined>();

	add(task: HeldTask, holding: Holding | undefined): void {
		this.#tasks.set(task, holding && holding.hosts.length > 1 ? holding.hosts.slice(1) : undefined);
	}

	delete(task: HeldTask): void {
		this.#tasks.delete(task);
	}

	/** Each task takes back its nodes, as far as they are there: those of its hosts, or empty ones of its block. */
	find(): void {
		for (const [task, hosts] of this.#tasks) {
			if (task.state.at !== "held") continue;
			const place = withOthers(task.state, hosts);
			task.state = place;
			occupy(task, place);
			if (place.others.length === place.variant.nodes - 1) this.#tasks.delete(task);
		}
	}
}

function withOthers(place: HeldPlace, hosts: string[] | undefined): HeldPlace {
	const found: ManagerRecord[] = [];
	for (const manager of place.manager.block.managers) {
		if (place.others.length + found.length === place.variant.nodes - 1) break;
		if (manager.tasks.size > 0) continue;
		const at = hosts?.indexOf(manager.host);
		if (at === -1) continue;
		if (at !== undefined) hosts?.splice(at, 1);
		found.push(manager);
	}
	return { ...place, others: [...place.others, ...found] };
}
