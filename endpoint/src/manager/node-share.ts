/** What of a node is free: cores, memory, devices and whatever else the endpoint's configuration names. Each is given once. */
import { coresAsked } from "@errand/proto/demand-key";
import { type DeviceGrant, DeviceShares, isDeviceWish } from "@errand/proto/device-shares";
import type { Resources } from "@errand/proto/wire";
import { type CpuGrant, type CpuShares, cpuEnvironment } from "./cpu-shares.ts";

export interface NodeTotal {
	readonly cores: number;
	readonly memoryBytes: number;
	/** Device ids as CUDA_VISIBLE_DEVICES takes them. */
	readonly gpuIds: readonly string[];
	/** Whatever else it has, by name. */
	readonly named: Readonly<Record<string, number>>;
}

/** What one task holds of its node. */
export interface Share {
	readonly slots: number;
	readonly cores: number;
	readonly memoryBytes: number;
	readonly gpuIds: readonly string[];
	readonly named: Readonly<Record<string, number>>;
	readonly devices: DeviceGrant;
	/** Undefined: it may run on any. */
	readonly cpus: CpuGrant | undefined;
}

export interface Wish extends Pick<Resources, "cores" | "memoryBytes" | "gpus" | "nodes" | "ranksPerNode"> {
	readonly named: readonly { readonly name: string; readonly amount: number }[];
}

/** Amounts are lent in ten-thousandths: integers, so that ten tenths are one. */
const amountUnits = 10_000;
const unitsOf = (amount: number): number => Math.round(amount * amountUnits);

export class NodeShare {
	readonly #total: NodeTotal;
	readonly #totalSlots: number;
	readonly #devices: DeviceShares;
	readonly #named: Map<string, number>;
	readonly #cpus: CpuShares | undefined;
	#slots: number;
	#cores: number;
	#memoryBytes: number;

	/**
	 * @param slots how many tasks may run at once; with more slots than cores, cores are lent more than once
	 * @param cpus undefined: tasks may run on any processor
	 */
	constructor(total: NodeTotal, slots: number, cpus?: CpuShares) {
		this.#cpus = cpus;
		this.#total = { ...total, cores: Math.max(total.cores, slots) };
		this.#totalSlots = slots;
		this.#slots = slots;
		this.#cores = this.#total.cores;
		this.#memoryBytes = total.memoryBytes;
		this.#devices = new DeviceShares(total.gpuIds.length);
		this.#named = new Map(Object.entries(total.named).map(([name, amount]) => [name, unitsOf(amount)]));
	}

	/** How many further tasks of one core could run now. */
	get freeSlots(): number {
		return Math.min(this.#slots, Math.floor(this.#cores));
	}

	/** Why this node can never run such a task; undefined when it can. */
	refusal(wish: Wish): string | undefined {
		const { cores, memoryBytes, gpuIds, named } = this.#total;
		const asked = coresAsked(wish);
		if (asked > cores) return `it asks for ${asked} cores; this node offers ${cores}`;
		if (wish.memoryBytes > memoryBytes)
			return `it asks for ${wish.memoryBytes} bytes of memory; this node offers ${memoryBytes}`;
		if (!isDeviceWish(wish.gpus)) return `it asks for ${wish.gpus} GPUs; ask for whole ones, or for less than one`;
		if (!this.#devices.couldEverFit(wish.gpus))
			return `it asks for ${wish.gpus} GPUs; this node offers ${gpuIds.length}`;
		for (const { name } of wish.named) {
			const amount = wish.named.reduce((sum, one) => (one.name === name ? sum + one.amount : sum), 0);
			if (amount > (named[name] ?? 0)) return `it asks for ${amount} of ${name}; this node offers ${named[name] ?? 0}`;
		}
		return undefined;
	}

	/**
	 * Takes what is wished, or nothing and returns undefined. A task over several nodes takes all of this one.
	 *
	 * @param before processors of the same worker's last task
	 */
	take(wish: Wish, before?: CpuGrant): Share | undefined {
		if (wish.nodes > 1) return this.refusal(wish) === undefined ? this.#takeWhole() : undefined;
		const cores = coresAsked(wish);
		if (this.#slots < 1 || cores > this.#cores || wish.memoryBytes > this.#memoryBytes) return undefined;
		const named: Record<string, number> = {};
		for (const { name, amount } of wish.named) named[name] = (named[name] ?? 0) + amount;
		if (Object.entries(named).some(([name, amount]) => unitsOf(amount) > (this.#named.get(name) ?? 0)))
			return undefined;
		const devices = this.#devices.take(wish.gpus);
		if (devices === undefined) return undefined;
		const cpus = this.#cpus?.take(cores, wish.cores === 0 && wish.ranksPerNode === 0, before);
		return this.#lend({ slots: 1, cores, memoryBytes: wish.memoryBytes, named, devices, cpus });
	}

	/** Inverse of {@link take}. */
	give(share: Share): void {
		this.#slots += share.slots;
		this.#cores += share.cores;
		this.#memoryBytes += share.memoryBytes;
		this.#devices.give(share.devices);
		if (share.cpus !== undefined) this.#cpus?.give(share.cpus);
		this.#move(share.named, 1);
	}

	#takeWhole(): Share | undefined {
		if (this.#slots < this.#totalSlots) return undefined;
		const devices = this.#devices.take(this.#devices.count);
		if (devices === undefined) return undefined;
		const { cores, memoryBytes, named } = this.#total;
		const cpus = this.#cpus?.take(cores, false);
		return this.#lend({ slots: this.#totalSlots, cores, memoryBytes, named, devices, cpus });
	}

	#lend(taken: Omit<Share, "gpuIds">): Share {
		this.#slots -= taken.slots;
		this.#cores -= taken.cores;
		this.#memoryBytes -= taken.memoryBytes;
		this.#move(taken.named, -1);
		return { ...taken, gpuIds: taken.devices.devices.map((at) => this.#total.gpuIds[at] as string) };
	}

	#move(named: Readonly<Record<string, number>>, sign: 1 | -1): void {
		for (const [name, amount] of Object.entries(named))
			this.#named.set(name, (this.#named.get(name) ?? 0) + sign * unitsOf(amount));
	}
}

/** Whose devices a node has, as far as it changes how tasks are told of them. */
export type GpuVendor = "none" | "amd" | "other";

/** What a task that asked for something sees of its share, in the words of each vendor. */
export function shareEnvironment(share: Share, vendor: GpuVendor): Record<string, string> {
	const environment: Record<string, string> = { ERRAND_CORES: String(share.cores) };
	if (vendor !== "none") Object.assign(environment, gpuEnvironment(share.gpuIds, vendor));
	for (const [name, amount] of Object.entries(share.named))
		environment[`ERRAND_RESOURCE_${name.toUpperCase().replaceAll(/\W/g, "_")}`] = String(amount);
	return environment;
}

/** How many threads it should start, and where. */
export function threadEnvironment({ cores, cpus }: Share): Record<string, string> {
	const threads = { OMP_NUM_THREADS: String(cpus?.allowed.length ?? cores) };
	return cpus === undefined ? threads : { ...threads, ...cpuEnvironment(cpus) };
}

/** On AMD's devices ROCR's list goes first, and HIP, by either of its names, counts anew among what is left. */
export function gpuEnvironment(ids: readonly string[], vendor: GpuVendor): Record<string, string> {
	const all = ids.join(",");
	const left = vendor === "amd" ? ids.map((_, at) => at).join(",") : all;
	return {
		CUDA_VISIBLE_DEVICES: left,
		HIP_VISIBLE_DEVICES: left,
		ROCR_VISIBLE_DEVICES: all,
		ZE_AFFINITY_MASK: all,
	};
}
