import { joinBuffer, pack } from "@errand/proto";
import { describe, expect, test } from "vitest";
import { isVersionBound, skewSentence, type Versions, versionsOfClient, versionsOfWorker } from "./version-skew.ts";

const of = (python: string | undefined, dill?: string | null, sdk?: string | null): Versions => ({ python, dill, sdk });

const table: readonly [what: string, writer: Versions, workers: Versions[], warned: boolean][] = [
	["the same Python", of("3.11.7"), [of("3.11.7", "0.3.9", "4.19.0")], false],
	["another patch of it", of("3.11.7"), [of("3.11.2", "0.3.9", null)], false],
	["another minor version", of("3.12.1"), [of("3.11.7", "0.3.9", "4.19.0")], true],
	["3.1 and 3.11", of("3.1.5"), [of("3.11.5", "0.3.9")], true],
	["another major version", of("2.7.18"), [of("3.11.7", "0.3.9")], true],
	["another patch of dill", of("3.11.7", "0.3.7"), [of("3.11.7", "0.3.9")], false],
	["another minor version of dill", of("3.11.7", "0.4.0"), [of("3.11.7", "0.3.9")], true],
	["another minor version of the SDK", of("3.11.7", undefined, "4.2.0"), [of("3.11.7", "0.3.9", "4.19.0")], false],
	["another major version of the SDK", of("3.11.7", undefined, "3.1.0"), [of("3.11.7", "0.3.9", "4.19.0")], true],
	["a worker without dill", of("3.11.7"), [of("3.11.7", null, null)], true],
	["a worker with dill and without the SDK", of("3.11.7", undefined, "4.19.0"), [of("3.11.7", "0.3.9", null)], false],
	["a worker of which only Python is known", of("3.11.7", "0.4.0", "4.19.0"), [of("3.11.7")], false],
	["an endpoint of which nothing is known", of("3.12.1"), [], false],
	["a writer of which nothing is known", of(undefined), [of("3.11.7", "0.3.9")], false],
	["one of two kinds of workers that fits", of("3.12.1"), [of("3.12.0", "0.3.9"), of("3.11.7", "0.3.9")], false],
	["two kinds of workers, neither of which fits", of("3.13.0"), [of("3.12.0", "0.3.9"), of("3.11.7", "0.3.9")], true],
];

describe("GC-6, NEW-11: the versions of writer and workers", () => {
	test.each(table)("%s", (_what, writer, workers, warned) => {
		expect(skewSentence(writer, workers, "lab") !== undefined).toBe(warned);
	});

	test("a mismatch is one sentence with both sides' versions and what to do", () => {
		const workers = [of("3.10.1", "0.3.9"), of("3.11.7", "0.3.9", "4.19.0")];
		expect(skewSentence(of("3.12.1", undefined, "4.2.0"), workers, "lab")).toBe(
			"Written by Python 3.12.1, globus-compute-sdk 4.2.0, and the workers of endpoint lab have Python 3.11.7, dill 0.3.9, " +
				"globus-compute-sdk 4.19.0: what is pickled may not be readable there. Use the same minor version of Python on both " +
				"sides, or send source and JSON (PureSourceTextInspect and JSONData).",
		);
		expect(skewSentence(of("3.11.7"), [of("3.11.7", null)], "lab")).toContain("have Python 3.11.7, no dill:");
	});
});

test.each<[what: string, buffers: [string, string][], bound: boolean]>([
	["source and JSON", [["st", "f:def f(): pass"]], false],
	[
		"JSON arguments",
		[
			["11", "[1]"],
			["11", "{}"],
		],
		false,
	],
	[
		"pickled arguments",
		[
			["00", "gASV"],
			["00", "gASV"],
		],
		true,
	],
	[
		"arguments of which one part is pickled",
		[
			["11", "[1]"],
			["00", "gASV"],
		],
		true,
	],
	["a pickled function", [["01", "gASV"]], true],
	["a function by pickle", [["02", "gASV"]], true],
	["source that dill has wrapped", [["04", "gASV"]], false],
	["source beside a pickled function", [["12", "st:…:01:…"]], false],
	["JavaScript", [["ej", "default:() => 1"]], false],
	["a reference", [["er", "{}"]], false],
])("%s: bound to a version or not", (_what, buffers, bound) => {
	expect(isVersionBound(pack(buffers.map(([id, content]) => joinBuffer(id as never, content))))).toBe(bound);
});

test("what cannot be unpacked is the worker's to refuse", () => {
	expect(isVersionBound("no length")).toBe(false);
	expect(isVersionBound("")).toBe(false);
});

test("versions are read from what a worker and a client say of themselves", () => {
	expect(versionsOfWorker("Python 3.11.7, dill 0.3.9, globus-compute-sdk 4.19.0")).toEqual(
		of("3.11.7", "0.3.9", "4.19.0"),
	);
	expect(versionsOfWorker("Python 3.11.7")).toEqual(of("3.11.7", null, null));
	expect(versionsOfWorker("Node.js 24.1.0")).toBeUndefined();
	const runtime = { python_version: "3.12.1 (main, Jan 1 2026) [GCC 12]", globus_compute_sdk_version: "4.19.0" };
	expect(versionsOfClient(runtime)).toEqual(of("3.12.1", undefined, "4.19.0"));
	expect(versionsOfClient(null)).toEqual(of(undefined));
	expect(versionsOfClient({ python_version: 3, dill_version: "\n" })).toEqual(of(undefined));
});
