import type { Resources } from "./gen/errand/v1/task_pb.js";

/**
 * Names what a task asks of nodes: tasks of one key wait for the same reason. Endpoint and cloud make the same key of
 * the same resources. Priority is not part of it.
 */
export function demandKey(resources: Resources | undefined): string {
	if (resources === undefined) return "plain";
	const own = ownKey(resources);
	const variants = resources.variants.map(ownKey);
	const { walltimeMs, expectedMs } = resources;
	const times = walltimeMs === 0 && expectedMs === 0 ? "" : `@${expectedMs || walltimeMs}`;
	return variants.length === 0 && times === "" && own === "1" ? "plain" : [own, ...variants].join("|") + times;
}

function ownKey(resources: Resources): string {
	const { cores, memoryBytes, gpus, nodes, ranksPerNode, named, containerImage: _ } = resources;
	const parts = [String(Math.max(1, cores))];
	if (memoryBytes > 0) parts.push(`m${memoryBytes}`);
	if (gpus > 0) parts.push(`g${gpus}`);
	if (nodes > 1) parts.push(`n${nodes}`);
	if (ranksPerNode > 0) parts.push(`r${ranksPerNode}`);
	for (const { name, amount } of named.toSorted((a, b) => (a.name < b.name ? -1 : 1))) parts.push(`${name}=${amount}`);
	return parts.join(",");
}

/** Cores that it takes of each of its nodes: as said, else one a rank. */
export const coresAsked = ({ cores, ranksPerNode }: Pick<Resources, "cores" | "ranksPerNode">): number =>
	cores > 0 ? cores : Math.max(1, ranksPerNode);
