/** What is free of one node. Placement and the forecast of scaling reckon with the same room. */
import { type DeviceGrant, DeviceShares } from "@errand/proto";
import { type NodeDemand, type NodeShape, rounding } from "./demand.ts";

/** Which devices were taken; what a task of whole nodes takes is everything, and needs no account. */
export type Grant = DeviceGrant | undefined;

export class Room {
	readonly shape: NodeShape;
	workers: number;
	cores: number;
	memoryBytes: number;
	readonly #devices: DeviceShares;
	/** Undefined: the node has nothing of the kind. */
	readonly #named: Map<string, number> | undefined;

	constructor(shape: NodeShape, like?: Room) {
		this.shape = shape;
		this.workers = like?.workers ?? shape.workers;
		this.cores = like?.cores ?? shape.cores;
		this.memoryBytes = like?.memoryBytes ?? (shape.memoryBytes > 0 ? shape.memoryBytes : Number.POSITIVE_INFINITY);
		this.#devices = like ? like.#devices.copy() : new DeviceShares(shape.gpus);
		this.#named = shape.named.size === 0 ? undefined : new Map(like ? like.#named : shape.named);
	}

	copy(): Room {
		return new Room(this.shape, this);
	}

	/** What is left when so many workers with one core each are not free although they are counted here. */
	lending(workers: number): Room {
		const left = this.copy();
		left.workers -= workers;
		left.cores -= workers;
		return left;
	}

	/** Whether all of it is free. */
	get empty(): boolean {
		return this.workers === this.shape.workers;
	}

	/** Whether a task fits now. `lent`: workers with one core each that are not free although they are counted here. */
	fits(demand: NodeDemand, lent = 0): boolean {
		return (
			this.workers - lent >= 1 &&
			this.cores - lent >= demand.cores &&
			(demand.memoryBytes === 0 || demand.memoryBytes <= this.memoryBytes) &&
			(demand.gpus === 0 || this.#devices.fits(demand.gpus)) &&
			demand.named.every(({ name, amount }) => amount <= (this.#named?.get(name) ?? 0) + rounding)
		);
	}

	/** How many such tasks of one node fit together now. */
	capacity(demand: NodeDemand): number {
		let count = Math.min(this.workers, Math.floor(this.cores / demand.cores));
		if (count > 0 && demand.memoryBytes > 0)
			count = Math.min(count, Math.floor(this.memoryBytes / demand.memoryBytes + rounding));
		if (count > 0 && demand.gpus > 0) count = Math.min(count, this.#devices.capacity(demand.gpus));
		for (const { name, amount } of demand.named)
			count = Math.min(count, Math.floor((this.#named?.get(name) ?? 0) / amount + rounding));
		return Math.max(0, count);
	}

	/**
	 * Counts `tasks` such tasks in. The grant is to be given back with them. Of what does not fit, for somebody else
	 * decided so, everything but devices is counted all the same.
	 */
	take(demand: NodeDemand, tasks = 1): Grant {
		this.#add(demand, -tasks);
		let grant: Grant;
		if (demand.gpus > 0) for (let task = 0; task < tasks; task++) grant = this.#devices.take(demand.gpus);
		return grant;
	}

	/** Inverse of {@link take} for one task. */
	give(demand: NodeDemand, grant: Grant): void {
		this.#add(demand, 1);
		if (grant !== undefined) this.#devices.give(grant);
	}

	#add(demand: NodeDemand, tasks: number): void {
		this.workers += tasks;
		this.cores += tasks * demand.cores;
		this.memoryBytes += tasks * demand.memoryBytes;
		for (const { name, amount } of demand.named) this.#named?.set(name, (this.#named.get(name) ?? 0) + tasks * amount);
	}
}
