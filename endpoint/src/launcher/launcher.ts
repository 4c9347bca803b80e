/**
 * How one manager is started on each node of a block: the last lines of a batch script. Text in, text out. Whatever the
 * program, the end of one manager leaves the others alone, and a SIGTERM to the script reaches them all.
 */
import type { LauncherName } from "../config/queue.ts";
import type { BlockSpec } from "../scheduler/scheduler.ts";
import { shellWord } from "../scheduler/shell-word.ts";
import { remoteShellLines } from "./remote-shells.ts";

interface Start {
	/** The manager's words, quoted. */
	readonly command: string;
	/** The queue's own words for the launcher, with a space before them, or nothing. */
	readonly options: string;
	readonly nodes: number;
	/** Variables that the managers need, for launchers that hand on only what they are told. */
	readonly variables: readonly string[];
}

type Launch = (start: Start) => readonly string[];

/** Beyond those of ours: what `worker_init` usually changes. */
const initVariables = [
	"PATH",
	"LD_LIBRARY_PATH",
	"PYTHONPATH",
	"VIRTUAL_ENV",
	"CONDA_PREFIX",
	"ERRAND_BLOCK_ENDS_AT_MS",
];

/** What a manager may take to hand over what it has. After a SIGTERM Open MPI waits this long, also for those that have ended. */
const killAfterSeconds = 10;

/**
 * MPI launchers end all processes when one fails: to them a manager always ends well. Its SIGTERM is handed on, since it
 * is sent to this shell.
 */
const alwaysWell = (command: string): string =>
	`/bin/sh -c ${shellWord('trap "kill -TERM \\$p" TERM; "$@" & p=$!; wait $p; wait $p; exit 0')} errand ${command}`;

/** The launcher runs behind the script, which must be free to hear a signal: a shell in front of its child hears none. */
const behind = (start: string, onTerminate: string): string[] => [
	`${start} &`,
	"errand_launch=$!",
	`trap ${shellWord(onTerminate)} TERM`,
	'while :; do wait "$errand_launch"; errand_status=$?; kill -0 "$errand_launch" 2>/dev/null || break; done',
	'exit "$errand_status"',
];

const passTerminate = 'kill -TERM "$errand_launch"';

/** Three programs go by each of these names, with different words for the same: asked which it is, where it runs. */
const mpi =
	(program: "mpiexec" | "mpirun"): Launch =>
	({ command, options, nodes, variables }) => {
		const exports = variables.map((name) => ` -x ${name}`).join("");
		return [
			`case "$(${program} --version 2>&1)" in`,
			`*"Open MPI"* | *OpenRTE*) set -- -np ${nodes} --map-by ppr:1:node --bind-to none --mca odls_base_sigkill_timeout ${killAfterSeconds}${exports} ;;`,
			`*HYDRA* | *Intel*) set -- -n ${nodes} -ppn 1 -bind-to none ;;`,
			`*) set -- -n ${nodes} --ppn 1 --cpu-bind none ;;`,
			"esac",
			...behind(`${program} "$@"${options} ${alwaysWell(command)}`, passTerminate),
		];
	};

const launches: { readonly [Name in Exclude<LauncherName, "auto">]: Launch } = {
	single: ({ command }) => [`exec ${command}`],
	// srun answers a SIGTERM by killing: the steps are told by the scheduler itself.
	srun: ({ command, options, nodes }) =>
		behind(
			`srun --nodes=${nodes} --ntasks=${nodes} --ntasks-per-node=1 --cpu-bind=none --mpi=none --overlap --mem=0 --no-kill --kill-on-bad-exit=0 --unbuffered --export=ALL${options} ${command}`,
			'scancel --quiet --signal=TERM "$SLURM_JOB_ID"',
		),
	mpiexec: mpi("mpiexec"),
	mpirun: mpi("mpirun"),
	aprun: ({ command, options, nodes }) =>
		behind(`aprun -n ${nodes} -N 1 -cc none${options} ${alwaysWell(command)}`, passTerminate),
	jsrun: ({ command, options, nodes }) =>
		behind(
			`jsrun -n ${nodes} -r 1 -a 1 -c ALL_CPUS -g ALL_GPUS -b none${options} ${alwaysWell(command)}`,
			passTerminate,
		),
	flux: ({ command, options, nodes }) =>
		behind(
			`flux run --nodes=${nodes} --ntasks=${nodes} -o cpu-affinity=off -o exit-timeout=none${options} ${alwaysWell(command)}`,
			passTerminate,
		),
	ssh: ({ command, options }) =>
		remoteShellLines(`ssh -o BatchMode=yes -o ServerAliveInterval=30${options} "$errand_host"`, command),
	qrsh: ({ command, options }) => remoteShellLines(`qrsh -inherit${options} "$errand_host"`, command),
	blaunch: ({ command, options }) => remoteShellLines(`blaunch${options} "$errand_host"`, command),
};

/** The last lines of a batch script. `spec.queue.launcherOptions` is added as the words that it is. */
export function launchText(launcher: Exclude<LauncherName, "auto">, spec: BlockSpec): string {
	const lines = launches[launcher]({
		command: spec.command.map(shellWord).join(" "),
		options: spec.queue.launcherOptions === "" ? "" : ` ${spec.queue.launcherOptions}`,
		nodes: spec.nodes,
		variables: [...Object.keys(spec.environment), ...initVariables],
	});
	return lines.join("\n");
}
