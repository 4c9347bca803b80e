/** IBM Spectrum LSF: `bsub`, `bjobs`, `bkill`. */
import { type Ask, type Dialect, openCommandLineScheduler, type Told } from "../command-line-scheduler.ts";
import { type Scheduler, type SchedulerOptions, SchedulerSilent } from "../scheduler.ts";
import { wordsOf } from "../scheduler-command.ts";
import { lsfScript } from "./script.ts";
import { lsfFormat, parseLsfJobs, parseLsfReasons } from "./states.ts";

const query = ["bjobs", "-noheader", "-o", lsfFormat] as const;
/** What exit status goes with it depends on the site's settings. */
const noJobs = /No unfinished job found|No job found|No matching job/i;

async function jobs(ask: Ask, ids: readonly string[]): Promise<Told> {
	const answer = await ask([...query, "-a", ...ids]);
	const records = parseLsfJobs(answer.stdout).filter(({ id }) => ids.includes(id));
	const said = `${answer.stdout}\n${answer.stderr}`;
	const gone = new Set([...said.matchAll(/Job <(\d+)> is not found/g)].map(([, id = ""]) => id));
	if (records.length === 0 && gone.size === 0)
		throw new SchedulerSilent(`bjobs said nothing of any job: ${wordsOf(answer)}`);
	const pending = records.filter(({ status }) => status.state === "pending").map(({ id }) => id);
	const reasons = pending.length === 0 ? undefined : parseLsfReasons((await ask(["bjobs", "-p", ...pending])).stdout);
	return {
		jobs: new Map(
			records.map((record) => {
				const reason = reasons?.get(record.id);
				return [record.id, reason === undefined ? record : { ...record, status: { ...record.status, reason } }];
			}),
		),
		gone,
	};
}

export const lsf: Dialect = {
	name: "lsf",
	capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: false, dependencies: true },
	idForm: /^\d+$/,
	lacks: {
		qos: "LSF has queues and service classes instead; say it in scheduler_options, like #BSUB -sla NAME",
		selectOptions: "they are PBS's; say it in constraint or scheduler_options",
		parallelEnvironment: "that is Grid Engine's",
	},
	script: lsfScript,
	// LSF reads directives only from its standard input. The job gets the environment of bsub.
	submit: (ask, spec, mark) => ask(["bsub"], lsfScript(spec, mark), "the job's"),
	parseSubmitted: (stdout) => /Job <(\d+)> is submitted/.exec(stdout)?.[1],
	unreachable:
		/LSF is down|daemon (?:is )?(?:not responding|down)|in an LSF library call|LIM.*(?:down|not ready)|not ready yet|communication time ?out|cannot connect|still trying|try again later|mbatchd is/i,
	jobs,
	async ours(ask) {
		const answer = await ask([...query]);
		const records = parseLsfJobs(answer.stdout);
		if (records.length === 0 && !noJobs.test(`${answer.stdout}\n${answer.stderr}`))
			throw new SchedulerSilent(`bjobs: ${wordsOf(answer)}`);
		return records;
	},
	// Without a signal named, bkill begins with SIGINT and goes on to SIGKILL by itself.
	end: (ids) => ["bkill", "-s", "TERM", ...ids],
	drop: (ids) => ["bkill", ...ids],
	kill: (ids) => ["bkill", "-s", "KILL", ...ids],
};

/** Its programs must be on the PATH of the daemon, with LSF's profile sourced. */
export function openLsfScheduler(options: SchedulerOptions): Scheduler {
	return openCommandLineScheduler(lsf, options);
}
