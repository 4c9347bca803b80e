/** What one task finds beyond what its worker has: variables, and the words that start its processes. */
import { workerMarker } from "../worker/strays.ts";
import { formatCpuList } from "./cpu-shares.ts";
import { commandRuntime, type HeldTask, kindOf } from "./held-task.ts";
import type { Images } from "./images.ts";
import { type GpuVendor, shareEnvironment, threadEnvironment } from "./node-share.ts";
import { hasRanks, prefixEnvironment, type RankLaunch } from "./rank-launch.ts";
import type { RunTerms, WorkerProcess } from "./worker-process.ts";

export interface RunSettings {
	readonly gpuVendor: GpuVendor;
	readonly ranks: RankLaunch;
	readonly images: Images;
	/** Of a task's environment, what all its ranks must see. */
	readonly rankVariables: readonly string[];
	/** Of what a worker's environment holds, what goes into a container. */
	readonly containerVariables: readonly string[];
	/** Where tasks run that have no sandbox. */
	readonly workingDirectory: string;
	/** Of what tasks would be told, what the endpoint's configuration says itself. */
	readonly keptVariables: readonly string[];
}

/** Whether {@link prepareRun} must have been awaited before the task goes to a worker. */
export const needsPreparation = (task: HeldTask): boolean => hasRanks(task) || task.image !== "";

/** Finds out how the task's ranks are started, and has its image here. Resolves with why it cannot run on this node. */
export async function prepareRun(
	task: HeldTask,
	host: string,
	{ images, ranks, rankVariables }: RunSettings,
): Promise<{ code: "RUNTIME_MISSING" | "RESOURCES_UNAVAILABLE"; message: string } | undefined> {
	const missing = task.image === "" ? undefined : await missingImage(task, images);
	if (missing !== undefined) return { code: "RUNTIME_MISSING", message: `on ${host}: ${missing}` };
	if (!hasRanks(task)) return undefined;
	task.ranks = await ranks.start(task, rankVariables);
	if (!("refusal" in task.ranks)) return undefined;
	return { code: "RESOURCES_UNAVAILABLE", message: `the task cannot run: ${task.ranks.refusal}` };
}

async function missingImage(task: HeldTask, images: Images): Promise<string | undefined> {
	const failure = await images.ready(task.image);
	if (failure !== undefined || images.holdWorkers || task.kind === kindOf[commandRuntime]) return failure;
	return "only commands run in containers of this endpoint's container_type; functions run in those of apptainer, singularity, shifter and custom";
}

/** Of a task that {@link prepareRun} let through; its share is in `worker.share`. */
export function runTerms(worker: WorkerProcess, task: HeldTask, settings: RunSettings): RunTerms {
	const { share } = worker;
	const ranks = task.ranks !== undefined && "words" in task.ranks ? task.ranks : undefined;
	const environment: Record<string, string> = { ERRAND_TASK_ID: task.id };
	if (share !== undefined && !task.plain) Object.assign(environment, shareEnvironment(share, settings.gpuVendor));
	if (share !== undefined && (share.cpus !== undefined || task.resources.cores > 0))
		Object.assign(environment, threadEnvironment(share));
	if (ranks !== undefined) Object.assign(environment, ranks.environment);
	for (const name of settings.keptVariables) delete environment[name];
	const launchWords = ranks?.words ?? [];
	const containerWords = wordsIntoContainer(worker, task, environment, settings);
	if (launchWords.length > 0) Object.assign(environment, prefixEnvironment([...launchWords, ...containerWords]));
	return { environment, launchWords, containerWords };
}

/** Of a command; functions run in workers that are in their container already. */
function wordsIntoContainer(
	{ share, sandbox }: WorkerProcess,
	task: HeldTask,
	environment: object,
	{ images, workingDirectory, containerVariables }: RunSettings,
): readonly string[] {
	if (task.image === "" || task.definition.runtime !== commandRuntime) return [];
	return images.words({
		image: task.image,
		directory: sandbox || workingDirectory,
		variables: [...containerVariables, workerMarker, ...Object.keys(environment)],
		gpus: (share?.gpuIds.length ?? 0) > 0,
		cpus: share?.cpus === undefined ? undefined : formatCpuList(share.cpus.allowed),
		places: [],
	});
}
