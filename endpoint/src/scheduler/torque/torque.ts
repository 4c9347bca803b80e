/** Torque: PBS's programs of the same names, with other options and other answers. */
import { type Ask, type Dialect, openCommandLineScheduler, type Told } from "../command-line-scheduler.ts";
import { parsePbsId, pbsUnreachable, selectOwnJobs } from "../pbs/pbs.ts";
import { isSameJob } from "../pbs/states.ts";
import { type JobId, type Scheduler, type SchedulerOptions, SchedulerSilent } from "../scheduler.ts";
import { wordsOf } from "../scheduler-command.ts";
import { torqueScript } from "./script.ts";
import { parseTorqueJobs } from "./states.ts";

const unknownJob = /Unknown Job Id/i;

/** Each id is a question of its own to the server: what it said of each counts, not the exit status of the last one. */
async function jobs(ask: Ask, ids: readonly JobId[]): Promise<Told> {
	// Here -x is XML, not history.
	const answer = await ask(["qstat", "-x", ...ids]);
	const records = parseTorqueJobs(answer.stdout);
	const jobs = new Map(
		ids.flatMap((id) => {
			const record = records.find((other) => isSameJob(id, other.id));
			return record === undefined ? [] : [[id, record] as const];
		}),
	);
	const unknown = `${answer.stderr}\n${answer.stdout}`.split("\n").filter((line) => unknownJob.test(line));
	if (jobs.size === 0 && unknown.length === 0)
		throw new SchedulerSilent(`qstat said nothing of any job: ${wordsOf(answer)}`);
	const gone = ids.filter(
		(id) =>
			!jobs.has(id) && unknown.some((line) => line.split(/\s+/).some((word) => word !== "" && isSameJob(word, id))),
	);
	return { jobs, gone: new Set(gone) };
}

export const torque: Dialect = {
	name: "torque",
	capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: false, dependencies: true },
	idForm: /^\d+(\[\d*\])?(\.[\w.-]+)?$/,
	lacks: { parallelEnvironment: "that is Grid Engine's" },
	script: torqueScript,
	submit: (ask, spec, mark) => ask(["qsub"], torqueScript(spec, mark), "the job's"),
	parseSubmitted: parsePbsId,
	unreachable: pbsUnreachable,
	jobs,
	async ours(ask) {
		const ids = await selectOwnJobs(ask);
		return ids.length === 0 ? [] : [...(await jobs(ask, ids)).jobs.values()];
	},
	end: (ids) => ["qdel", ...ids],
	kill: (ids) => ["qsig", "-s", "SIGKILL", ...ids],
};

/** Its programs must be on the PATH of the daemon. */
export function openTorqueScheduler(options: SchedulerOptions): Scheduler {
	return openCommandLineScheduler(torque, options);
}
