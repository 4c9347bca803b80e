import { describe, expect, test } from "vitest";
import type { JobEnd, JobState } from "../scheduler.ts";
import { condorAttributes, parseCondorJobs } from "./states.ts";

type Values = Partial<Record<(typeof condorAttributes)[number], string>>;
const line = (values: Values): string => {
	const all: Values = { ClusterId: "7", ProcId: "0", ...values };
	return `${condorAttributes.map((name) => all[name] ?? "undefined").join("\t")}\n`;
};
const statusOf = (values: Values, inQueue = true) => parseCondorJobs(line(values), inQueue)[0]?.status;

describe("states of HTCondor", () => {
	test.each<[string, JobState]>([
		["1", "pending"],
		["2", "running"],
		["3", "ending"],
		["4", "ended"],
		["5", "held"],
		["6", "ending"],
		["7", "suspended"],
		["8", "unknown"],
		["undefined", "unknown"],
	])("%s in the queue is %s", (word, state) => expect(statusOf({ JobStatus: word })?.state).toBe(state));

	test.each<[Values, JobEnd]>([
		[{ JobStatus: "4", ExitCode: "0" }, "completed"],
		[{ JobStatus: "4", ExitCode: "9" }, "failed"],
		[{ JobStatus: "4", ExitSignal: "9" }, "failed"],
		[{ JobStatus: "4" }, "failed"],
		[{ JobStatus: "3", RemoveReason: "via condor_rm (by user ada)" }, "cancelled"],
		[{ JobStatus: "3", LastHoldReasonCode: "46" }, "timeout"],
		[{ JobStatus: "3", LastHoldReasonCode: "34" }, "out-of-memory"],
		[{ JobStatus: "4", ExitCode: "0", LastHoldReasonCode: "1" }, "completed"],
		[{ JobStatus: "2" }, "failed"],
	])("%j in the history is an end by %s", (values, end) =>
		expect(statusOf(values, false)).toMatchObject({ state: "ended", end }),
	);

	test.each<[string, JobState, JobEnd | undefined]>([
		["1", "held", undefined],
		["26", "held", undefined],
		["34", "ended", "out-of-memory"],
		["46", "ended", "timeout"],
		["47", "ended", "timeout"],
	])("a hold with code %s is %s", (code, state, end) => {
		const status = statusOf({ JobStatus: "5", HoldReasonCode: code, HoldReason: "because" });
		expect(status).toMatchObject({ state });
		expect(status?.end).toBe(end);
		expect(status?.reason).toContain("because");
	});

	test("a job that was evicted and waits again has been started anew once it runs", () => {
		expect(statusOf({ JobStatus: "2", NumJobStarts: "1" })?.restarts).toBeUndefined();
		expect(statusOf({ JobStatus: "1", NumJobStarts: "2" })).toMatchObject({ state: "pending", restarts: 1 });
		expect(statusOf({ JobStatus: "2", NumJobStarts: "3" })).toMatchObject({ state: "running", restarts: 2 });
	});

	test("a reason of several lines, with tabs, is no second job", () => {
		const text = line({ JobStatus: "5", HoldReasonCode: "26", HoldReason: "one\ttwo\n8\t0\tthree" });
		expect(parseCondorJobs(text, true).map(({ id, status }) => [id, status.reason])).toEqual([["7.0", "one\ttwo"]]);
	});
});
