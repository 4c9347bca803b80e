/** What Torque says of jobs, in our words. Its attributes are PBS's; its answers are XML, its verdicts its own. */
import type { JobRecord } from "../command-line-scheduler.ts";
import { pbsRecord, verdictOf } from "../pbs/states.ts";
import type { JobEnd, JobStatus } from "../scheduler.ts";

const torqueVerdicts: Readonly<Record<number, readonly [JobEnd, string]>> = {
	[-1]: ["failed", "it could not be started (before its files were staged)"],
	[-2]: ["failed", "it could not be started"],
	[-3]: ["failed", "it could not be started and was to be tried again"],
	[-8]: ["failed", "its program could not be run"],
	[-9]: ["failed", "its output file could not be opened"],
	[-10]: ["out-of-memory", "it used more memory than it asked for"],
	[-11]: ["timeout", "it reached its walltime"],
	[-12]: ["timeout", "it used more processor time than it asked for"],
	[-13]: ["failed", "its control group could not be made"],
};
/** 256 and SIGTERM: how a job ends that was deleted while it ran. */
const deletedStatus = 271;

const entities: ReadonlyMap<string, string> = new Map(
	Object.entries({ lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" }),
);

const plainText = (xml: string): string =>
	xml.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));/g, (whole, decimal, hex, name) => {
		if (name !== undefined) return entities.get(name) ?? whole;
		const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
		return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
	});

function endOf(attributes: ReadonlyMap<string, string>): JobStatus {
	const text = attributes.get("exit_status") ?? attributes.get("Exit_status");
	const comment = attributes.get("comment") ?? "";
	const status = text === undefined ? undefined : Number(text);
	const verdict = verdictOf(status, torqueVerdicts);
	// One that was deleted while it waited has no status at all.
	const wasDeleted = status === undefined || status === deletedStatus;
	return {
		state: "ended",
		end: wasDeleted ? "cancelled" : verdict.end,
		reason: [verdict.says, comment].filter((words) => words !== "").join("; "),
		...(verdict.exitCode !== undefined && { exitCode: verdict.exitCode }),
	};
}

/** `<Data><Job><Job_Id>…` of `qstat -x`. What is no job is left out. */
export function parseTorqueJobs(stdout: string): JobRecord[] {
	return [...stdout.matchAll(/<Job>(.*?)<\/Job>/gs)].flatMap(([, job = ""]) => {
		const attributes = new Map(
			[...job.matchAll(/<(\w+)>([^<]*)<\/\1>/g)].map(([, name = "", value = ""]): [string, string] => [
				name,
				plainText(value).trim(),
			]),
		);
		const id = attributes.get("Job_Id");
		if (id === undefined || id === "") return [];
		const record = pbsRecord(id, attributes);
		return [attributes.get("job_state") === "C" ? { ...record, status: endOf(attributes) } : record];
	});
}
