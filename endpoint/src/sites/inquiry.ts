/** What a scheduler is asked before anything is configured, and how its answers are read. Best effort: what cannot be read is not known. */
import type { SchedulerName } from "@errand/proto";

interface NodeShape {
	readonly cores?: number;
	readonly memoryBytes?: number;
	readonly gpus?: number;
}

export interface ClusterFacts {
	/** The scheduler's default first, where it tells. */
	readonly queues: readonly string[];
	readonly accounts: readonly string[];
	readonly parallelEnvironments: readonly string[];
	/** Of the commonest kind of node. */
	readonly node: NodeShape;
}

export const nothingKnown: ClusterFacts = { queues: [], accounts: [], parallelEnvironments: [], node: {} };

/** Runs a program: what it printed, or undefined when it is not there, failed, or took too long. */
export type Ask = (...argv: [string, ...string[]]) => Promise<string | undefined>;

/** Undefined: this scheduler is not here, or does not answer. */
type Inquiry = (ask: Ask, user: string) => Promise<ClusterFacts | undefined>;

const linesOf = (text: string | undefined): string[] => (text ?? "").split("\n").filter((line) => line.trim() !== "");
const words = (line: string): string[] => line.trim().split(/\s+/);
const unique = (values: readonly string[]): string[] => [...new Set(values.filter((value) => value !== ""))];

const mebibyte = 2 ** 20;
const byteUnits: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: mebibyte, g: 2 ** 30, t: 2 ** 40 };

/** "527gb", "187.5G", "131072kb" → bytes, as schedulers mean it. */
function bytesOf(text: string | undefined): number | undefined {
	const match = /^(\d+(?:\.\d+)?)([kmgt]?)b?$/i.exec(text?.trim() ?? "");
	return match ? Math.round(Number(match[1]) * (byteUnits[(match[2] as string).toLowerCase()] as number)) : undefined;
}

const positive = (text: string | undefined): number | undefined => {
	const number = Number.parseInt(text ?? "", 10);
	return number > 0 ? number : undefined;
};

/** The shape that most nodes have. */
function commonest(shapes: readonly { shape: NodeShape; nodes: number }[]): NodeShape {
	const counts = new Map<string, { shape: NodeShape; nodes: number }>();
	for (const { shape, nodes } of shapes) {
		const known = counts.get(JSON.stringify(shape)) ?? { shape, nodes: 0 };
		counts.set(JSON.stringify(shape), { shape, nodes: known.nodes + nodes });
	}
	return [...counts.values()].sort((a, b) => b.nodes - a.nodes)[0]?.shape ?? {};
}

function shapeOf(cores: number | undefined, memoryBytes: number | undefined, gpus: number | undefined): NodeShape {
	return {
		...(cores !== undefined && { cores }),
		...(memoryBytes !== undefined && { memoryBytes }),
		...(gpus !== undefined && { gpus }),
	};
}

async function slurm(ask: Ask, user: string): Promise<ClusterFacts | undefined> {
	const said = await ask("sinfo", "--noheader", "--format=%P|%D|%c|%m|%G");
	if (said === undefined) return undefined;
	const rows = linesOf(said).map((line) => line.trim().split("|"));
	const standard = rows.find(([partition]) => partition?.endsWith("*"))?.[0];
	const partitions = rows.map(([partition = ""]) => partition);
	const own = standard === undefined ? rows : rows.filter(([partition]) => partition === standard);
	const accounts = linesOf(
		await ask("sacctmgr", "--noheader", "--parsable2", "show", "associations", `user=${user}`, "format=account"),
	);
	return {
		...nothingKnown,
		queues: unique([...(standard ? [standard] : []), ...partitions].map((name) => name.replace(/\*$/, ""))),
		accounts: unique(accounts.map((line) => line.trim())),
		node: commonest(
			own.map(([, nodes, cores, memory, gres = ""]) => {
				const gpus = [...gres.matchAll(/(?:^|,)gpu:(?:[\w.-]+:)?(\d+)/g)].reduce(
					(sum, match) => sum + Number(match[1]),
					0,
				);
				const megabytes = positive(memory);
				return {
					nodes: Number.parseInt(nodes ?? "0", 10),
					shape: shapeOf(positive(cores), megabytes && megabytes * mebibyte, gpus || undefined),
				};
			}),
		),
	};
}

/** Header of two or more lines, ended by a line of dashes. */
const belowDashes = (text: string | undefined): string[] => {
	const lines = linesOf(text);
	return lines.slice(lines.findIndex((line) => /^-{3}/.test(line.trim())) + 1);
};

/** `pbsnodes -a`: a block a node; its attributes are indented. Both dialects. */
function pbsNodes(text: string | undefined): NodeShape {
	const blocks = (text ?? "").split(/\n\s*\n/).filter((block) => block.trim() !== "");
	return commonest(
		blocks.map((block) => {
			const value = (name: string): string | undefined =>
				new RegExp(`(?:^|[\\s,])${name}\\s*=\\s*([^\\s,]+)`, "m").exec(block)?.[1];
			const cores = positive(value("resources_available\\.ncpus") ?? value("np"));
			const memory = bytesOf(value("resources_available\\.mem") ?? value("physmem"));
			return {
				nodes: 1,
				shape: shapeOf(cores, memory, positive(value("resources_available\\.ngpus") ?? value("gpus"))),
			};
		}),
	);
}

const pbsDialect =
	(mark: RegExp): Inquiry =>
	async (ask) => {
		if (!mark.test((await ask("qstat", "--version")) ?? "")) return undefined;
		const queues = await ask("qstat", "-Q");
		if (queues === undefined) return undefined;
		return {
			...nothingKnown,
			queues: unique(belowDashes(queues).map((line) => words(line)[0] ?? "")),
			node: pbsNodes(await ask("pbsnodes", "-a")),
		};
	};

async function gridEngine(ask: Ask): Promise<ClusterFacts | undefined> {
	const queues = await ask("qconf", "-sql");
	if (queues === undefined) return undefined;
	const said = await ask("qhost");
	const columns = words(linesOf(said)[0] ?? "");
	const hosts = belowDashes(said)
		.map(words)
		.filter(([host]) => host !== "global");
	const column = (name: string): number => columns.indexOf(name);
	return {
		...nothingKnown,
		queues: unique(linesOf(queues).map((line) => line.trim())),
		parallelEnvironments: unique(linesOf(await ask("qconf", "-spl")).map((line) => line.trim())),
		node: commonest(
			hosts.map((row) => ({
				nodes: 1,
				shape: shapeOf(positive(row[column("NCPU")]), bytesOf(row[column("MEMTOT")]), undefined),
			})),
		),
	};
}

async function lsf(ask: Ask): Promise<ClusterFacts | undefined> {
	const queues = await ask("bqueues", "-w");
	if (queues === undefined) return undefined;
	const [header = "", ...hosts] = linesOf(await ask("lshosts", "-w"));
	const columns = words(header);
	return {
		...nothingKnown,
		queues: unique(
			linesOf(queues)
				.slice(1)
				.map((line) => words(line)[0] ?? ""),
		),
		node: commonest(
			hosts.map(words).map((row) => ({
				nodes: 1,
				shape: shapeOf(positive(row[columns.indexOf("ncpus")]), bytesOf(row[columns.indexOf("maxmem")]), undefined),
			})),
		),
	};
}

async function htcondor(ask: Ask): Promise<ClusterFacts | undefined> {
	const slots = await ask("condor_status", "-limit", "200", "-af", "TotalSlotCpus", "TotalSlotMemory", "TotalSlotGPUs");
	if (slots === undefined) return undefined;
	return {
		...nothingKnown,
		node: commonest(
			linesOf(slots)
				.map(words)
				.map(([cores, memory, gpus]) => {
					const megabytes = positive(memory);
					return { nodes: 1, shape: shapeOf(positive(cores), megabytes && megabytes * mebibyte, positive(gpus)) };
				}),
		),
	};
}

async function flux(ask: Ask): Promise<ClusterFacts | undefined> {
	const resources = await ask(
		"flux",
		"resource",
		"list",
		"--no-header",
		"--states=all",
		"--format={nnodes} {ncores} {ngpus}",
	);
	if (resources === undefined) return undefined;
	const [nodes = 0, cores = 0, gpus = 0] = words(linesOf(resources)[0] ?? "").map(Number);
	return {
		...nothingKnown,
		queues: unique(
			linesOf(await ask("flux", "queue", "list", "--no-header", "--format={queue}")).map((line) => line.trim()),
		),
		node: nodes > 0 ? shapeOf(positive(String(cores / nodes)), undefined, positive(String(gpus / nodes))) : {},
	};
}

async function kubernetes(ask: Ask): Promise<ClusterFacts | undefined> {
	const context = await ask("kubectl", "config", "current-context");
	return context === undefined ? undefined : nothingKnown;
}

/** In the order in which they are looked for: some come with the commands of another, made of their own. */
export const inquiries: readonly (readonly [SchedulerName, Inquiry])[] = [
	["slurm", slurm],
	["gridengine", gridEngine],
	["pbs", pbsDialect(/pbs_version|PBSPro|OpenPBS/i)],
	["torque", pbsDialect(/^\s*Version:\s*\d/m)],
	["lsf", lsf],
	["htcondor", htcondor],
	["flux", flux],
	["kubernetes", kubernetes],
];

/** Having its command line on a laptop does not make the laptop a login node. */
export const neverByItself: ReadonlySet<SchedulerName> = new Set(["kubernetes"]);
