/** Which processors of a node are whose, when the endpoint's `cpu_affinity` asks for it. Numbers as the kernel counts them. */

/** What one task may run on. */
export interface CpuGrant {
	/** Its own: nobody else's while there are enough. */
	readonly own: readonly number[];
	/** Its own, and what lay idle beside them when it asked for no number of cores. */
	readonly allowed: readonly number[];
}

/** "0-3,8" → 0, 1, 2, 3, 8. Inverse of {@link formatCpuList}. */
export function parseCpuList(text: string): number[] {
	return text
		.trim()
		.split(",")
		.filter(Boolean)
		.flatMap((part) => {
			const [from = 0, to = from] = part.split("-").map(Number);
			return Array.from({ length: to - from + 1 }, (_, at) => from + at);
		});
}

export function formatCpuList(cpus: readonly number[]): string {
	const sorted = [...new Set(cpus)].sort((a, b) => a - b);
	const ranges: [number, number][] = [];
	for (const cpu of sorted) {
		const last = ranges.at(-1);
		if (last !== undefined && last[1] === cpu - 1) last[1] = cpu;
		else ranges.push([cpu, cpu]);
	}
	return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(",");
}

/**
 * The processors that lie together for each of so many workers, by the words of `cpu_affinity`; nothing for `none`.
 *
 * @param allowed what this process may use
 */
export function cpuGroups(policy: string, allowed: readonly number[], workers: number): number[][] {
	if (policy === "none" || allowed.length === 0) return [];
	if (policy.startsWith("list:")) return policy.slice("list:".length).split(":").map(parseCpuList);
	const order = policy === "block-reverse" ? allowed.toReversed() : allowed;
	const groups = Math.min(workers, order.length);
	const size = Math.floor(order.length / groups);
	return Array.from({ length: groups }, (_, group) =>
		order.filter((_, at) =>
			policy === "alternating" ? at % groups === group : Math.min(Math.floor(at / size), groups - 1) === group,
		),
	);
}

export class CpuShares {
	readonly #groups: readonly (readonly number[])[];
	/** How many tasks own each: more than one only when more cores are lent than there are. */
	readonly #owners = new Map<number, number>();

	/** @param groups as {@link cpuGroups} makes them; at least one */
	constructor(groups: readonly (readonly number[])[]) {
		this.#groups = groups;
		for (const cpu of groups.flat()) this.#owners.set(cpu, 0);
	}

	/**
	 * @param wide the task asked for no number: it may also use what is idle in its group
	 * @param before what the same worker had last: given again if it is free, since moving a process costs milliseconds
	 */
	take(cores: number, wide: boolean, before?: CpuGrant): CpuGrant {
		const count = Math.min(cores, this.#owners.size);
		const again = before !== undefined && before.own.length === count && before.own.every((cpu) => this.#isFree(cpu));
		const own = again ? before.own : this.#choose(count);
		const group = wide ? (this.#groups.find((one) => one.includes(own[0] ?? -1)) ?? []) : [];
		const idle = group.filter((cpu) => this.#isFree(cpu) && !own.includes(cpu));
		for (const cpu of own) this.#owners.set(cpu, (this.#owners.get(cpu) ?? 0) + 1);
		return { own, allowed: [...own, ...idle] };
	}

	/** Inverse of {@link take}. */
	give({ own }: CpuGrant): void {
		for (const cpu of own) this.#owners.set(cpu, (this.#owners.get(cpu) ?? 0) - 1);
	}

	#isFree(cpu: number): boolean {
		return this.#owners.get(cpu) === 0;
	}

	/** From the groups that are used least, the first; within them in their order. */
	#choose(count: number): number[] {
		const used = (group: readonly number[]): number =>
			group.reduce((sum, cpu) => sum + (this.#owners.get(cpu) ?? 0), 0) / group.length;
		const groups = this.#groups.toSorted((a, b) => used(a) - used(b));
		const cpus = groups.flat().toSorted((a, b) => (this.#owners.get(a) ?? 0) - (this.#owners.get(b) ?? 0));
		return cpus.slice(0, count);
	}
}

/** What a task is told of its processors, in the words of the run-time systems that place threads. */
export function cpuEnvironment({ allowed }: CpuGrant): Record<string, string> {
	const list = formatCpuList(allowed);
	return { ERRAND_CPUS: list, GOMP_CPU_AFFINITY: list, KMP_AFFINITY: `explicit,proclist=[${list}]` };
}
