import { describe, expect, test } from "vitest";
import type { JobEnd, JobState } from "../scheduler.ts";
import { parsePbsId } from "./pbs.ts";
import { isSameJob, parsePbsJobs, pbsTimeMs } from "./states.ts";

const line = (fields: Readonly<Record<string, string>>): string =>
	`Job Id: 7.srv|${Object.entries(fields)
		.map(([name, value]) => `${name}=${value}`)
		.join("|")}\n`;
const statusOf = (fields: Readonly<Record<string, string>>) => parsePbsJobs(line(fields))[0]?.status;

describe("states of PBS", () => {
	test.each<[string, JobState]>([
		["Q", "pending"],
		["W", "pending"],
		["T", "pending"],
		["M", "pending"],
		["H", "held"],
		["R", "running"],
		["B", "running"],
		["S", "suspended"],
		["U", "suspended"],
		["E", "ending"],
		["F", "ended"],
		["X", "ended"],
		["C", "unknown"],
		["toString", "unknown"],
		["", "unknown"],
	])("%s is %s", (letter, state) => expect(statusOf({ job_state: letter })?.state).toBe(state));

	test.each<[string, string, JobEnd, number | undefined]>([
		["0", "92", "completed", 0],
		["3", "93", "failed", 3],
		["255", "93", "failed", 255],
		["265", "93", "failed", undefined],
		["271", "91", "cancelled", undefined],
		["0", "91", "cancelled", undefined],
		["-29", "93", "timeout", undefined],
		["-29", "91", "timeout", undefined],
		["-28", "93", "timeout", undefined],
		["-27", "93", "out-of-memory", undefined],
		["-26", "93", "out-of-memory", undefined],
		["-14", "93", "node-failure", undefined],
		["-20", "93", "node-failure", undefined],
		["-1", "93", "failed", undefined],
		["-10", "93", "failed", undefined],
		["-99", "93", "failed", undefined],
	])("a status of %s in substate %s is an end by %s", (exit, substate, end, exitCode) => {
		const status = statusOf({ job_state: "F", Exit_status: exit, substate });
		expect(status).toMatchObject({ state: "ended", end });
		expect(status?.exitCode).toBe(exitCode);
		if (end !== "completed") expect(status?.reason).not.toBe("");
	});

	test("a finished job without a status was deleted, or did not end well", () => {
		expect(statusOf({ job_state: "F", substate: "91" })).toMatchObject({ end: "cancelled" });
		expect(statusOf({ job_state: "F", substate: "93" })).toMatchObject({ end: "failed" });
	});

	test("values may hold the delimiter, equals signs and line ends as PBS writes them", () => {
		const [job] = parsePbsJobs(
			line({ job_state: "Q", comment: "a \\| b = c\\n d", Variable_List: "A=\\|job_state=F" }),
		);
		expect(job?.status).toMatchObject({ state: "pending", reason: "a | b = c\\n d" });
	});

	test("names that look like numbers and truths stay names", () => {
		expect(parsePbsJobs(line({ Job_Name: "005", queue: "1e5", project: "true", job_state: "R" }))).toHaveLength(1);
	});

	test("starts that came to nothing are not told as restarts", () => {
		expect(statusOf({ job_state: "R", run_count: "3" })?.restarts).toBeUndefined();
	});

	test("times are seconds or what ctime writes; nothing is not a time", () => {
		expect(pbsTimeMs("1900000000")).toBe(1_900_000_000_000);
		expect(pbsTimeMs("Fri Nov 20 21:45:16 2026")).toBe(Date.UTC(2026, 10, 20, 21, 45, 16));
		for (const text of [undefined, "", "0", "UNSET"]) expect(pbsTimeMs(text)).toBeUndefined();
	});

	test.each([
		["123.srv", "123.srv", true],
		["123", "123.srv", true],
		["123.polaris", "123.polaris.alcf.anl.gov", true],
		["123.srv@other", "123.srv", true],
		["123[].srv", "123[].srv", true],
		["12.srv", "123.srv", false],
		["123.polaris.al", "123.polaris.alcf.anl.gov", false],
		["123.a", "123.b", false],
		["123[1].srv", "123[].srv", false],
		["", "123.srv", false],
	])("%s and %s: the same job is %s", (one, other, same) => {
		expect(isSameJob(one, other)).toBe(same);
		expect(isSameJob(other, one)).toBe(same);
	});

	test.each([
		["123.srv\n", "123.srv"],
		[
			"Welcome!\nYour budget: 12\n\n123.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov\n",
			"123.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov",
		],
		["123[].srv\n", "123[].srv"],
		["7\n", "7"],
		["", undefined],
		["qsub: waiting for job 12.srv to start\n", undefined],
	])("the id in %j is %s", (stdout, id) => expect(parsePbsId(stdout)).toBe(id));
});
