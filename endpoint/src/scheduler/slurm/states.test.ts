import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { SchedulerSilent } from "../scheduler.ts";
import { parseAccounting, parseQueue, type QueuedJob, statusOf } from "./states.ts";

/** Recorded from Slurm 22.05 by the questions that the adapter asks. */
const recorded = (name: string) => readFileSync(new URL(`transcripts/${name}`, import.meta.url), "utf8");

const jobIn = (state: string, more: Partial<QueuedJob> = {}): QueuedJob => ({
	id: "1",
	state,
	reason: "",
	startMs: undefined,
	restarts: 0,
	waitStatus: 0,
	nodes: "",
	name: "",
	comment: "",
	...more,
});

describe("squeue", () => {
	test("a recorded answer tells of every job, in our words and with Slurm's reasons", () => {
		const jobs = parseQueue(recorded("squeue-22.05.txt"));
		expect(Object.fromEntries(jobs.map((job) => [job.id, statusOf(job)]))).toEqual({
			1: { state: "ended", end: "failed", exitCode: 3, reason: "FAILED, with status 3" },
			2: { state: "ended", end: "cancelled", reason: "CANCELLED, by signal 15" },
			3: { state: "ended", end: "completed", exitCode: 0, reason: "COMPLETED" },
			4: {
				state: "pending",
				reason: "BeginTime",
				expectedStartMs: Date.UTC(2026, 10, 20, 22, 31, 37),
				restarts: 1,
			},
			5: { state: "held", reason: "JobHeldUser" },
			6: { state: "ended", end: "out-of-memory", reason: "OUT_OF_MEMORY (OutOfMemory)" },
			7: { state: "pending", reason: "BeginTime", expectedStartMs: Date.UTC(2026, 10, 20, 23, 29, 32) },
			8: { state: "ended", end: "failed", reason: "FAILED (JobLaunchFailure), by signal 9" },
			9: { state: "held", reason: "PartitionDown" },
		});
		const marked = jobs.find(({ id }) => id === "1");
		expect(marked?.comment).toBe("errand.0123456789abcdef.0192f0c1-1111-7000-8000-0123456789ab own words");
		expect(marked?.name).toBe("errand-x-456789ab");
	});

	test("an empty queue has a heading; an answer without one is none", () => {
		const heading = recorded("squeue-22.05.txt").split("\n")[0] as string;
		expect(parseQueue(`${heading}\n`)).toEqual([]);
		expect(parseQueue(`Welcome to the cluster!\n${heading}\n`)).toEqual([]);
		for (const text of [
			"",
			"[]",
			'{"jobs": []}',
			"slurm is under maintenance\n",
			"JOBID STATE\n1 RUNNING\n",
			recorded("squeue-22.05.txt").split("\n").slice(1).join("\n"),
		])
			expect(() => parseQueue(text), JSON.stringify(text.slice(0, 30))).toThrow(SchedulerSilent);
	});

	test("elements of job arrays are none of ours", () => {
		const [heading, ...lines] = recorded("squeue-22.05.txt").split("\n");
		const array = (lines[0] as string).replace(/^9 {9}/, "9_[2-5%2] ");
		expect(parseQueue([heading, array, ...lines.slice(1)].join("\n")).map(({ id }) => id)).not.toContain("9");
	});
});

describe("Slurm's words", () => {
	test.each([
		["PENDING", "pending"],
		["REQUEUED", "pending"],
		["REQUEUE_FED", "pending"],
		["REQUEUE_HOLD", "held"],
		["SPECIAL_EXIT", "held"],
		["RESV_DEL_HOLD", "held"],
		["CONFIGURING", "starting"],
		["RUNNING", "running"],
		["RESIZING", "running"],
		["SIGNALING", "running"],
		["SUSPENDED", "suspended"],
		["STOPPED", "suspended"],
		["COMPLETING", "ending"],
		["STAGE_OUT", "ending"],
	])("%s is %s", (word, state) => expect(statusOf(jobIn(word)).state).toBe(state));

	test.each([
		["COMPLETED", "completed"],
		["FAILED", "failed"],
		["TIMEOUT", "timeout"],
		["DEADLINE", "timeout"],
		["CANCELLED", "cancelled"],
		["REVOKED", "cancelled"],
		["PREEMPTED", "preempted"],
		["NODE_FAIL", "node-failure"],
		["BOOT_FAIL", "node-failure"],
		["OUT_OF_MEMORY", "out-of-memory"],
	])("%s is an end: %s", (word, end) => expect(statusOf(jobIn(word))).toMatchObject({ state: "ended", end }));

	test("a word that nobody knows is no end", () => {
		expect(statusOf(jobIn("TELEPORTING"))).toEqual({ state: "unknown", reason: "Slurm calls it TELEPORTING" });
	});

	test.each(["JobHeldUser", "JobHeldAdmin", "launch failed requeued held", "launch_failed_requeued_held"])(
		"a job that waits because of %s is held",
		(reason) => expect(statusOf(jobIn("PENDING", { reason })).state).toBe("held"),
	);

	test.each(["Priority", "Resources", "QOSMaxJobsPerUserLimit", "a reason of next year"])(
		"a job that waits because of %s will start",
		(reason) => expect(statusOf(jobIn("PENDING", { reason })).state).toBe("pending"),
	);

	test("a job that completed without having run is an end like any other: whether it ran is for its manager to say", () => {
		expect(statusOf(jobIn("COMPLETED"))).toMatchObject({ state: "ended", end: "completed", exitCode: 0 });
	});
});

describe("sacct", () => {
	test("a recorded answer tells how jobs ended, and nothing of those that it calls alive", () => {
		const found = parseAccounting(recorded("sacct-22.05.txt"));
		expect(Object.fromEntries([...found].map(([id, { status }]) => [id, status]))).toEqual({
			1: { state: "ended", end: "failed", exitCode: 3, reason: "FAILED, with status 3" },
			2: { state: "ended", end: "cancelled", exitCode: 0, reason: "CANCELLED" },
			3: { state: "ended", end: "completed", exitCode: 0, reason: "COMPLETED" },
			6: { state: "ended", end: "out-of-memory", reason: "OUT_OF_MEMORY" },
			8: { state: "ended", end: "failed", reason: "FAILED, by signal 9" },
		});
		expect(found.get("1")?.name).toBe("errand-x-456789ab");
	});

	test("without records nothing is found", () => {
		expect(parseAccounting("")).toEqual(new Map());
		expect(parseAccounting("Slurm accounting storage is disabled\n")).toEqual(new Map());
	});
});
