/** The header of a batch script for Torque, with Maui's or Moab's words for what they schedule. */
import { batchScript } from "../batch-script.ts";
import { clockTime, directiveText, directiveWord, gpuCount, mebibytes } from "../directive.ts";
import type { BlockSpec } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";

/** "nodes=2:ppn=8:gpus=4:bigmem" */
function nodes({ nodes, queue }: BlockSpec): string {
	const gpus = gpuCount(queue);
	return [
		`nodes=${nodes}`,
		...(queue.coresPerNode === undefined ? [] : [`ppn=${queue.coresPerNode}`]),
		...(gpus === 0 ? [] : [`gpus=${gpus}`]),
		...(queue.constraint === undefined ? [] : [directiveText("constraint", queue.constraint)]),
		...(queue.selectOptions === undefined ? [] : [directiveText("select_options", queue.selectOptions)]),
	].join(":");
}

export function torqueScript(spec: BlockSpec, mark: string): string {
	const { queue } = spec;
	const line = (option: string, setting: string, value: string | undefined): string[] =>
		value === undefined ? [] : [`#PBS ${option}${directiveWord(setting, value)}`];
	const memory = queue.memoryPerNodeBytes;
	const header = [
		"#PBS -S /bin/bash",
		`#PBS -N ${directiveWord("the job's name", spec.jobName)}`,
		...line("-A ", "account", queue.account),
		...line("-q ", "queue", queue.queue),
		...line("-l ", "nodes", nodes(spec)),
		// Of the whole job.
		...(memory === undefined ? [] : [`#PBS -l mem=${mebibytes(memory * spec.nodes)}mb`]),
		...(queue.walltimeMs === undefined ? [] : [`#PBS -l walltime=${clockTime(queue.walltimeMs)}`]),
		...line("-l qos=", "qos", queue.qos),
		...line("-l advres=", "reservation", queue.reservation),
		...line("-W depend=", "depends_on_job", queue.dependsOnJob),
		...(queue.exclusive ? ["#PBS -n"] : []),
		"#PBS -j oe",
		...line("-o ", "the log's path", `${spec.logPath}.end`),
		"#PBS -m n",
		"#PBS -r n",
	];
	// Torque copies a job's output when it is over: what the job says itself goes to the log while it runs.
	const workerInit = `exec >>${shellWord(spec.logPath)} 2>&1\n${spec.workerInit}`;
	const last = [`#PBS -v ERRAND_JOB_MARK=${mark}`];
	return batchScript({ ...spec, workerInit }, header, spec.nodes === 1 ? "single" : "mpirun", last);
}
