/** Flux: `flux batch`, `flux jobs`, `flux cancel`. */
import { type Ask, type Dialect, openCommandLineScheduler, type Told } from "../command-line-scheduler.ts";
import { type Scheduler, type SchedulerOptions, SchedulerSilent } from "../scheduler.ts";
import { wordsOf } from "../scheduler-command.ts";
import { fluxScript } from "./script.ts";
import { fluxFormat, fluxId, parseFluxJobs } from "./states.ts";

/** All of them: by default a list ends after a thousand. */
const query = ["flux", "jobs", "-n", "--color=never", "--count=0", "-o", fluxFormat] as const;

async function jobs(ask: Ask, ids: readonly string[]): Promise<Told> {
	const answer = await ask([...query, "-a", ...ids]);
	const jobs = new Map(parseFluxJobs(answer.stdout).map((record) => [record.id, record]));
	const said = `${answer.stdout}\n${answer.stderr}`;
	const gone = new Set([...said.matchAll(/JobID (\S+) unknown/gi)].map(([, id = ""]) => fluxId(id)));
	if (jobs.size === 0 && gone.size === 0)
		throw new SchedulerSilent(`flux jobs said nothing of any job: ${wordsOf(answer)}`);
	return { jobs, gone };
}

export const flux: Dialect = {
	name: "flux",
	capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: true, dependencies: true },
	environment: { FLUX_F58_FORCE_ASCII: "1" },
	idForm: /^f[1-9A-HJ-NP-Za-km-z]+$/,
	lacks: {
		qos: "Flux has queues and banks instead; say it in scheduler_options",
		reservation: "say it in queue or constraint",
		selectOptions: "they are PBS's; say it in constraint",
		parallelEnvironment: "that is Grid Engine's",
	},
	script: fluxScript,
	// The job gets the environment of flux batch.
	submit: (ask, spec, mark) => ask(["flux", "batch"], fluxScript(spec, mark), "the job's"),
	parseSubmitted: (stdout) =>
		stdout
			.split("\n")
			.map(fluxId)
			.findLast((line) => /^f[1-9A-HJ-NP-Za-km-z]+$/.test(line)),
	unreachable: /unable to connect|flux_open|broker socket|connection (?:refused|reset)|timed? ?out|host is down/i,
	jobs,
	async ours(ask) {
		const answer = await ask([...query]);
		if (answer.code !== 0) throw new SchedulerSilent(`flux jobs: ${wordsOf(answer)}`);
		return parseFluxJobs(answer.stdout);
	},
	end: (ids) => ["flux", "cancel", ...ids],
	kill: (ids) => ["flux", "job", "kill", "--signal=SIGKILL", ...ids],
};

/** `flux` must be on the PATH of the daemon, and FLUX_URI or the system instance reachable. */
export function openFluxScheduler(options: SchedulerOptions): Scheduler {
	return openCommandLineScheduler(flux, options);
}
