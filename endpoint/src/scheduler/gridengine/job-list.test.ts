import { expect, test } from "vitest";
import { SchedulerSilent } from "../scheduler.ts";
import { parseAccounting } from "./accounting.ts";
import { parseJobList, parseReasons, statusOfLetters } from "./job-list.ts";

test.each([
	["qw", "pending"],
	["Rq", "pending"],
	["hqw", "held"],
	["hRwq", "held"],
	["Eqw", "held"],
	["EhRqw", "held"],
	["t", "starting"],
	["Rt", "starting"],
	["r", "running"],
	["hr", "running"],
	["Rr", "running"],
	["s", "suspended"],
	["S", "suspended"],
	["Ts", "suspended"],
	["dr", "ending"],
	["dEqw", "ending"],
	["dT", "ending"],
	["z", "ended"],
	["Yz", "unknown"],
	["", "unknown"],
])("letters are flags: %s is %s", (letters, state) => {
	expect(statusOfLetters(letters).state).toBe(state);
});

const frame = (jobs: string) =>
	`<?xml version='1.0'?>\n<job_info  xmlns:xsd="x">\n  <queue_info>\n  </queue_info>\n  <job_info>\n${jobs}  </job_info>\n</job_info>\n`;

test("a list is read with its entities, and an empty one is empty", () => {
	const job =
		'<job_list state="pending">\n<JB_job_number>7</JB_job_number>\n<JB_name>a&amp;b&lt;c</JB_name>\n<state>qw</state>\n</job_list>\n';
	expect(parseJobList(frame(job))).toEqual([{ id: "7", name: "a&b<c", letters: "qw" }]);
	expect(parseJobList(frame(""))).toEqual([]);
});

test.each(["", "error: commlib error: got select error", frame("").slice(0, 80), "<html></html>"])(
	"what is no whole list is no empty list: %s",
	(text) => {
		expect(() => parseJobList(text)).toThrow(SchedulerSilent);
	},
);

test("why jobs wait is told of each, an error first, and not where the site has it turned off", () => {
	const text = `==============================================================
job_number:                 8
error reason          1:      11/20/2026 21:55:07 [1001:9808]: can't open output file
scheduling info:            Job is in error state
==============================================================
job_number:                 9
scheduling info:            queue instance "a.q@n1" dropped because it is full
                            cannot run in PE "mpi" because it only offers 5 slots
==============================================================
job_number:                 10
scheduling info:            (Collecting of scheduler job information is turned off)
`;
	expect(parseReasons(text)).toEqual(
		new Map([
			["8", "11/20/2026 21:55:07 [1001:9808]: can't open output file"],
			[
				"9",
				'queue instance "a.q@n1" dropped because it is full; cannot run in PE "mpi" because it only offers 5 slots',
			],
		]),
	);
});

const record = (name: string, failed: string, exit: string) =>
	`==============================================================
qname        all.q               
jobname      ${name}            
jobnumber    5                   
failed       ${failed}    
exit_status  ${exit}                  
`;

test("an id that was used again has a record for each job, the latest last", () => {
	const text = record("first", "0", "0") + record("second", "0", "3");
	expect(parseAccounting(text).map(({ name }) => name)).toEqual(["first", "second"]);
});

test.each([
	["0", "0", { end: "completed", exitCode: 0, reason: "" }],
	["0", "3", { end: "failed", exitCode: 3, reason: "exit status 3" }],
	["0", "143                  (Terminated)", { end: "failed", exitCode: 143 }],
	["37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137", { end: "timeout" }],
	["26  : opening input/output file", "0", { end: "failed", reason: "opening input/output file" }],
	["100 : assumedly after job", "137", { end: "failed", reason: "assumedly after job; exit status 137" }],
])("accounting that says failed %s, exit status %s", (failed, exit, expected) => {
	expect(parseAccounting(record("job", failed, exit))[0]?.status).toMatchObject({ state: "ended", ...expected });
});

test("accounting that does not know the job has no record", () => {
	expect(parseAccounting("error: job id 77 not found\n")).toEqual([]);
});
