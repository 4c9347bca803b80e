/**
 * How one manager is started on each node of a block, in the batch script; by the same program, how a task's own
 * processes are started over nodes. Text in, text out.
 */
import type { LauncherName } from "../config/queue.ts";
import type { BlockSpec } from "../scheduler/scheduler.ts";
import { shellWord } from "../scheduler/shell-word.ts";

type Launch = (command: string, options: string, spec: BlockSpec) => string;

const launches: { readonly [Name in Exclude<LauncherName, "auto">]: Launch } = {
	single: (command) => `exec ${command}`,
	srun: (command, options, { nodes }) =>
		`exec srun --nodes=${nodes} --ntasks=${nodes} --ntasks-per-node=1 --cpu-bind=none --overlap --mem=0 --kill-on-bad-exit=0${options} ${command}`,
	mpiexec: (command, options, { nodes }) => `exec mpiexec -n ${nodes} --ppn 1 --cpu-bind none${options} ${command}`,
	mpirun: (command, options, { nodes }) =>
		`exec mpirun -np ${nodes} --map-by ppr:1:node --bind-to none${options} ${command}`,
	aprun: (command, options, { nodes }) => `exec aprun -n ${nodes} -N 1 -cc none${options} ${command}`,
	jsrun: (command, options, { nodes }) =>
		`exec jsrun -n ${nodes} -r 1 -a 1 -c ALL_CPUS -g ALL_GPUS -b none${options} ${command}`,
	ssh: (command) => `exec ${command}`,
};

/** The last lines of a batch script. `spec.queue.launcherOptions` is added as the words that it is. */
export function launchText(launcher: Exclude<LauncherName, "auto">, spec: BlockSpec): string {
	const options = spec.queue.launcherOptions === "" ? "" : ` ${spec.queue.launcherOptions}`;
	return launches[launcher](spec.command.map(shellWord).join(" "), options, spec);
}
