/**
 * Managers started through one remote shell a node (ssh and its relatives in schedulers). The environment, secrets with
 * it, goes through the shell's input and never shows on a command line. That input stays open as long as the batch script
 * lives: its end, however it came, is the manager's SIGTERM.
 */
import { shellWord } from "../scheduler/shell-word.ts";

/** The job's hosts, each once, from whichever list the scheduler gives. */
const hostLines = [
	"errand_hosts() {",
	'\tif [ -n "$PBS_NODEFILE" ]; then cat "$PBS_NODEFILE"',
	'\telif [ -n "$LSB_DJOB_HOSTFILE" ]; then cat "$LSB_DJOB_HOSTFILE"',
	'\telif [ -n "$PE_HOSTFILE" ]; then cat "$PE_HOSTFILE"',
	'\telif [ -n "$SLURM_JOB_NODELIST" ]; then scontrol show hostnames "$SLURM_JOB_NODELIST"',
	'\telif [ -n "$ERRAND_HOSTS" ]; then printf "%s\\n" $ERRAND_HOSTS',
	"\telse hostname; fi | awk 'NF && !seen[$1]++ { print $1 }'",
	"}",
];

/** What a remote shell reads after the environment: in braces, so that it is read whole before the watcher shares its input. */
const remoteScript = (command: string): string =>
	[
		'{ unset HOSTNAME SSH_CLIENT SSH_CONNECTION SSH_TTY; [ -d "$TMPDIR" ] || unset TMPDIR; cd "$PWD" 2>/dev/null',
		`${command} </dev/null & errand_manager=$!`,
		'( cat >/dev/null; kill -TERM "$errand_manager" ) <&0 2>/dev/null & errand_watch=$!',
		'wait "$errand_manager"; errand_status=$?; kill "$errand_watch"; exit "$errand_status"; }',
	].join("\n");

/** @param shell starts a shell at `$errand_host`; what follows are its words */
export function remoteShellLines(shell: string, command: string): string[] {
	return [
		...hostLines,
		"errand_pipes=$(mktemp -d -t errand-XXXXXX) || exit 1",
		"errand_inputs=",
		'errand_close() { local input; for input in $errand_inputs; do eval "exec $input>&-"; done; }',
		"for errand_host in $(errand_hosts); do",
		'\tmkfifo -m 600 "$errand_pipes/$errand_host"',
		`\t( errand_close; exec ${shell} /bin/bash -s ) <"$errand_pipes/$errand_host" &`,
		'\texec {errand_input}>"$errand_pipes/$errand_host"',
		`\t{ export -p; printf '%s\\n' ${shellWord(remoteScript(command))}; } >&"$errand_input"`,
		'\terrand_inputs="$errand_inputs $errand_input"',
		"done",
		'rm -r "$errand_pipes"',
		"trap 'errand_close; errand_inputs=' TERM",
		"wait",
		"wait",
	];
}
