/** The header of a batch script for LSF. */
import { batchScript } from "../batch-script.ts";
import { directiveText, directiveWord, gpuCount, mebibytes, parseDependency } from "../directive.ts";
import type { BlockSpec } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";

/** The words that the field uses, in LSF's own. */
const conditions: ReadonlyMap<string, string> = new Map(
	Object.entries({
		after: "started",
		afterany: "ended",
		afterok: "done",
		afternotok: "exit",
	}),
);

/** "afterok:12:13" → "done(12) && done(13)"; what is LSF's own already stays. */
function condition(text: string): string {
	const { when, jobs } = parseDependency(text) ?? { when: "", jobs: [] };
	const word = conditions.get(when);
	return word === undefined ? text : jobs.map((job) => `${word}(${job})`).join(" && ");
}

/** Minutes, rounded up: LSF has no seconds. */
export const lsfTime = (ms: number): string => {
	const minutes = Math.ceil(ms / 60_000);
	return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
};

/** Slots over hosts; where `jsrun` starts programs, LSF counts whole nodes instead. */
function size({ nodes, queue }: BlockSpec): string[] {
	if (queue.launcher === "jsrun") return [`#BSUB -nnodes ${nodes}`];
	const { coresPerNode: cores = 1, memoryPerNodeBytes: memory } = queue;
	const gpus = gpuCount(queue);
	return [
		`#BSUB -n ${nodes * cores}`,
		`#BSUB -R "span[ptile=${cores}]"`,
		...(memory === undefined ? [] : [`#BSUB -R "rusage[mem=${mebibytes(memory)}MB]"`]),
		...(gpus === 0 ? [] : [`#BSUB -gpu "num=${gpus}"`]),
		...(queue.exclusive ? ["#BSUB -x"] : []),
	];
}

export function lsfScript(spec: BlockSpec, mark: string): string {
	const { queue } = spec;
	const line = (option: string, setting: string, value: string | undefined): string[] =>
		value === undefined ? [] : [`#BSUB ${option} ${directiveWord(setting, value)}`];
	const header = [
		"#BSUB -L /bin/bash",
		...line("-J", "the job's name", spec.jobName),
		...line("-P", "account", queue.account),
		...line("-q", "queue", queue.queue),
		...line("-U", "reservation", queue.reservation),
		...(queue.walltimeMs === undefined ? [] : [`#BSUB -W ${lsfTime(queue.walltimeMs)}`]),
		...size(spec),
		...line(
			"-R",
			"constraint",
			queue.constraint === undefined ? undefined : `select[${directiveText("constraint", queue.constraint)}]`,
		),
		...line("-w", "depends_on_job", queue.dependsOnJob === undefined ? undefined : condition(queue.dependsOnJob)),
		...line("-o", "the log's path", spec.logPath),
		"#BSUB -rn",
	];
	// LSF adds its report to the file when the job is over; what the job says itself goes there while it runs.
	const workerInit = `exec >>${shellWord(spec.logPath)} 2>&1\n${spec.workerInit}`;
	return batchScript({ ...spec, workerInit }, header, spec.nodes === 1 ? "single" : "mpirun", [`#BSUB -Jd ${mark}`]);
}
