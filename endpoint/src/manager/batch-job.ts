/** What the scheduler tells a process about the batch job that it runs in: a table of their words. Decides from what it is given. */

export type Environment = Readonly<Record<string, string | undefined>>;

interface System {
	readonly name: string;
	/** Its job ids; the first that is set. */
	readonly id: readonly string[];
	/** Also set in this system's jobs, where the id's name alone could be anybody's. */
	readonly also?: readonly string[];
	/** How many processors of this node are the job's. */
	readonly cores?: (env: Environment, host: string, read: ReadText) => number | undefined;
	readonly memoryBytes?: (env: Environment) => number | undefined;
	/** How often the job was started anew. */
	readonly restarts?: (env: Environment) => number | undefined;
	/** Unix milliseconds. */
	readonly endsAtMs?: (env: Environment) => number | undefined;
	/** A file that lists the job's hosts, as its launchers want them called. */
	readonly hostFile?: string;
}

/** The text of a file; empty when it cannot be read. */
export type ReadText = (path: string) => string;

const mebibyte = 1024 * 1024;

/** A positive number, or nothing. */
function amount(text: string | undefined): number | undefined {
	const value = Number(text ?? "");
	return Number.isFinite(value) && value > 0 ? value : undefined;
}

/** "a1 8 b1 4": the number behind this host's name. */
function countOf(words: readonly string[], host: string): number | undefined {
	const at = words.findIndex((word, index) => index % 2 === 0 && isSameHost(word, host));
	return at < 0 ? undefined : amount(words[at + 1]);
}

function slurmMemory(env: Environment): number | undefined {
	const perNode = amount(env.SLURM_MEM_PER_NODE);
	const perCpu = amount(env.SLURM_MEM_PER_CPU);
	const mebibytes = perNode ?? (perCpu === undefined ? undefined : perCpu * (amount(env.SLURM_CPUS_ON_NODE) ?? 1));
	return mebibytes === undefined ? undefined : mebibytes * mebibyte;
}

/** The innermost first: a Flux instance may run in a job of another scheduler. */
const systems: readonly System[] = [
	{ name: "flux", id: ["FLUX_JOB_ID", "FLUX_ENCLOSING_ID"] },
	{
		name: "slurm",
		id: ["SLURM_JOB_ID", "SLURM_JOBID"],
		cores: (env) => amount(env.SLURM_CPUS_ON_NODE),
		memoryBytes: slurmMemory,
		restarts: (env) => amount(env.SLURM_RESTART_COUNT),
		endsAtMs: (env) => {
			const seconds = amount(env.SLURM_JOB_END_TIME);
			return seconds === undefined ? undefined : seconds * 1000;
		},
	},
	{
		name: "pbs",
		id: ["PBS_JOBID"],
		cores: (env) => amount(env.NCPUS) ?? amount(env.PBS_NUM_PPN),
		hostFile: "PBS_NODEFILE",
	},
	{
		name: "lsf",
		id: ["LSB_JOBID"],
		cores: (env, host) => countOf((env.LSB_MCPU_HOSTS ?? "").split(/\s+/), host) ?? amount(env.LSB_DJOB_NUMPROC),
		restarts: (env) => (env.LSB_RESTART === "Y" ? 1 : undefined),
		hostFile: "LSB_DJOB_HOSTFILE",
	},
	{
		name: "gridengine",
		id: ["JOB_ID"],
		also: ["SGE_O_WORKDIR", "SGE_ROOT", "PE_HOSTFILE"],
		cores: (env, host, read) => {
			const lines = read(env.PE_HOSTFILE ?? "").split("\n");
			const own = lines.map((line) => line.split(/\s+/)).find(([name = ""]) => isSameHost(name, host));
			return amount(own?.[1]) ?? (amount(env.NHOSTS) === 1 ? amount(env.NSLOTS) : undefined);
		},
		restarts: (env) => amount(env.RESTARTED),
		hostFile: "PE_HOSTFILE",
	},
	{ name: "cobalt", id: ["COBALT_JOBID"], hostFile: "COBALT_NODEFILE" },
	{ name: "oar", id: ["OAR_JOB_ID"], hostFile: "OAR_NODEFILE" },
	{ name: "htcondor", id: ["ERRAND_CONDOR_JOB_ID"] },
];

/** Where devices are named, the most exact first: inside a job these may be counted anew. */
const deviceLists = [
	"CUDA_VISIBLE_DEVICES",
	"ROCR_VISIBLE_DEVICES",
	"HIP_VISIBLE_DEVICES",
	"ZE_AFFINITY_MASK",
	"GPU_DEVICE_ORDINAL",
	"SLURM_JOB_GPUS",
	"SLURM_STEP_GPUS",
] as const;

export interface BatchJob {
	readonly system: string;
	/** The scheduler's own name for the job. */
	readonly id: string;
	/** What its launchers call this node; else the machine's own name. */
	readonly host: string;
	readonly cores: number | undefined;
	readonly memoryBytes: number | undefined;
	/** Undefined: the job says nothing of devices. */
	readonly gpuIds: readonly string[] | undefined;
	/** 0 unless the scheduler says more. */
	readonly restarts: number;
	/** Unix milliseconds. */
	readonly endsAtMs: number | undefined;
}

/** What the environment says of the job that this process is in; undefined outside of any. */
export function batchJobOf(env: Environment, machineHost: string, read: ReadText): BatchJob | undefined {
	for (const system of systems) {
		const id = system.id.map((name) => env[name]).find((value) => value !== undefined && value !== "");
		if (id === undefined || (system.also !== undefined && !system.also.some((name) => env[name]))) continue;
		const host = env.SLURMD_NODENAME ?? hostIn(read(env[system.hostFile ?? ""] ?? ""), machineHost) ?? machineHost;
		return {
			system: system.name,
			id,
			host,
			cores: whole(system.cores?.(env, host, read)),
			memoryBytes: system.memoryBytes?.(env),
			gpuIds: devicesIn(env),
			restarts: amount(env.ERRAND_BLOCK_ATTEMPT) ?? system.restarts?.(env) ?? 0,
			endsAtMs: system.endsAtMs?.(env),
		};
	}
	return undefined;
}

const whole = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.floor(value));

function devicesIn(env: Environment): readonly string[] | undefined {
	for (const name of deviceLists) {
		const value = env[name];
		if (value === undefined) continue;
		return /^(NoDevFiles|none|-1)?$/i.test(value) ? [] : value.split(",").map((id) => id.trim());
	}
	return undefined;
}

/** "x3001c0s1b0n0" and "x3001c0s1b0n0.hsn.site.gov" are one host. */
function isSameHost(a: string, b: string): boolean {
	const [shortA = "", shortB = ""] = [a, b].map((name) => name.toLowerCase().split(".")[0]);
	return shortA !== "" && shortA === shortB;
}

function hostIn(text: string, machineHost: string): string | undefined {
	const names = text.split("\n").map((line) => line.trim().split(/\s+/)[0] ?? "");
	return names.find((name) => isSameHost(name, machineHost));
}
