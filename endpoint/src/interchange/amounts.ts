/** Amounts in words for people. */
import type { Demand, NodeDemand, NodeShape } from "./demand.ts";

export const counted = (count: number, one: string, many = `${one}s`): string =>
	`${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** "4 cores, 2 GPUs, 8.0 GB memory": of a node, or of what a task takes of one. */
function amounts(of: {
	cores: number;
	gpus: number;
	memoryBytes: number;
	named: Iterable<readonly [name: string, amount: number]>;
}): string {
	const parts = [counted(of.cores, "core")];
	if (of.gpus > 0) parts.push(of.gpus < 1 ? `${of.gpus} of a GPU` : counted(of.gpus, "GPU"));
	if (of.memoryBytes > 0) parts.push(`${(of.memoryBytes / 1e9).toFixed(1)} GB memory`);
	for (const [name, amount] of of.named) parts.push(`${amount} ${name}`);
	return parts.join(", ");
}

export const describeShape = (shape: NodeShape): string => amounts(shape);

/** "1 core on one node"; "3 whole nodes with 16 cores each". */
function describeVariant(demand: NodeDemand): string {
	const each = amounts({ ...demand, named: demand.named.map(({ name, amount }) => [name, amount] as const) });
	return demand.nodes > 1 ? `${demand.nodes} whole nodes of one block with ${each} each` : `${each} on one node`;
}

export const describeDemand = (demand: Demand): string => demand.variants.map(describeVariant).join("; or ");

/** "40 min", "2 h 30 min", "12 s". */
export function describeMs(ms: number): string {
	if (ms < 120_000) return `${Math.max(0, Math.round(ms / 1000))} s`;
	const minutes = Math.round(ms / 60_000);
	if (minutes < 120) return `${minutes} min`;
	return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The time of day, with the day when it is not within the next 12 hours. UTC, and it says so. */
export function describeTime(atMs: number, nowMs: number): string {
	const text = new Date(atMs).toISOString();
	const time = `${text.slice(11, 16)} UTC`;
	return Math.abs(atMs - nowMs) < 12 * 3_600_000 ? time : `${text.slice(0, 10)} ${time}`;
}
