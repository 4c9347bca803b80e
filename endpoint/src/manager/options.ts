/** What the daemon hands to a manager through the job script's environment. */
import { readFileSync } from "node:fs";
import { availableParallelism, hostname, totalmem } from "node:os";
import { outputLimitBytes } from "@errand/proto/limits";
import type { ContainerConfig, LauncherName } from "../config/queue.ts";
import { batchJobOf } from "./batch-job.ts";

export interface ManagerOptions {
	/** Where daemons listen, `host:port`, in order of preference. */
	addresses: readonly string[];
	/** PEM; the only certificate that is trusted. */
	certificate: string;
	blockToken: string;
	blockId: string;
	/** Node-local scratch of this manager alone. */
	directory: string;
	maxWorkers: number;
	cores: number;
	memoryBytes: number;
	gpuIds: readonly string[];
	/** Whatever else the node has, by name. */
	named: Readonly<Record<string, number>>;
	/** none, block, block-reverse, alternating, or list:0-7:8-15. */
	cpuAffinity: string;
	/** A path, or a name on the PATH. */
	python: string;
	/** Added to every worker's environment. */
	environment: Readonly<Record<string, string>>;
	/** Of one task and stream. */
	outputLimitBytes: number;
	/** Undefined: tasks run in `workingDirectory`, all together. */
	sandboxRoot: string | undefined;
	/** Where workers start. */
	workingDirectory: string;
	/** Keep what successful tasks leave in their sandbox too. */
	keepSandboxes: boolean;
	/** Where function code looks up packages. */
	moduleRoot: string;
	orphanLimitMs: number;
	/** Unix milliseconds; 0 when the block does not end. */
	endsAtMs: number;
	/** What the block's launchers call this node. */
	host: string;
	/** How often the scheduler started the block's job anew. */
	attempt: number;
	/** What tasks are told of the batch job that they run in. */
	jobEnvironment: Readonly<Record<string, string>>;
	/** The batch system that this process is in; empty outside of any. */
	system: string;
	/** What starts managers over nodes here, and what starts the ranks of a task. */
	launcher: LauncherName;
	mpiLauncher: LauncherName;
	mpiLauncherOptions: string;
	/** Undefined: nothing runs in containers here. */
	container: ContainerConfig | undefined;
}

/** Without a word from the daemon's options a manager outlives a daemon that is being repaired, not a forgotten one. */
const defaultOrphanLimitMs = 600_000;

/** Reads and checks everything at once. Throws an Error that lists every fault. */
export function readOptions(env: Readonly<Record<string, string | undefined>>): ManagerOptions {
	const faults: string[] = [];
	const text = (name: string): string => {
		const value = env[name];
		if (value === undefined || value === "") faults.push(`${name} is not set`);
		return value ?? "";
	};
	const json = parseObject(env.ERRAND_MANAGER_OPTIONS ?? "{}", faults);
	const pick = <T>(name: string, isRight: (value: unknown) => value is T, what: string, otherwise: T): T => {
		const value = json[name];
		if (value === undefined || value === null) return otherwise;
		if (isRight(value)) return value;
		faults.push(`ERRAND_MANAGER_OPTIONS: ${name} must be ${what}`);
		return otherwise;
	};
	const count = (name: string, otherwise: number) => pick(name, isCount, "a number that is not negative", otherwise);
	const directory = text("ERRAND_MANAGER_DIRECTORY");
	const job = batchJobOf(env, hostname(), readText);
	const cores = count("cores", job?.cores ?? availableParallelism());
	const sandbox = pick("sandbox", isBoolean, "true or false", true);
	const root = pick("sandboxRoot", isText, "a path", `${directory}/sandbox`);
	const options: ManagerOptions = {
		addresses: text("ERRAND_LINK_ADDRESS").split(",").filter(Boolean),
		certificate: Buffer.from(text("ERRAND_LINK_CERTIFICATE"), "base64").toString("utf8"),
		blockToken: text("ERRAND_BLOCK_TOKEN"),
		blockId: text("ERRAND_BLOCK_ID"),
		directory,
		maxWorkers: Math.max(1, count("maxWorkers", Math.max(1, cores))),
		cores,
		memoryBytes: count("memoryBytes", job?.memoryBytes ?? memoryHere()),
		gpuIds: devicesOf(pick("gpuIds", isTexts, "a list of texts", []), job?.gpuIds ?? []),
		named: pick("named", isAmounts, "an object of numbers", {}),
		cpuAffinity: pick("cpuAffinity", isText, "a text", "none"),
		python: pick("python", isText, "a text", "python3"),
		environment: pick("environment", isTextRecord, "an object of texts", {}),
		outputLimitBytes: count("outputLimitBytes", outputLimitBytes),
		sandboxRoot: sandbox ? root : undefined,
		workingDirectory: sandbox ? directory : root,
		keepSandboxes: pick("keepSandboxes", isBoolean, "true or false", false),
		moduleRoot: pick("moduleRoot", isText, "a path", process.cwd()),
		orphanLimitMs: count("orphanLimitMs", defaultOrphanLimitMs),
		endsAtMs: earliest(count("endsAtMs", 0), Number(env.ERRAND_BLOCK_ENDS_AT_MS ?? 0), job?.endsAtMs ?? 0),
		host: job?.host ?? hostname(),
		attempt: job?.restarts ?? 0,
		jobEnvironment: job === undefined ? {} : { ERRAND_JOB_ID: job.id, ERRAND_SCHEDULER: job.system },
		system: job?.system ?? "",
		launcher: pick("launcher", isLauncher, "a launcher", "auto"),
		mpiLauncher: pick("mpiLauncher", isLauncher, "a launcher", "auto"),
		mpiLauncherOptions: pick("mpiLauncherOptions", isWords, "a text", ""),
		container: pick("container", isContainer, "the settings of a container", undefined),
	};
	if (faults.length > 0) throw new Error(`the manager cannot start: ${faults.join("; ")}`);
	return Object.freeze(options);
}

function parseObject(text: string, faults: string[]): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
	} catch {
		// told below
	}
	faults.push("ERRAND_MANAGER_OPTIONS is not a JSON object");
	return {};
}

/**
 * What the configuration names is what there is. Where it only counts (0, 1, …) and the job names as many or more, the
 * job's own names are meant: on a shared node they need not begin with 0.
 */
function devicesOf(configured: readonly string[], ofJob: readonly string[]): readonly string[] {
	if (configured.length === 0) return ofJob;
	const isCounted = configured.every((id, at) => id === String(at));
	return isCounted && ofJob.length >= configured.length ? ofJob.slice(0, configured.length) : configured;
}

/** Of a container's or a cgroup's limit and the machine's memory, the smaller. */
function memoryHere(): number {
	const limitBytes = process.constrainedMemory();
	return limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem();
}

/** Of ends in Unix milliseconds, where 0 is none. */
const earliest = (...ends: number[]): number => {
	const known = ends.filter((end) => Number.isFinite(end) && end > 0);
	return known.length === 0 ? 0 : Math.min(...known);
};

function readText(path: string): string {
	try {
		return path === "" ? "" : readFileSync(path, "utf8");
	} catch {
		return "";
	}
}

/** The daemon has checked it against the launchers that it knows. */
const isLauncher = (value: unknown): value is LauncherName => typeof value === "string" && value !== "";
const isContainer = (value: unknown): value is ContainerConfig | undefined =>
	typeof value === "object" && value !== null && "type" in value && "options" in value;
const isWords = (value: unknown): value is string => typeof value === "string";
const isAmounts = (value: unknown): value is Record<string, number> =>
	typeof value === "object" && value !== null && Object.values(value).every(isCount);
const isCount = (value: unknown): value is number => typeof value === "number" && value >= 0;
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const isTexts = (value: unknown): value is string[] =>
	Array.isArray(value) && value.every((item) => typeof item === "string");
const isTextRecord = (value: unknown): value is Record<string, string> =>
	typeof value === "object" && value !== null && Object.values(value).every((item) => typeof item === "string");
