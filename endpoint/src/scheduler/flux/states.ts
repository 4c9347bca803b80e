/** What Flux says of jobs, in our words. Tables and pure parsers. */
import type { JobRecord } from "../command-line-scheduler.ts";
import { parseMark } from "../job-mark.ts";
import type { JobEnd, JobId, JobState, JobStatus } from "../scheduler.ts";

const fluxStates: ReadonlyMap<string, JobState> = new Map(
	Object.entries({
		NEW: "pending",
		DEPEND: "pending",
		PRIORITY: "pending",
		SCHED: "pending",
		RUN: "running",
		CLEANUP: "ending",
		INACTIVE: "ended",
	}),
);

const fluxResults: ReadonlyMap<string, JobEnd> = new Map(
	Object.entries({
		COMPLETED: "completed",
		FAILED: "failed",
		CANCELED: "cancelled",
		TIMEOUT: "timeout",
	}),
);

/** Exceptions that say more than the result. */
const fluxExceptions: ReadonlyMap<string, JobEnd> = new Map(
	Object.entries({
		timeout: "timeout",
		cancel: "cancelled",
		"node-fail": "node-failure",
		preempt: "preempted",
	}),
);

/** In this order; the last one may hold the delimiter. JSON has one form for one job and another for several. */
export const fluxFormat = [
	"{id.f58}",
	"{state}",
	"{result}",
	"{returncode}",
	"{urgency}",
	"{annotations.sched.t_estimate}",
	"{exception.type}",
	"{name}",
	// Never both.
	"{annotations.sched.reason_pending}{exception.note}",
].join("|");

/** The first letter of an id is printed in one of two ways. */
export const fluxId = (text: string): JobId => text.trim().replace(/^ƒ/, "f");

function endOf(result: string, returncode: string, exception: string, note: string): JobStatus {
	const end = fluxExceptions.get(exception) ?? fluxResults.get(result) ?? "failed";
	const code = Number(returncode === "" ? Number.NaN : returncode);
	const says =
		note !== ""
			? note
			: code < 0 && code > -128
				? `it was ended by signal ${-code}`
				: code > 0
					? `it ended with status ${code}`
					: exception;
	return { state: "ended", end, reason: says, ...(code >= 0 && { exitCode: code }) };
}

/** The lines of `flux jobs -n -o`. What is no job is left out. */
export function parseFluxJobs(stdout: string): JobRecord[] {
	return stdout.split("\n").flatMap((line) => {
		const fields = line.split("|").map((field) => field.trim());
		const [id = "", word = "", result = "", code = "", urgency = "", estimate = "", exception = "", name = ""] = fields;
		if (fields.length < 9 || !/^[fƒ][1-9A-HJ-NP-Za-km-z]+$/.test(id)) return [];
		const words = fields.slice(8).join(" | ");
		const known = fluxStates.get(word);
		const state = known === "pending" && urgency === "0" ? "held" : known;
		const expectedStartMs = Math.round(Number(estimate) * 1000);
		const status: JobStatus =
			state === undefined
				? { state: "unknown", reason: `Flux has a state that is not known here: ${word}` }
				: state === "ended"
					? endOf(result, code, exception, words)
					: {
							state,
							reason: state === "held" ? "its urgency is 0" : state === "pending" ? words : "",
							...(state === "pending" && expectedStartMs > 0 && { expectedStartMs }),
						};
		return [{ id: fluxId(id), status, mark: parseMark(name) }];
	});
}
