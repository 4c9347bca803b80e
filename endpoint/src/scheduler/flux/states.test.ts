import { describe, expect, test } from "vitest";
import type { JobEnd, JobState } from "../scheduler.ts";
import { fluxFormat, parseFluxJobs } from "./states.ts";

const line = (values: Readonly<Record<string, string>>): string =>
	`${fluxFormat.replaceAll(/\{([\w.]+)\}/g, (_, name: string) => values[name] ?? (name === "id.f58" ? "fABC" : ""))}\n`;
const statusOf = (values: Readonly<Record<string, string>>) => parseFluxJobs(line(values))[0]?.status;

describe("states of Flux", () => {
	test.each<[string, string, JobState]>([
		["NEW", "16", "pending"],
		["DEPEND", "16", "pending"],
		["PRIORITY", "16", "pending"],
		["SCHED", "16", "pending"],
		["SCHED", "", "pending"],
		["SCHED", "0", "held"],
		["PRIORITY", "0", "held"],
		["RUN", "0", "running"],
		["CLEANUP", "16", "ending"],
		["INACTIVE", "16", "ended"],
		["LIMBO", "16", "unknown"],
	])("%s of urgency %s is %s", (state, urgency, expected) =>
		expect(statusOf({ state, urgency })?.state).toBe(expected),
	);

	test.each<[Readonly<Record<string, string>>, JobEnd, number | undefined]>([
		[{ result: "COMPLETED", returncode: "0" }, "completed", 0],
		[{ result: "FAILED", returncode: "3" }, "failed", 3],
		[{ result: "FAILED", returncode: "-9" }, "failed", undefined],
		[{ result: "CANCELED", returncode: "-128", "exception.type": "cancel" }, "cancelled", undefined],
		[{ result: "TIMEOUT", returncode: "142", "exception.type": "timeout" }, "timeout", 142],
		[{ result: "FAILED", "exception.type": "node-fail", "exception.note": "lost node7" }, "node-failure", undefined],
		[{ result: "SOMETHING" }, "failed", undefined],
	])("%j is an end by %s", (values, end, exitCode) => {
		const status = statusOf({ state: "INACTIVE", ...values });
		expect(status).toMatchObject({ state: "ended", end });
		expect(status?.exitCode).toBe(exitCode);
	});

	test("an id is the same with either first letter", () => {
		expect(parseFluxJobs(line({ "id.f58": "ƒ2oMYXH", state: "RUN" }))[0]?.id).toBe("f2oMYXH");
	});

	test("when it is expected to start is told in fractions of seconds, for jobs that wait", () => {
		const estimate = { "annotations.sched.t_estimate": "1900000000.25" };
		expect(statusOf({ state: "SCHED", urgency: "16", ...estimate })?.expectedStartMs).toBe(1_900_000_000_250);
		expect(statusOf({ state: "RUN", ...estimate })?.expectedStartMs).toBeUndefined();
	});
});
