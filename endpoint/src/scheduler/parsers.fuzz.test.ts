/** Whatever the programs print, no adapter throws anything but SchedulerSilent, and none says of a job that it has ended. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Ask, Dialect } from "./command-line-scheduler.ts";
import { flux } from "./flux/flux.ts";
import { fluxFormat } from "./flux/states.ts";
import { condorDialect } from "./htcondor/htcondor.ts";
import { condorAttributes } from "./htcondor/states.ts";
import { formatMark } from "./job-mark.ts";
import { lsf } from "./lsf/lsf.ts";
import { pbsDialect } from "./pbs/pbs.ts";
import { SchedulerSilent } from "./scheduler.ts";
import { torque } from "./torque/torque.ts";

const mark = formatMark({ endpoint: "0123456789abcdef", blockId: "b-1" });
const condorValues: Readonly<Record<string, string>> = {
	ClusterId: "101",
	ProcId: "0",
	JobStatus: "2",
	NumJobStarts: "1",
	ErrandMark: mark,
};
const fluxValues: Readonly<Record<string, string>> = {
	"{id.f58}": "fABC",
	"{state}": "RUN",
	"{urgency}": "16",
	"{name}": mark,
};

/** What each prints of a job that runs, to be cut, repeated and stirred. */
const running: readonly (readonly [string, () => Dialect, string, string])[] = [
	[
		"PBS",
		pbsDialect,
		"101.pbs.example.org",
		`Job Id: 101.pbs.example.org|Job_Name=errand|job_state=R|queue=workq|Variable_List=A=b,ERRAND_JOB_MARK=${mark}|comment=Job run at Fri|run_count=1\n`,
	],
	[
		"Torque",
		() => torque,
		"101.pbs.example.org",
		`<Data><Job><Job_Id>101.pbs.example.org</Job_Id><Job_Name>C</Job_Name><job_state>R</job_state><Variable_List>ERRAND_JOB_MARK=${mark}</Variable_List></Job></Data>\n`,
	],
	["LSF", () => lsf, "101", `101^RUN^-^-^${mark}\n`],
	[
		"HTCondor",
		() => condorDialect("/nowhere"),
		"101.0",
		`${condorAttributes.map((name) => condorValues[name] ?? "undefined").join("\t")}\n`,
	],
	[
		"Flux",
		() => flux,
		"fABC",
		`${fluxFormat
			.split("|")
			.map((field) => fluxValues[field] ?? "")
			.join("|")}\n`,
	],
];

/** The real text with a piece cut out of it, or foreign text put into it. */
const stirred = (text: string) =>
	fc
		.tuple(fc.nat(text.length), fc.nat(text.length), fc.oneof(fc.constant(""), fc.string(), fc.constant("\n")))
		.map(([a, b, foreign]) => text.slice(0, Math.min(a, b)) + foreign + text.slice(Math.max(a, b)));

describe.each(running)("%s", (_, open, id, text) => {
	const asking = (stdout: string, stderr: string, code: number): Ask => {
		return async () => ({ code, stdout, stderr, timedOut: false });
	};
	const statesOf = async (ask: Ask): Promise<string[]> => {
		try {
			const { jobs, gone } = await open().jobs(ask, [id]);
			return [...[...jobs.values()].map(({ status }) => status.state), ...[...gone].map(() => "gone")];
		} catch (error) {
			expect(error).toBeInstanceOf(SchedulerSilent);
			return [];
		}
	};

	test("the whole text tells of a job that runs, and whose it is", async () => {
		const { jobs } = await open().jobs(asking(text, "", 0), [id]);
		expect(jobs.get(id)).toMatchObject({ status: { state: "running" }, mark: { blockId: "b-1" } });
	});

	test("garbage ends nothing", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.string({ unit: "binary", maxLength: 400 }),
				fc.string(),
				fc.nat(255),
				async (out, err, code) => {
					// An empty queue that says nothing and fails at nothing is HTCondor's way to say that it has no such job.
					if (open().name === "htcondor" && code === 0) return;
					expect(await statesOf(asking(out, err, code))).toEqual([]);
				},
			),
			{ numRuns: 300 },
		);
	});

	test("an answer that is cut or stirred does not end a job that runs", async () => {
		await fc.assert(
			fc.asyncProperty(stirred(text), fc.nat(255), async (out, code) => {
				if (open().name === "htcondor" && out.trim() === "" && code === 0) return;
				const states = await statesOf(asking(out, "", code));
				expect(states.filter((state) => state === "ended" || state === "gone")).toEqual([]);
			}),
			{ numRuns: 500 },
		);
	});

	test("what submits print is searched for an id, and nothing else is taken for one", () => {
		fc.assert(
			fc.property(fc.string({ maxLength: 200 }), (words) => {
				const found = open().parseSubmitted(words);
				if (found !== undefined) expect(found).toMatch(open().idForm);
			}),
			{ numRuns: 500 },
		);
	});
});
