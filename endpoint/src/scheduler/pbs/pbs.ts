/** PBS Professional and OpenPBS: `qsub`, `qstat`, `qdel`, `qsig`. */
import { userInfo } from "node:os";
import { type Ask, type Dialect, openCommandLineScheduler, type Told } from "../command-line-scheduler.ts";
import { type JobId, type Scheduler, type SchedulerOptions, SchedulerSilent } from "../scheduler.ts";
import { wordsOf } from "../scheduler-command.ts";
import { pbsScript } from "./script.ts";
import { isSameJob, parsePbsJobs } from "./states.ts";

/** Unavailable for now, or never asked: as the client programs say it. */
export const pbsUnreachable =
	/(?:cannot|could not|failed to|unable to) connect|no route to host|cannot resolve|connection refused|connection reset|communication failure|Premature end of message|timed? ?out|errno=1[015]\d|No Permission to server|End of File|Server (?:is )?(?:shutting down|busy)/i;

const unknownJob = /Unknown Job Id/i;
const withoutHistory = /job_history_enable is set to false|history is not|not configured to maintain job history/i;
const withHistory = /Job has finished/i;

/** `-E` makes one question of many ids; `dsv`, because the JSON of several versions lies (quotes, types, lost jobs). */
function qstat(history: boolean, ids: readonly JobId[]): readonly [string, ...string[]] {
	return ["qstat", ...(history ? ["-x"] : []), "-E", "-f", "-F", "dsv", "-D", "|", ...ids];
}

export function pbsDialect(): Dialect {
	/** Sites may have switched it off: then ended jobs are unknown jobs. */
	let history = true;

	/** The exit status tells of the worst id only: what was said of each counts. */
	async function look(ask: Ask, ids: readonly JobId[]): Promise<Told & { readonly said: boolean }> {
		let answer = await ask(qstat(history, ids));
		let words = `${answer.stdout}\n${answer.stderr}`;
		if (history ? withoutHistory.test(words) : withHistory.test(words)) {
			history = !history;
			answer = await ask(qstat(history, ids));
			words = `${answer.stdout}\n${answer.stderr}`;
		}
		const records = parsePbsJobs(answer.stdout);
		const jobs = new Map(
			ids.flatMap((id) => {
				const record = records.find((other) => isSameJob(id, other.id));
				return record === undefined ? [] : [[id, record] as const];
			}),
		);
		const unknown = words.split("\n").filter((line) => unknownJob.test(line));
		const gone = new Set(
			ids.filter(
				(id) =>
					!jobs.has(id) &&
					unknown.some((line) => line.split(/[\s,]+/).some((word) => word !== "" && isSameJob(word, id))),
			),
		);
		if (jobs.size === 0 && unknown.length === 0)
			throw new SchedulerSilent(`qstat said nothing of any job: ${wordsOf(answer)}`);
		return { jobs, gone, said: unknown.length > 0 };
	}

	/** Asked for several at once, the server leaves out those that it does not know: they are asked for again. */
	async function jobs(ask: Ask, ids: readonly JobId[]): Promise<Told> {
		const first = await look(ask, ids);
		const found = new Map(first.jobs);
		const gone = new Set(first.gone);
		const left = ids.filter((id) => !found.has(id) && !gone.has(id));
		for (const [id, record] of first.jobs) {
			if (record.server !== undefined) left.push(`${id}@${record.server}`);
		}
		if (left.length === 0) return { jobs: found, gone };
		const again = await look(ask, left).catch((error: unknown) => {
			if (error instanceof SchedulerSilent) return undefined;
			throw error;
		});
		for (const asked of left) {
			const id = asked.replace(/@.*$/, "");
			const record = again?.jobs.get(asked);
			if (record !== undefined) found.set(id, record);
			else if (again?.said === true && again.jobs.size === 0 && asked === id) gone.add(id);
		}
		return { jobs: found, gone };
	}

	return {
		name: "pbs",
		capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: true, dependencies: true },
		idForm: /^\d+(\[\d*\])?(\.[\w.-]+)?$/,
		lacks: {
			qos: "PBS has queues and job attributes instead; say it in scheduler_options",
			constraint: "say it in select_options, which become part of the select statement",
			parallelEnvironment: "that is Grid Engine's",
		},
		script: pbsScript,
		submit: (ask, spec, mark) => ask(["qsub"], pbsScript(spec, mark), "the job's"),
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
}

/** Ids of this user's jobs that have not ended: the details of everybody's would be a burden. */
export async function selectOwnJobs(ask: Ask): Promise<JobId[]> {
	const answer = await ask(["qselect", ...ownName()]);
	if (answer.code !== 0) throw new SchedulerSilent(`qselect: ${wordsOf(answer)}`);
	return answer.stdout.split("\n").flatMap((line) => /^\d+(\[\d*\])?(\.[\w.-]+)?$/.exec(line.trim())?.[0] ?? []);
}

/** A user without an entry in the host's list of them sees everybody's; the mark tells which are ours. */
function ownName(): string[] {
	try {
		return ["-u", userInfo().username];
	} catch {
		return [];
	}
}

/** The last line that is one: sites print banners before it. */
export function parsePbsId(stdout: string): JobId | undefined {
	const lines = stdout.split("\n").map((line) => line.trim());
	return lines.findLast((line) => /^\d+(\[\])?(\.[\w.-]+)?$/.test(line));
}

/** Its programs must be on the PATH of the daemon. */
export function openPbsScheduler(options: SchedulerOptions): Scheduler {
	return openCommandLineScheduler(pbsDialect(), options);
}
