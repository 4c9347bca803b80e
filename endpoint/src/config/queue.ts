/**
 * What one kind of block is: what is asked of the scheduler, what its nodes have, and how many there may be. Said at the
 * top of config.yaml it holds for every queue; said in an entry of `queues` it holds for that one.
 */
import * as z from "zod";
import { duration, size } from "./quantities.ts";

/** How one manager a node is started inside a batch job. `auto`: what the scheduler's own jobs use. */
export const launcherNames = [
	"auto",
	"single",
	"srun",
	"mpiexec",
	"mpirun",
	"aprun",
	"jsrun",
	"flux",
	"ssh",
	"qrsh",
	"blaunch",
] as const;
export type LauncherName = (typeof launcherNames)[number];

const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const word = z
	.string()
	.min(1)
	.max(256)
	.regex(/^[^\n\r]*$/, "one line");
const amount = z.number().min(0).max(1e9);

/** Blocks are kept warm in this window of the week, local time. */
const warmWindow = z.strictObject({
	days: z
		.array(z.enum(days))
		.min(1)
		.default([...days]),
	from: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of the day, like "08:00"'),
	to: z.string().regex(/^([01]\d|2[0-4]):[0-5]\d$/, 'a time of the day, like "18:00"'),
	blocks: z.int().min(1).max(10_000).default(1),
});
export type WarmWindow = Readonly<z.output<typeof warmWindow>>;

/** No line may end the header that it is written into, or begin another. */
const headerText = z.string().max(20_000);
const oneLine = z
	.string()
	.max(2_000)
	.regex(/^[^\n\r]*$/, "one line");

export const queueSettings = {
	// --- What is asked of the scheduler
	account: word.optional(),
	queue: word.optional(),
	partition: word.optional(),
	qos: word.optional(),
	constraint: oneLine.optional(),
	reservation: word.optional(),
	walltime: duration.optional(),
	nodes_per_block: z.int().min(1).max(100_000).default(1),
	exclusive: z.boolean().default(true),
	select_options: oneLine.optional(),
	parallel_environment: word.optional(),
	scheduler_options: headerText.default(""),
	depends_on_job: oneLine.optional(),
	// --- What one node has
	workers_per_node: z.int().min(1).max(4096).optional(),
	cores_per_node: z.int().min(1).max(4096).optional(),
	memory_per_node: size.optional(),
	available_accelerators: z
		.union([z.int().min(0).max(1024), z.array(z.union([z.string().min(1), z.int().min(0)]))])
		.default(0),
	resources_per_node: z.record(z.string().regex(/^[A-Za-z][\w-]*$/, "the name of a resource"), amount).default({}),
	cpu_affinity: z
		.string()
		.regex(
			/^(none|block|block-reverse|alternating|list:[\d,:-]+)$/,
			"none, block, block-reverse, alternating, or list:0-7:8-15",
		)
		.default("none"),
	max_launches_per_second: z.number().positive().optional(),
	max_running_launches: z.int().min(1).optional(),
	// --- What tasks find there
	launcher: z.enum(launcherNames).default("auto"),
	launcher_options: oneLine.default(""),
	mpi_launcher: z.enum(launcherNames).default("auto"),
	mpi_launcher_options: oneLine.default(""),
	worker_init: z.string().default(""),
	container_type: z
		.enum(["apptainer", "singularity", "podman", "podman-hpc", "docker", "shifter", "custom"])
		.optional(),
	container_image: word.optional(),
	container_options: oneLine.default(""),
	container_command: oneLine.optional(),
	// --- How many
	init_blocks: z.int().min(0).default(1),
	min_blocks: z.int().min(0).default(0),
	max_blocks: z.int().min(1).default(1),
	max_queued_blocks: z.int().min(1).optional(),
	parallelism: z.number().min(0).max(1).default(1),
	idle_timeout: duration.default(600_000),
	keep_warm: z.array(warmWindow).default([]),
};

/** Settings of one queue, in effect as said. Times in milliseconds, sizes in bytes. */
export interface QueueConfig {
	/** Ours: shown to people, kept with each block. */
	readonly name: string;
	readonly account: string | undefined;
	/** The scheduler's: Slurm says partition. */
	readonly queue: string | undefined;
	readonly qos: string | undefined;
	readonly constraint: string | undefined;
	readonly reservation: string | undefined;
	/** Undefined: the block does not end by itself (`local`). */
	readonly walltimeMs: number | undefined;
	readonly nodesPerBlock: number;
	/** Nodes are shared with nobody. */
	readonly exclusive: boolean;
	/** PBS: what is added to the select statement. */
	readonly selectOptions: string | undefined;
	/** Grid Engine. */
	readonly parallelEnvironment: string | undefined;
	/** Lines for the batch script's header, as they are. */
	readonly schedulerOptions: string;
	/** "afterok:1234": the block follows a job that was submitted outside. */
	readonly dependsOnJob: string | undefined;
	/** Undefined: what the node turns out to have. */
	readonly workersPerNode: number | undefined;
	readonly coresPerNode: number | undefined;
	readonly memoryPerNodeBytes: number | undefined;
	/** Device ids as CUDA_VISIBLE_DEVICES takes them. */
	readonly gpuIds: readonly string[];
	/** Whatever else a node has, by name. */
	readonly resourcesPerNode: Readonly<Record<string, number>>;
	readonly cpuAffinity: string;
	/** Of programs that tasks start over several nodes (ENS-2). */
	readonly maxLaunchesPerSecond: number | undefined;
	readonly maxRunningLaunches: number | undefined;
	readonly launcher: LauncherName;
	readonly launcherOptions: string;
	/** What starts the processes of a task over its nodes; `auto`: found where the task runs. */
	readonly mpiLauncher: LauncherName;
	readonly mpiLauncherOptions: string;
	readonly workerInit: string;
	readonly container: ContainerConfig | undefined;
	readonly initBlocks: number;
	readonly minBlocks: number;
	readonly maxBlocks: number;
	/** Of the blocks, so many may wait at the scheduler at once; a site's own limit. */
	readonly maxQueuedBlocks: number;
	/** 1: a block for whatever waits; 0: one block, whatever waits. */
	readonly parallelism: number;
	readonly idleTimeoutMs: number;
	readonly keepWarm: readonly WarmWindow[];
}

/** What tasks run in when they do not name an image of their own. */
export interface ContainerConfig {
	readonly type: "apptainer" | "singularity" | "podman" | "podman-hpc" | "docker" | "shifter" | "custom";
	/** Undefined: only tasks that name an image run in one. */
	readonly image: string | undefined;
	/** Words added before the image. */
	readonly options: string;
	/** For `custom`: a command with `{image}`, `{options}` and `{command}`. */
	readonly command: string | undefined;
}

type QueueDocument = z.output<z.ZodObject<typeof queueSettings>>;

/** What contradicts itself in one queue's settings, as setting and sentence. */
export function queueFaults(value: QueueDocument, isLocal: boolean): [keyof QueueDocument, string][] {
	const faults: [keyof QueueDocument, string][] = [];
	const fault = (setting: keyof QueueDocument, says: string): void => void faults.push([setting, says]);
	if (value.min_blocks > value.max_blocks || value.init_blocks > value.max_blocks)
		fault("max_blocks", "must not be below min_blocks or init_blocks");
	if (value.queue !== undefined && value.partition !== undefined)
		fault("partition", "the same as queue: say only one of them");
	for (const name of ["container_image", "container_command"] as const)
		if (value[name] !== undefined && value.container_type === undefined)
			fault(name, "needs container_type: which program runs containers here");
	if (value.container_command !== undefined && !/ \{command\}$/.test(value.container_command))
		fault("container_command", "must end with {command}: what runs in the container comes last");
	if ((value.container_type === "custom") !== (value.container_command !== undefined))
		fault("container_type", "custom and container_command belong together");
	if (isLocal && value.nodes_per_block > 1)
		fault("nodes_per_block", "this machine is one node: scheduler local has blocks of one");
	for (const window of value.keep_warm) {
		if (window.from >= window.to) fault("keep_warm", `from ${window.from} must be before to ${window.to}`);
		if (window.blocks > value.max_blocks)
			fault("keep_warm", `keeps ${window.blocks} blocks, more than max_blocks (${value.max_blocks})`);
	}
	return faults;
}

/** A batch job has an end even if nobody says so; half an hour suits most debug queues. */
const defaultWalltimeMs = 1_800_000;

export function freezeQueue(name: string, value: QueueDocument, isLocal: boolean): QueueConfig {
	const accelerators = value.available_accelerators;
	const { container_type: type } = value;
	return Object.freeze({
		name,
		account: value.account,
		queue: value.queue ?? value.partition,
		qos: value.qos,
		constraint: value.constraint,
		reservation: value.reservation,
		walltimeMs: value.walltime ?? (isLocal ? undefined : defaultWalltimeMs),
		nodesPerBlock: value.nodes_per_block,
		exclusive: value.exclusive,
		selectOptions: value.select_options,
		parallelEnvironment: value.parallel_environment,
		schedulerOptions: value.scheduler_options,
		dependsOnJob: value.depends_on_job,
		workersPerNode: value.workers_per_node,
		coresPerNode: value.cores_per_node,
		memoryPerNodeBytes: value.memory_per_node,
		gpuIds: Object.freeze(
			typeof accelerators === "number"
				? Array.from({ length: accelerators }, (_, i) => String(i))
				: accelerators.map(String),
		),
		resourcesPerNode: Object.freeze(value.resources_per_node),
		cpuAffinity: value.cpu_affinity,
		maxLaunchesPerSecond: value.max_launches_per_second,
		maxRunningLaunches: value.max_running_launches,
		launcher: value.launcher,
		launcherOptions: value.launcher_options,
		mpiLauncher: value.mpi_launcher,
		mpiLauncherOptions: value.mpi_launcher_options,
		workerInit: value.worker_init,
		container:
			type === undefined
				? undefined
				: Object.freeze({
						type,
						image: value.container_image,
						options: value.container_options,
						command: value.container_command,
					}),
		initBlocks: value.init_blocks,
		minBlocks: value.min_blocks,
		maxBlocks: value.max_blocks,
		maxQueuedBlocks: value.max_queued_blocks ?? value.max_blocks,
		parallelism: value.parallelism,
		idleTimeoutMs: value.idle_timeout,
		keepWarm: Object.freeze(value.keep_warm),
	});
}
