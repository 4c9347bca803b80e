/** What LSF says of jobs, in our words. Tables and pure parsers. */
import type { JobRecord } from "../command-line-scheduler.ts";
import { parseMark } from "../job-mark.ts";
import type { JobEnd, JobId, JobState, JobStatus } from "../scheduler.ts";

const lsfStates: ReadonlyMap<string, JobState> = new Map(
	Object.entries({
		PEND: "pending",
		WAIT: "pending",
		PROV: "starting",
		PSUSP: "held",
		RUN: "running",
		USUSP: "suspended",
		SSUSP: "suspended",
		DONE: "ended",
		EXIT: "ended",
		// After the job itself.
		POST_DONE: "ended",
		POST_ERR: "ended",
		// Its host was lost, and LSF has written it off.
		ZOMBI: "ended",
		// Its host cannot be reached: it may run on.
		UNKWN: "unknown",
	}),
);

/** The word that LSF's reason for an end begins with. Others are failures. */
const lsfReasons: ReadonlyMap<string, JobEnd> = new Map(
	Object.entries({
		TERM_RUNLIMIT: "timeout",
		TERM_CPULIMIT: "timeout",
		TERM_DEADLINE: "timeout",
		TERM_WINDOW: "timeout",
		TERM_OWNER: "cancelled",
		TERM_FORCE_OWNER: "cancelled",
		TERM_ADMIN: "cancelled",
		TERM_FORCE_ADMIN: "cancelled",
		TERM_REMOVE_HUNG_JOB: "node-failure",
		TERM_ZOMBIE: "node-failure",
		TERM_MEMLIMIT: "out-of-memory",
		TERM_SWAP: "out-of-memory",
		TERM_PREEMPT: "preempted",
		TERM_LOAD: "preempted",
		TERM_BUCKET_KILL: "cancelled",
	}),
);

const endOfWord: ReadonlyMap<string, JobEnd> = new Map(
	Object.entries({
		DONE: "completed",
		POST_DONE: "completed",
		POST_ERR: "completed",
		ZOMBI: "node-failure",
	}),
);

/** LSF writes a dash for nothing. */
const nothing = (text: string): boolean => text === "" || text === "-";

function statusOf(word: string, exitText: string, exitReason: string): JobStatus {
	const state = lsfStates.get(word);
	if (state === undefined) return { state: "unknown", reason: `LSF has a state that is not known here: ${word}` };
	if (state === "unknown") return { state, reason: "LSF cannot reach the job's host" };
	if (state !== "ended") return { state, reason: "" };
	const end = endOfWord.get(word) ?? lsfReasons.get(/^TERM_\w+/.exec(exitReason)?.[0] ?? "") ?? "failed";
	const exitCode = nothing(exitText) ? (end === "completed" ? 0 : undefined) : Number(exitText);
	return {
		state,
		end,
		reason: nothing(exitReason) ? "" : exitReason,
		...(exitCode !== undefined && Number.isInteger(exitCode) && { exitCode }),
	};
}

/** In this order; the last one may hold the delimiter. */
export const lsfFormat = 'jobid stat exit_code exit_reason job_description delimiter="^"';

/** The lines of `bjobs -noheader -o`. What is no job is left out: sites print banners. */
export function parseLsfJobs(stdout: string): JobRecord[] {
	return stdout.split("\n").flatMap((line) => {
		const [id = "", word, exitText, exitReason, ...description] = line.trim().split("^");
		if (!/^\d+$/.test(id) || word === undefined || exitText === undefined || exitReason === undefined) return [];
		return [{ id, status: statusOf(word, exitText, exitReason), mark: parseMark(description.join("^")) }];
	});
}

/** Why jobs wait, of `bjobs -p`: a line for the job, then lines that begin with a space. */
export function parseLsfReasons(stdout: string): Map<JobId, string> {
	const reasons = new Map<JobId, string>();
	let id: JobId | undefined;
	for (const line of stdout.split("\n")) {
		const job = /^(\d+)\s/.exec(line);
		if (job) id = job[1];
		else if (id !== undefined && /^\s+\S/.test(line))
			reasons.set(id, [...(reasons.has(id) ? [reasons.get(id)] : []), line.trim().replace(/;$/, "")].join("; "));
		else id = undefined;
	}
	return reasons;
}
