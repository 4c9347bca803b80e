/** The batch script of a block for Slurm, and how its job is known again. Text in, text out. */
import { batchScript } from "../batch-script.ts";
import { clockTime, directiveWord, gpuCount, mebibytes } from "../directive.ts";
import { endpointMark, formatMark, parseMark } from "../job-mark.ts";
import { type BlockSpec, type JobId, SubmitRejected } from "../scheduler.ts";
import type { QueuedJob } from "./states.ts";

const tail = (blockId: string): string => blockId.slice(-8);

/**
 * Slurm's number of the job and the end of the block's id: a controller that has lost its memory gives the same number to
 * another job.
 */
export const jobIdOf = (number: string, blockId: string): JobId => `${number}:${tail(blockId)}`;

export function parseJobId(id: JobId): { readonly number: string; readonly tail: string } {
	const [number = "", end = ""] = id.split(":");
	return { number, tail: end };
}

/** Whether Slurm's job is the one that we mean. Where a site has put words of its own in place of the comment, the name tells. */
export function isJob({ name, comment }: Pick<QueuedJob, "name" | "comment">, id: JobId): boolean {
	const { tail: end } = parseJobId(id);
	const mark = parseMark(comment);
	return mark === undefined ? name.endsWith(`-${end}`) : tail(mark.blockId) === end;
}

/** `%` is Slurm's in names of files. */
const fileOf = (path: string): string => path.replaceAll("%", "%%");

/** A bare number: the block starts when that job has ended, however. */
const dependency = (job: string): string => (/^\d+$/.test(job) ? `afterany:${job}` : job);

function directives(spec: BlockSpec, directory: string): string[] {
	const { queue, nodes } = spec;
	// What the user's own lines already ask for is not asked for twice: two options of one kind contradict each other.
	const isAsked = (option: RegExp): boolean => option.test(queue.schedulerOptions);
	const { memoryPerNodeBytes, exclusive, gpuIds, walltimeMs, dependsOnJob } = queue;
	const memory = memoryPerNodeBytes === undefined ? exclusive && "0" : `${mebibytes(memoryPerNodeBytes)}M`;
	const options: [name: string, value: string | number | boolean | undefined][] = [
		["account", queue.account],
		["partition", queue.queue],
		["qos", queue.qos],
		["constraint", queue.constraint],
		["reservation", queue.reservation],
		["nodes", nodes],
		["ntasks-per-node", 1],
		["exclusive", exclusive],
		["cpus-per-task", exclusive ? undefined : (queue.coresPerNode ?? queue.workersPerNode)],
		["mem", isAsked(/--mem\b/) ? undefined : memory],
		["gres", gpuIds.length === 0 || isAsked(/--g(res|pus)\b/) ? undefined : `gpu:${gpuCount(queue)}`],
		["time", walltimeMs === undefined ? undefined : clockTime(walltimeMs)],
		["dependency", dependsOnJob === undefined ? undefined : dependency(dependsOnJob)],
		["kill-on-invalid-dep", dependsOnJob === undefined ? undefined : "yes"],
		// The other nodes go on when one dies.
		["no-kill", nodes > 1],
		// Started anew, it could run beside its first copy on a node that is only cut off.
		["no-requeue", true],
		["chdir", directory],
		["output", fileOf(spec.logPath)],
		["open-mode", "append"],
	];
	return options.flatMap(([name, value]) =>
		value === undefined || value === false ? [] : [directive(name, value === true ? undefined : String(value))],
	);
}

const directive = (name: string, value?: string): string =>
	value === undefined ? `#SBATCH --${name}` : `#SBATCH --${name}=${directiveWord(name, value)}`;

/** The user's own comment: some sites ask for one. */
function ownComment(options: string): string {
	const found = [...options.matchAll(/^#SBATCH\s.*?--comment[= ](?:"([^"\n]*)"|'([^'\n]*)'|(\S+))/gm)].at(-1);
	return found?.slice(1).find((text) => text !== undefined) ?? "";
}

/** Exactly what `sbatch` reads. Throws {@link SubmitRejected} for settings that Slurm has nothing for. */
export function slurmScript(spec: BlockSpec, directory: string): string {
	const { queue, blockId, nodes } = spec;
	for (const [name, value, whose] of [
		["select_options", queue.selectOptions, "PBS"],
		["parallel_environment", queue.parallelEnvironment, "Grid Engine"],
	])
		if (value !== undefined)
			throw new SubmitRejected(`${name} is for ${whose}; what Slurm is asked besides goes into scheduler_options`);
	if (/^#SBATCH\s.*(--array|-a|--clusters|-M)[= ]/m.test(queue.schedulerOptions))
		throw new SubmitRejected("a block is one job of one cluster: scheduler_options cannot have --array or --clusters");
	const mark = formatMark({ endpoint: endpointMark(directory), blockId });
	const own = ownComment(queue.schedulerOptions);
	const name = spec.jobName.endsWith(`-${tail(blockId)}`) ? spec.jobName : `${spec.jobName}-${tail(blockId)}`;
	// With one node the manager takes the batch script's own place; with more it is a step of the job.
	return batchScript(spec, directives(spec, directory), nodes > 1 ? "srun" : "single", [
		directive("job-name", name),
		directive("comment", own === "" ? mark : `${mark} ${own}`),
	]);
}
