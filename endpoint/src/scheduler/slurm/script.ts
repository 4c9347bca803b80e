/** The batch script of a block for Slurm, and the marks by which its job is known again. Text in, text out. */
import { createHash } from "node:crypto";
import type { LauncherName, QueueConfig } from "../../config/queue.ts";
import { batchScript } from "../batch-script.ts";
import { type BlockSpec, type JobId, SubmitRejected } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";
import type { QueuedJob } from "./states.ts";

/** Whom a SIGTERM to the job has to reach: the batch script is the manager, or the manager is a step of the job. */
type Seat = "batch" | "steps";

/** What a job's comment says of it. */
export interface Mark {
	/** Of the endpoint's directory: jobs of this user's other endpoints have another. */
	readonly owner: string;
	readonly blockId: string;
	readonly seat: Seat;
}

export const ownerOf = (directory: string): string => createHash("sha256").update(directory).digest("hex").slice(0, 12);

const markForm = /\berrand:([0-9a-f]{12}):([0-9a-f-]{36}):(batch|steps)\b/;

export function parseMark(comment: string): Mark | undefined {
	const [, owner, blockId, seat] = markForm.exec(comment) ?? [];
	return owner && blockId && seat ? { owner, blockId, seat: seat as Seat } : undefined;
}

const formatMark = ({ owner, blockId, seat }: Mark): string => `errand:${owner}:${blockId}:${seat}`;

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

/** Days-hours:minutes:seconds. Slurm itself counts in minutes, rounded up. */
function timeOf(ms: number): string {
	const s = Math.ceil(ms / 1000);
	const clock = [Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60].map((n) => String(n).padStart(2, "0"));
	return `${s >= 86_400 ? `${Math.floor(s / 86_400)}-` : ""}${clock.join(":")}`;
}

/** `%` is Slurm's in names of files. */
const fileOf = (path: string): string => path.replaceAll("%", "%%");

/** A bare number: the block starts when that job has ended, however. */
const dependency = (job: string): string => (/^\d+$/.test(job) ? `afterany:${job}` : job);

/** What the user's own lines already ask for is not asked for twice: two options of one kind contradict each other. */
const asks = (queue: QueueConfig, option: RegExp): boolean => option.test(queue.schedulerOptions);

function directives(spec: BlockSpec, directory: string): string[] {
	const { queue, nodes } = spec;
	const cores = queue.coresPerNode ?? queue.workersPerNode;
	const memory =
		queue.memoryPerNodeBytes === undefined
			? queue.exclusive && "0"
			: `${Math.ceil(queue.memoryPerNodeBytes / 2 ** 20)}M`;
	const options: [name: string, value: string | number | boolean | undefined][] = [
		["account", queue.account],
		["partition", queue.queue],
		["qos", queue.qos],
		["constraint", queue.constraint],
		["reservation", queue.reservation],
		["nodes", nodes],
		["ntasks-per-node", 1],
		["exclusive", queue.exclusive],
		["cpus-per-task", queue.exclusive ? undefined : cores],
		["mem", asks(queue, /--mem\b/) ? undefined : memory],
		["gres", asks(queue, /--g(res|pus)\b/) || queue.gpuIds.length === 0 ? undefined : `gpu:${queue.gpuIds.length}`],
		["time", queue.walltimeMs === undefined ? undefined : timeOf(queue.walltimeMs)],
		["dependency", queue.dependsOnJob === undefined ? undefined : dependency(queue.dependsOnJob)],
		["kill-on-invalid-dep", queue.dependsOnJob === undefined ? undefined : "yes"],
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
	value === undefined ? `#SBATCH --${name}` : `#SBATCH --${name}=${shellWord(value)}`;

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
	if (asks(queue, /^#SBATCH\s.*(--array|-a|--clusters|-M)[= ]/m))
		throw new SubmitRejected("a block is one job of one cluster: scheduler_options cannot have --array or --clusters");
	// `exec` makes the manager the batch script itself; with one node nothing else is needed.
	const natural: Exclude<LauncherName, "auto"> = nodes > 1 ? "srun" : "single";
	const launcher = queue.launcher === "auto" ? natural : queue.launcher;
	const mark = formatMark({ owner: ownerOf(directory), blockId, seat: launcher === "srun" ? "steps" : "batch" });
	const own = ownComment(queue.schedulerOptions);
	const name = spec.jobName.endsWith(`-${tail(blockId)}`) ? spec.jobName : `${spec.jobName}-${tail(blockId)}`;
	return batchScript(spec, directives(spec, directory), natural, [
		directive("job-name", name),
		directive("comment", own === "" ? mark : `${mark} ${own}`),
	]);
}
