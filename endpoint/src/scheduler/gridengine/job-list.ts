/** What `qstat -xml` and `qstat -j` say of jobs. Text in, facts out. */
import { type JobState, type JobStatus, SchedulerSilent } from "../scheduler.ts";

export interface ListedJob {
	readonly id: string;
	/** Whole, as it was submitted. */
	readonly name: string;
	/** Letters, each a flag: "hqw", "Eqw", "dr". */
	readonly letters: string;
}

const knownLetters = /^[qwhtrRsSTNPdEzx]+$/;
const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Throws {@link SchedulerSilent} when this is not a whole list: an empty one has its frame, too. */
export function parseJobList(xml: string): ListedJob[] {
	if (!/<job_info[\s>]/.test(xml) || !/<\/job_info>\s*$/.test(xml))
		throw new SchedulerSilent(`qstat gave no list of jobs: ${xml.trim().slice(0, 200) || "nothing"}`);
	return [...xml.matchAll(/<job_list\b[^>]*>(.*?)<\/job_list>/gs)].map(([, text = ""]) => ({
		id: elementOf(text, "JB_job_number"),
		name: elementOf(text, "JB_name"),
		letters: elementOf(text, "state"),
	}));
}

function elementOf(xml: string, name: string): string {
	const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? "";
	return text.replaceAll(/&(\w+);/g, (whole, entity: string) => entities[entity] ?? whole).trim();
}

/** The first whose flags are all set says the state. */
const states: readonly (readonly [flags: string, state: JobState])[] = [
	["d", "ending"],
	["z", "ended"],
	["x", "ended"],
	["E", "held"],
	["hq", "held"],
	["s", "suspended"],
	["S", "suspended"],
	["T", "suspended"],
	["N", "suspended"],
	["P", "suspended"],
	["q", "pending"],
	["t", "starting"],
	["r", "running"],
	["R", "pending"],
];

/** `ended` has no `end` yet: accounting knows it. */
export function statusOfLetters(letters: string): JobStatus {
	if (!knownLetters.test(letters)) return { state: "unknown", reason: `qstat says "${letters}"` };
	const [, state] = states.find(([flags]) => [...flags].every((flag) => letters.includes(flag))) ?? [];
	const reason = state === "running" ? "" : `qstat says ${letters}`;
	return { state: state ?? "unknown", reason, ...(letters.includes("R") && { restarts: 1 }) };
}

/** Why jobs wait or are in error, by id, from `qstat -j`. Sites may have the scheduler's part turned off. */
export function parseReasons(text: string): Map<string, string> {
	const reasons = new Map<string, string>();
	for (const section of text.split(/^=+$/m)) {
		const id = /^job_number:\s+(\d+)$/m.exec(section)?.[1];
		if (id === undefined) continue;
		const error = /^error reason\s+\d+:\s+(.+)$/m.exec(section)?.[1];
		const waits = /^scheduling info:\s+(.+(?:\n\s+.+)*)/m.exec(section)?.[1];
		const says = error ?? waits;
		if (says === undefined || says.startsWith("(Collecting")) continue;
		reasons.set(
			id,
			says
				.split("\n")
				.map((line) => line.trim())
				.slice(0, 5)
				.join("; "),
		);
	}
	return reasons;
}
