/** The submit description of a block for HTCondor, and the script that it runs. */
import { isAbsolute } from "node:path";
import type { QueueConfig } from "../../config/queue.ts";
import { batchScript } from "../batch-script.ts";
import { directiveText, gpuCount, mebibytes } from "../directive.ts";
import { parseMark } from "../job-mark.ts";
import type { BlockSpec } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";
import { condorEndingHolds } from "./states.ts";

/** A value to the end of its line, in which nothing is a macro. */
function value(setting: string, text: string): string {
	return directiveText(setting, text).replaceAll("$", "$(DOLLAR)");
}

/**
 * Everybody may read a job's attributes: the secrets are in the script, which the job gets as its executable.
 *
 * @param files what the command needs, where the machine that runs it does not share our file systems; HTCondor knows
 */
export function condorDescription(spec: BlockSpec, mark: string, scriptPath: string, files: readonly string[]): string {
	const { queue } = spec;
	const gpus = gpuCount(queue);
	const line = (name: string, text: string | number | undefined): string[] =>
		text === undefined ? [] : [`${name} = ${text}`];
	const given = (setting: string, text: string | undefined): string | undefined =>
		text === undefined ? undefined : value(setting, text);
	const endingHolds = [...condorEndingHolds.keys()].map((code) => `HoldReasonCode == ${code}`);
	return [
		"universe = vanilla",
		...line("executable", value("the endpoint's directory", scriptPath)),
		...line("output", value("the log's path", spec.logPath)),
		"stream_output = true",
		...line(
			"transfer_input_files",
			files.length === 0 ? undefined : files.map((file) => value("a file", file)).join(", "),
		),
		...line("batch_name", value("the job's name", spec.jobName)),
		...line("accounting_group", given("account", queue.account)),
		...line("requirements", queue.constraint === undefined ? undefined : directiveText("constraint", queue.constraint)),
		...line("request_cpus", queue.coresPerNode),
		...line("request_memory", queue.memoryPerNodeBytes && mebibytes(queue.memoryPerNodeBytes)),
		...line("request_gpus", gpus === 0 ? undefined : gpus),
		...line("allowed_job_duration", queue.walltimeMs && Math.ceil(queue.walltimeMs / 1000)),
		"kill_sig = SIGTERM",
		"notification = never",
		...queue.schedulerOptions.split("\n").filter((text) => text.trim() !== ""),
		// What has ended by a limit is held by HTCondor, for somebody to look at; nobody would.
		`periodic_remove = JobStatus == 5 && (${endingHolds.join(" || ")})`,
		`+ErrandMark = "${mark}"`,
		`+ErrandEndpoint = "${parseMark(mark)?.endpoint ?? ""}"`,
		"queue 1",
		"",
	].join("\n");
}

/**
 * Which job it is, and how often it was started before: only a file tells. An attempt is at least what the queue will
 * count as restarts, since a start without a shadow there is not.
 */
const identity = [
	`errand_ad() { sed -n "s/^$1 = //p" "\${_CONDOR_JOB_AD:-/dev/null}"; }`,
	'export ERRAND_CONDOR_JOB_ID="$(errand_ad ClusterId).$(errand_ad ProcId)"',
	"errand_starts=$(errand_ad NumShadowStarts)",
	// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that reads it
	"export ERRAND_BLOCK_ATTEMPT=$(( ${errand_starts:-1} - 1 ))",
];

/** A file of ours is where it is here, or where HTCondor has put it. */
const whereverItIs = [
	// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that reads it
	'errand_file() { [ -e "$1" ] || { set -- "$_CONDOR_SCRATCH_DIR/${1##*/}"; chmod u+x "$1"; }; printf %s "$1"; }',
	// Of this machine, and gone with the job.
	'[ -z "$_CONDOR_SCRATCH_DIR" ] || export ERRAND_MANAGER_DIRECTORY="$_CONDOR_SCRATCH_DIR/errand"',
];

const launch = ({ command }: BlockSpec): string =>
	`exec ${command.map((word) => (isAbsolute(word) ? `"$(errand_file ${shellWord(word)})"` : shellWord(word))).join(" ")}`;

export function condorScript(spec: BlockSpec): string {
	const workerInit = ["exec 2>&1", ...identity, ...whereverItIs, spec.workerInit].join("\n");
	// A job is one process on one machine: it is started as it is, whatever the launcher.
	const queue: QueueConfig = { ...spec.queue, schedulerOptions: "", launcher: "auto" };
	return batchScript({ ...spec, workerInit, queue }, [], launch);
}
