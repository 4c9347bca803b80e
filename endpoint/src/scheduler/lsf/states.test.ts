import { describe, expect, test } from "vitest";
import type { JobEnd, JobState } from "../scheduler.ts";
import { lsfTime } from "./script.ts";
import { parseLsfJobs, parseLsfReasons } from "./states.ts";

const statusOf = (word: string, exit = "-", reason = "-") => parseLsfJobs(`7^${word}^${exit}^${reason}^-\n`)[0]?.status;

describe("states of LSF", () => {
	test.each<[string, JobState]>([
		["PEND", "pending"],
		["WAIT", "pending"],
		["PROV", "starting"],
		["PSUSP", "held"],
		["RUN", "running"],
		["USUSP", "suspended"],
		["SSUSP", "suspended"],
		["DONE", "ended"],
		["EXIT", "ended"],
		["POST_DONE", "ended"],
		["POST_ERR", "ended"],
		["ZOMBI", "ended"],
		["UNKWN", "unknown"],
		["ERROR", "unknown"],
		["constructor", "unknown"],
	])("%s is %s", (word, state) => expect(statusOf(word)?.state).toBe(state));

	test.each<[string, JobEnd]>([
		["TERM_RUNLIMIT: job killed after reaching LSF run time limit", "timeout"],
		["TERM_MEMLIMIT: job killed after reaching LSF memory usage limit", "out-of-memory"],
		["TERM_OWNER: job killed by owner", "cancelled"],
		["TERM_ADMIN: job killed by root or LSF administrator", "cancelled"],
		["TERM_PREEMPT: job killed after preemption", "preempted"],
		["TERM_LOAD: job killed after load exceeds threshold", "preempted"],
		["TERM_ZOMBIE: Job exited while LSF is not available", "node-failure"],
		["TERM_SOMETHING_NEW: who knows", "failed"],
		["-", "failed"],
	])("an exit for %s is an end by %s", (reason, end) => expect(statusOf("EXIT", "130", reason)?.end).toBe(end));

	test("a job that is done has the status 0, which LSF does not write", () => {
		expect(statusOf("DONE")).toEqual({ state: "ended", end: "completed", reason: "", exitCode: 0 });
	});

	test("a job whose record is an error in place of a state has not ended", () => {
		expect(parseLsfJobs("Job <8> is not found\n7^Job <7> is not found\n")).toEqual([]);
	});

	test("a description may hold the delimiter", () => {
		const mark = "errand.0123456789abcdef.b-1";
		expect(parseLsfJobs(`7^RUN^-^-^a^b ${mark}\n`)[0]?.mark?.blockId).toBe("b-1");
	});

	test("reasons of several lines belong to the job above them", () => {
		const reasons = parseLsfReasons(
			"JOBID USER STAT\n7     ada  PEND  normal  login1      name Nov 20 21:00\n Closed by LSF administrator: 1 host;\n" +
				" Not enough slots: 2 hosts;\n8     ada  PEND  normal  login1      other Nov 20 21:00\n\n stray\n",
		);
		expect([...reasons]).toEqual([["7", "Closed by LSF administrator: 1 host; Not enough slots: 2 hosts"]]);
	});

	test.each([
		[60_000, "0:01"],
		[60_001, "0:02"],
		[5_400_000, "1:30"],
		[360_000_000, "100:00"],
	])("%d ms are %s: LSF has no seconds", (ms, text) => expect(lsfTime(ms)).toBe(text));
});
