import { describe, expect, test } from "vitest";
import type { JobEnd, JobState } from "../scheduler.ts";
import { parseTorqueJobs } from "./states.ts";

const job = (fields: string): string => `<Data><Job><Job_Id>7.srv</Job_Id>${fields}</Job></Data>`;
const statusOf = (fields: string) => parseTorqueJobs(job(fields))[0]?.status;

describe("states of Torque", () => {
	test.each<[string, JobState]>([
		["Q", "pending"],
		["W", "pending"],
		["T", "pending"],
		["H", "held"],
		["R", "running"],
		["S", "suspended"],
		["E", "ending"],
		["C", "ended"],
		["Z", "unknown"],
	])("%s is %s", (letter, state) => expect(statusOf(`<job_state>${letter}</job_state>`)?.state).toBe(state));

	test.each<[string, JobEnd]>([
		["0", "completed"],
		["2", "failed"],
		["271", "cancelled"],
		["265", "failed"],
		["-11", "timeout"],
		["-12", "timeout"],
		["-10", "out-of-memory"],
		["-9", "failed"],
		["-29", "failed"],
	])("a status of %s is an end by %s", (status, end) =>
		expect(statusOf(`<job_state>C</job_state><exit_status>${status}</exit_status>`)).toMatchObject({ end }),
	);

	test("a job that was deleted before it ran has no status", () => {
		expect(statusOf("<job_state>C</job_state>")).toMatchObject({ state: "ended", end: "cancelled" });
	});

	test("text in XML is read as it was written", () => {
		const reason = statusOf(
			"<job_state>Q</job_state><comment>a &lt;b&gt; &amp;amp; &#65;&#x42; &what;</comment>",
		)?.reason;
		expect(reason).toBe("a <b> &amp; AB &what;");
	});

	test("several answers in one, and elements within elements", () => {
		const one =
			"<Job><Job_Id>1.srv</Job_Id><Resource_List><job_state>C</job_state></Resource_List><job_state>R</job_state></Job>";
		const two = "<Job><Job_Id>2.srv</Job_Id><job_state>Q</job_state></Job>";
		const jobs = parseTorqueJobs(`<Data>${one}</Data><Data>${two}</Data>`);
		expect(jobs.map(({ id, status }) => [id, status.state])).toEqual([
			["1.srv", "running"],
			["2.srv", "pending"],
		]);
	});
});
