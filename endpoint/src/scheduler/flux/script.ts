/** The header of a batch script for Flux. Its directives are read as a shell reads words. */
import { batchScript } from "../batch-script.ts";
import { directiveText, gpuCount } from "../directive.ts";
import type { BlockSpec } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";

/** A batch script of Flux is alone in an instance of its own: that one starts a manager on each node, unbound. */
function launch({ command, nodes, queue }: BlockSpec): string {
	const manager = command.map(shellWord).join(" ");
	if (nodes === 1) return `exec ${manager}`;
	const options = queue.launcherOptions === "" ? "" : ` ${queue.launcherOptions}`;
	return `exec flux run --nodes=${nodes} --ntasks=${nodes} -o cpu-affinity=off -o gpu-affinity=off${options} ${manager}`;
}

export function fluxScript(spec: BlockSpec, mark: string): string {
	const { queue, nodes } = spec;
	const gpus = gpuCount(queue);
	const line = (option: string, setting: string, value: string | number | undefined): string[] =>
		value === undefined ? [] : [`# flux: --${option}=${shellWord(directiveText(setting, String(value)))}`];
	const header = [
		`# flux: --nodes=${nodes}`,
		`# flux: --nslots=${nodes}`,
		...line("cores-per-slot", "cores_per_node", queue.coresPerNode),
		...line("gpus-per-slot", "available_accelerators", gpus === 0 ? undefined : gpus),
		...(queue.exclusive ? ["# flux: --exclusive"] : []),
		...(queue.walltimeMs === undefined ? [] : [`# flux: --time-limit=${Math.ceil(queue.walltimeMs / 1000)}s`]),
		...line("queue", "queue", queue.queue),
		...line("bank", "account", queue.account),
		...line("requires", "constraint", queue.constraint),
		...line("dependency", "depends_on_job", queue.dependsOnJob),
		...line("output", "the log's path", spec.logPath),
	];
	const workerInit = `exec 2>&1\n${spec.workerInit}`;
	const last = line("job-name", "the job's name", `${spec.jobName}.${mark}`);
	return batchScript({ ...spec, workerInit }, header, launch, last);
}
