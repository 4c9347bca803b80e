/** What PBS says of jobs, in our words. Tables and pure parsers. */
import type { JobRecord } from "../command-line-scheduler.ts";
import { parseMark } from "../job-mark.ts";
import type { JobEnd, JobId, JobState, JobStatus } from "../scheduler.ts";

const pbsStates: ReadonlyMap<string, JobState> = new Map(
	Object.entries({
		Q: "pending",
		H: "held",
		W: "pending",
		T: "pending",
		R: "running",
		B: "running",
		S: "suspended",
		U: "suspended",
		E: "ending",
		F: "ended",
		X: "ended",
		// Another server has it: it is asked there.
		M: "pending",
	}),
);

/** PBS's own verdicts, which it gives as negative exit statuses. */
const pbsVerdicts: Readonly<Record<number, readonly [JobEnd, string]>> = {
	[-1]: ["failed", "it could not be started (before its files were staged)"],
	[-2]: ["failed", "it could not be started"],
	[-3]: ["failed", "it could not be started and was to be tried again"],
	[-10]: ["failed", "its user is not known on the node"],
	[-14]: ["node-failure", "contact with its node was lost"],
	[-17]: ["cancelled", "a hook of the site deleted it"],
	[-19]: ["cancelled", "a hook of the site deleted it"],
	[-20]: ["node-failure", "its node failed"],
	[-24]: ["failed", "it used more processors than it asked for"],
	[-25]: ["failed", "it used more processors than it asked for"],
	[-26]: ["out-of-memory", "it used more virtual memory than it asked for"],
	[-27]: ["out-of-memory", "it used more memory than it asked for"],
	[-28]: ["timeout", "it used more processor time than it asked for"],
	[-29]: ["timeout", "it reached its walltime"],
};

/** Substates of finished jobs. */
const deleted = "91";
/** A job ended by a signal has this more than the signal's number. */
const signalBase = 256;

export interface Verdict {
	readonly end: JobEnd;
	readonly says: string;
	readonly exitCode?: number;
}

/** What an exit status means, in PBS and in Torque, which have verdicts of their own. */
export function verdictOf(
	status: number | undefined,
	verdicts: Readonly<Record<number, readonly [JobEnd, string]>>,
): Verdict {
	if (status === undefined || Number.isNaN(status)) return { end: "failed", says: "it ended without a status" };
	if (status === 0) return { end: "completed", says: "", exitCode: 0 };
	if (status < 0) {
		const [end, says] = verdicts[status] ?? ["failed", `PBS ended it with verdict ${status}`];
		return { end, says };
	}
	if (status > signalBase) return { end: "failed", says: `it was ended by signal ${status - signalBase}` };
	return { end: "failed", says: `it ended with status ${status}`, exitCode: status };
}

function endOf(attributes: ReadonlyMap<string, string>): JobStatus {
	const text = attributes.get("Exit_status");
	const verdict = verdictOf(text === undefined ? undefined : Number(text), pbsVerdicts);
	const wasDeleted = attributes.get("substate") === deleted && !(Number(text) < 0);
	const comment = attributes.get("comment") ?? "";
	return {
		state: "ended",
		end: wasDeleted ? "cancelled" : verdict.end,
		reason: [wasDeleted ? "it was deleted" : verdict.says, comment].filter((words) => words !== "").join("; "),
		...(!wasDeleted && verdict.exitCode !== undefined && { exitCode: verdict.exitCode }),
	};
}

/** Seconds since 1970, or as ctime writes it; in the time zone that we ask in. */
export function pbsTimeMs(text: string | undefined): number | undefined {
	if (text === undefined || text === "" || text === "0") return undefined;
	const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(`${text} UTC`);
	return Number.isNaN(ms) ? undefined : ms;
}

/**
 * Attributes of one job, as PBS and Torque name them, to ours. Restarts are not told: `run_count` counts starts that came to
 * nothing too, and within a job nothing tells which it is, so that managers could not be told apart by it.
 */
function pbsStatus(attributes: ReadonlyMap<string, string>): JobStatus {
	const state = pbsStates.get(attributes.get("job_state") ?? "");
	if (state === undefined)
		return { state: "unknown", reason: `PBS has a state that is not known here: ${attributes.get("job_state")}` };
	if (state === "ended") return endOf(attributes);
	const expectedStartMs = pbsTimeMs(attributes.get("estimated.start_time"));
	return {
		state,
		reason: attributes.get("comment") ?? "",
		...(state === "pending" && expectedStartMs !== undefined && { expectedStartMs }),
	};
}

/** One job as PBS and Torque describe it. */
export function pbsRecord(id: JobId, attributes: ReadonlyMap<string, string>): JobRecord {
	const server = attributes.get("job_state") === "M" ? /@(\S+)$/.exec(attributes.get("queue") ?? "")?.[1] : undefined;
	return {
		id,
		status: pbsStatus(attributes),
		mark: parseMark(attributes.get("Variable_List") ?? ""),
		...(server !== undefined && { server }),
	};
}

/** The lines of `qstat -f -F dsv`: a backslash before the delimiter makes it part of a value. What is no job is left out. */
export function parsePbsJobs(stdout: string): JobRecord[] {
	return stdout.split("\n").flatMap((line) => {
		const [head, ...fields] = line.split(/(?<!\\)\|/);
		const id = /^Job Id: (\S+)$/.exec(head ?? "")?.[1];
		if (id === undefined) return [];
		const attributes = new Map(
			fields.map((field): [string, string] => {
				const at = field.indexOf("=");
				return [
					field.slice(0, at),
					field
						.slice(at + 1)
						.replaceAll("\\|", "|")
						.trim(),
				];
			}),
		);
		return [pbsRecord(id, attributes)];
	});
}

/** The same job, although one of the two lacks part of the server's name. */
export function isSameJob(one: JobId, other: JobId): boolean {
	const [a = "", b = ""] = one.length < other.length ? [one, other] : [other, one];
	return a === b || (/^\d+(\[\d*\])?(\.|$)/.test(a) && b.startsWith(a) && /^[.@]|^$/.test(b.slice(a.length)));
}
