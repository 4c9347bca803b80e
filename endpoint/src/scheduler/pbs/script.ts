/** The header of a batch script for PBS. */
import { batchScript } from "../batch-script.ts";
import { clockTime, directiveText, directiveWord, gpuCount, mebibytes } from "../directive.ts";
import type { BlockSpec } from "../scheduler.ts";

/** "select=2:ncpus=8:ngpus=4:mem=1024mb:system=polaris". What `select_options` name is not said twice. */
function select({ nodes, queue }: BlockSpec): string {
	const gpus = gpuCount(queue);
	const { coresPerNode, memoryPerNodeBytes, selectOptions } = queue;
	const own = selectOptions === undefined ? [] : [directiveText("select_options", selectOptions)];
	const named = new Set(
		own
			.join(":")
			.split(/[:+]/)
			.map((chunk) => chunk.replace(/=.*$/, "")),
	);
	const asked: readonly (readonly [name: string, value: string | undefined])[] = [
		["ncpus", coresPerNode?.toString()],
		["ngpus", gpus === 0 ? undefined : String(gpus)],
		["mem", memoryPerNodeBytes === undefined ? undefined : `${mebibytes(memoryPerNodeBytes)}mb`],
	];
	const added = asked.flatMap(([name, value]) => (value === undefined || named.has(name) ? [] : [`${name}=${value}`]));
	return [`select=${nodes}`, ...added, ...own].join(":");
}

/** `mark` is in the job's variables, where a query finds it. Secrets are not there: everybody may read them. */
export function pbsScript(spec: BlockSpec, mark: string): string {
	const { queue } = spec;
	const line = (option: string, setting: string, value: string | undefined): string[] =>
		value === undefined ? [] : [`#PBS ${option}${directiveWord(setting, value)}`];
	const header = [
		"#PBS -S /bin/bash",
		`#PBS -N ${directiveWord("the job's name", spec.jobName)}`,
		...line("-A ", "account", queue.account),
		// A reservation is a queue of its own.
		...(queue.reservation === undefined
			? line("-q ", "queue", queue.queue)
			: line("-q ", "reservation", queue.reservation)),
		...line("-l ", "select", select(spec)),
		`#PBS -l place=scatter${queue.exclusive ? ":excl" : ""}`,
		...(queue.walltimeMs === undefined ? [] : [`#PBS -l walltime=${clockTime(queue.walltimeMs)}`]),
		...line("-W depend=", "depends_on_job", queue.dependsOnJob),
		"#PBS -j oe",
		// Written where it belongs while the job runs, not copied when it is over.
		"#PBS -k doe",
		...line("-o ", "the log's path", spec.logPath),
		"#PBS -m n",
		"#PBS -r n",
		"#PBS -W umask=077",
	];
	const last = [`#PBS -v ERRAND_JOB_MARK=${mark}`];
	return batchScript(spec, header, spec.nodes === 1 ? "single" : "mpiexec", last);
}
