/** Processes of this user that carry a mark in their environment, wherever they went: own sessions and groups included. */
import { readdir, readFile } from "node:fs/promises";
import { processStart } from "../../service/process-identity.ts";

export interface MarkedProcess {
	readonly pid: number;
	readonly start: string;
	/** The values of the asked variables, in order. */
	readonly values: readonly string[];
}

/** Every live process whose environment has all of `names`. Costs a read for each process of this user. */
export async function findMarked(names: readonly string[]): Promise<MarkedProcess[]> {
	const found: MarkedProcess[] = [];
	for (const entry of await readdir("/proc").catch(() => [])) {
		if (!/^\d+$/.test(entry)) continue;
		const environment = await readFile(`/proc/${entry}/environ`, "latin1").catch(() => "");
		if (!environment.includes(`${names[0]}=`)) continue;
		const variables = new Map(
			environment
				.split("\0")
				.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const),
		);
		const values = names.map((name) => variables.get(name));
		const start = processStart(Number(entry));
		if (start !== undefined && values.every((value) => value !== undefined))
			found.push({ pid: Number(entry), start, values });
	}
	return found;
}
