/** Evidence that the kernel ended a process because memory ran out, which a bare SIGKILL does not tell. */
import { readFileSync } from "node:fs";

/** A rise that was seen explains deaths for this long: several processes may be killed by one shortage. */
const explainsMs = 1000;

const counterOf = (text: string): number | undefined => {
	const found = /^oom_kill (\d+)$/m.exec(text)?.[1];
	return found === undefined ? undefined : Number(found);
};

/** Where the kernel counts: the control group of this process (version 2, then 1), else the whole machine. */
function counterFiles(): string[] {
	const groups = read("/proc/self/cgroup").split("\n");
	const unified = groups.find((line) => line.startsWith("0::"))?.slice("0::".length);
	const memory = groups.find((line) => /^\d+:([^:]*,)?memory[,:]/.test(line))?.split(":")[2];
	return [
		...(unified === undefined ? [] : [`/sys/fs/cgroup${unified}/memory.events`]),
		...(memory === undefined ? [] : [`/sys/fs/cgroup/memory${memory}/memory.oom_control`]),
		"/proc/vmstat",
	];
}

export class OomKills {
	readonly #path: string | undefined;
	#seen: number;
	#rose: number;

	/** @param paths files with a line `oom_kill N`; the first that has one is read from then on */
	constructor(paths: readonly string[] = counterFiles()) {
		this.#path = paths.find((path) => counterOf(read(path)) !== undefined);
		this.#seen = this.#count();
		this.#rose = Number.NEGATIVE_INFINITY;
	}

	/** Whether the kernel has killed something for want of memory since the last call, or did just before it. */
	explain(nowMs: number): boolean {
		const count = this.#count();
		if (count > this.#seen) this.#rose = nowMs;
		this.#seen = count;
		return nowMs - this.#rose < explainsMs;
	}

	#count(): number {
		return this.#path === undefined ? 0 : (counterOf(read(this.#path)) ?? 0);
	}
}

function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
