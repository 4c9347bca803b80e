/** What HTCondor says of jobs, in our words. Tables and pure parsers. */
import type { JobRecord } from "../command-line-scheduler.ts";
import { parseMark } from "../job-mark.ts";
import type { JobEnd, JobState, JobStatus } from "../scheduler.ts";

/** JobStatus while the job is in the queue; removed and completed ones leave it. */
const condorStates: ReadonlyMap<string, JobState> = new Map(
	Object.entries({
		"1": "pending",
		"2": "running",
		"3": "ending",
		"4": "ended",
		"5": "held",
		"6": "ending",
		"7": "suspended",
	}),
);

/** Holds that are ends: no release would be of use. */
export const condorEndingHolds: ReadonlyMap<string, readonly [JobEnd, string]> = new Map(
	Object.entries({
		"34": ["out-of-memory", "it used more memory than it asked for"],
		"46": ["timeout", "it reached its walltime"],
		"47": ["timeout", "it reached its walltime"],
	}),
);

/** In this order; the last one may hold tabs. */
export const condorAttributes = [
	"ClusterId",
	"ProcId",
	"JobStatus",
	"NumJobStarts",
	"HoldReasonCode",
	"LastHoldReasonCode",
	"ExitCode",
	"ExitSignal",
	"ErrandMark",
	"RemoveReason",
	"HoldReason",
] as const;
type Attribute = (typeof condorAttributes)[number];

/** The attribute's value; HTCondor has two words for none. */
type Values = (name: Attribute) => string | undefined;

/** How a job ended that has left the queue, or is about to. */
function endOf(values: Values): JobStatus {
	const hold = condorEndingHolds.get(values("HoldReasonCode") ?? values("LastHoldReasonCode") ?? "");
	const reason = values("HoldReason") ?? values("RemoveReason");
	if (hold !== undefined && values("JobStatus") !== "4")
		return { state: "ended", end: hold[0], reason: [hold[1], reason ?? ""].filter((words) => words !== "").join("; ") };
	if (values("JobStatus") === "3") return { state: "ended", end: "cancelled", reason: reason ?? "it was removed" };
	const signal = values("ExitSignal");
	if (signal !== undefined) return { state: "ended", end: "failed", reason: `it was ended by signal ${signal}` };
	const exitCode = Number(values("ExitCode") ?? Number.NaN);
	if (!Number.isInteger(exitCode)) return { state: "ended", end: "failed", reason: "it ended without a status" };
	return {
		state: "ended",
		end: exitCode === 0 ? "completed" : "failed",
		reason: exitCode === 0 ? "" : `it ended with status ${exitCode}`,
		exitCode,
	};
}

function statusOf(values: Values, inQueue: boolean): JobStatus {
	const word = values("JobStatus") ?? "";
	const state = condorStates.get(word);
	if (state === undefined) return { state: "unknown", reason: `HTCondor has a status that is not known here: ${word}` };
	const endingHold = word === "5" && condorEndingHolds.get(values("HoldReasonCode") ?? "") !== undefined;
	if (state === "ended" || endingHold || (!inQueue && word === "3")) return endOf(values);
	// One that is in the history has ended; how, this word does not tell.
	if (!inQueue) return { state: "ended", end: "failed", reason: `it left the queue in status ${word}` };
	const restarts = Number(values("NumJobStarts") ?? 0) - 1;
	const reason = state === "held" ? values("HoldReason") : state === "ending" ? values("RemoveReason") : undefined;
	return { state, reason: reason ?? "", ...(restarts > 0 && { restarts }) };
}

/** The lines of `-af:t`. What is no job, such as the rest of a reason of several lines, is left out. */
export function parseCondorJobs(stdout: string, inQueue: boolean): JobRecord[] {
	return stdout.split("\n").flatMap((line) => {
		const words = line.split("\t");
		if (words.length < condorAttributes.length || !/^\d+$/.test(words[0] ?? "") || !/^\d+$/.test(words[1] ?? ""))
			return [];
		const last = condorAttributes.length - 1;
		const fields = [...words.slice(0, last), words.slice(last).join("\t")];
		const values: Values = (name) => {
			const value = fields[condorAttributes.indexOf(name)]?.trim();
			return value === undefined || value === "" || value === "undefined" || value === "error" ? undefined : value;
		};
		return [
			{ id: `${words[0]}.${words[1]}`, status: statusOf(values, inQueue), mark: parseMark(values("ErrandMark") ?? "") },
		];
	});
}
