/** How a job ended, from `qacct -j`. Text in, facts out. */
import type { JobEnd, JobStatus } from "../scheduler.ts";

export interface AccountingRecord {
	readonly name: string;
	readonly status: JobStatus;
}

/** Codes of the line `failed`; with any other one, or none, the exit status decides. */
const endOfFailed: Readonly<Record<string, JobEnd>> = {
	"37": "timeout", // a hard limit of time or memory, it does not say which
	"25": "preempted", // rescheduled
	"24": "preempted", // migrated
	"22": "preempted", // suspended for another
};

/** Ids are used again: the records are those of every job that ever had this one, the oldest first. */
export function parseAccounting(text: string): AccountingRecord[] {
	return text
		.split(/^=+$/m)
		.filter((section) => /^jobnumber\s/m.test(section))
		.map((section) => ({ name: field(section, "jobname"), status: statusOf(section) }));
}

const field = (section: string, name: string): string =>
	new RegExp(`^${name}\\s+(.*?)\\s*$`, "m").exec(section)?.[1] ?? "";

function statusOf(section: string): JobStatus {
	const failed = field(section, "failed");
	const exit = /^\d+/.exec(field(section, "exit_status"))?.[0];
	const deletedBy = field(section, "deleted_by");
	const exitCode = exit === undefined ? undefined : Number(exit);
	const code = /^\d+/.exec(failed)?.[0] ?? "0";
	const end: JobEnd =
		deletedBy !== "" && deletedBy !== "NONE"
			? "cancelled"
			: (endOfFailed[code] ?? (code === "0" && exitCode === 0 ? "completed" : "failed"));
	const says = [code === "0" ? "" : failed.replace(/^\d+\s*:\s*/, ""), exitCode ? `exit status ${exitCode}` : ""];
	return {
		state: "ended",
		end,
		reason: says.filter((words) => words !== "").join("; "),
		...(exitCode !== undefined && { exitCode }),
	};
}
