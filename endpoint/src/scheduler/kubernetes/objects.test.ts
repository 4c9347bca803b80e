import { expect, test } from "vitest";
import { SchedulerSilent } from "../scheduler.ts";
import { parseObjects } from "./objects.ts";

const nowMs = Date.parse("2026-01-01T12:00:00Z");

function statusOf(job: object, ...pods: object[]) {
	const labels = { "errand-block": "b1" };
	const metadata = { name: "errand-b1", labels, creationTimestamp: "2026-01-01T11:59:50Z" };
	const items = [
		{ kind: "Job", metadata, ...job },
		...pods.map((status, i) => ({ kind: "Pod", metadata: { ...metadata, name: `p${i}` }, status })),
	];
	return parseObjects(JSON.stringify({ kind: "List", items }), nowMs)[0]?.status;
}
const failed = (reason = "BackoffLimitExceeded") => ({
	status: { conditions: [{ type: "Failed", status: "True", reason, message: "it has failed" }] },
});
const exited = (reason: string, exitCode: number) => ({
	phase: "Failed",
	containerStatuses: [{ state: { terminated: { reason, exitCode } } }],
});

test.each([
	["it has no pods yet", {}, [], { state: "pending" }],
	[
		"no node has room",
		{},
		[
			{
				phase: "Pending",
				conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes" }],
			},
		],
		{ state: "pending", reason: "Unschedulable: 0/3 nodes" },
	],
	[
		"its image comes",
		{},
		[{ phase: "Pending", containerStatuses: [{ state: { waiting: { reason: "ContainerCreating" } } }] }],
		{ state: "starting", reason: "ContainerCreating" },
	],
	["one of its nodes runs", {}, [{ phase: "Pending" }, { phase: "Running" }], { state: "running" }],
	[
		"its node does not answer",
		{},
		[{ phase: "Unknown", reason: "NodeLost" }],
		{ state: "unknown", reason: "NodeLost" },
	],
	["it is in a phase that nobody knows", {}, [{ phase: "Dreaming" }], { state: "unknown" }],
	["somebody suspended it", { spec: { suspend: true } }, [], { state: "held" }],
	[
		"it has gone well",
		{ status: { conditions: [{ type: "Complete", status: "True" }] } },
		[],
		{ end: "completed", exitCode: 0 },
	],
	[
		"its deadline has passed",
		failed("DeadlineExceeded"),
		[],
		{ end: "timeout", reason: "DeadlineExceeded: it has failed" },
	],
	[
		"its program failed",
		failed(),
		[exited("Error", 3)],
		{ end: "failed", exitCode: 3, reason: "Error: exit status 3" },
	],
	["it took too much memory", failed(), [exited("OOMKilled", 137)], { end: "out-of-memory", exitCode: 137 }],
	[
		"its pod was evicted",
		failed(),
		[{ phase: "Failed", reason: "Evicted", message: "low on disk" }],
		{ end: "preempted", reason: "Evicted: low on disk" },
	],
	[
		"a more urgent one took its node",
		failed(),
		[{ phase: "Failed", conditions: [{ type: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler" }] }],
		{ end: "preempted" },
	],
	["its node went down", failed(), [{ phase: "Failed", reason: "NodeShutdown" }], { end: "node-failure" }],
	["its pods are gone", failed(), [], { end: "failed", reason: "BackoffLimitExceeded: it has failed" }],
])("a Job of which %s", (_, job, pods, expected) => {
	expect(statusOf(job, ...pods)).toMatchObject(expected);
});

test("a Job that is being deleted is ending, although its pods run", () => {
	const text = JSON.stringify({
		kind: "List",
		items: [
			{
				kind: "Job",
				metadata: { name: "j", labels: { "errand-block": "b" }, deletionTimestamp: "2026-01-01T11:00:00Z" },
			},
			{ kind: "Pod", metadata: { name: "p", labels: { "errand-block": "b" } }, status: { phase: "Running" } },
		],
	});
	expect(parseObjects(text, nowMs)[0]?.status.state).toBe("ending");
});

test.each(["", "null", "{}", '{"kind":"Status","message":"no"}', '{"kind":"List","items":[{"kind":"Job"}]}'])(
	"no list of jobs is no empty list: %s",
	(text) => {
		expect(() => parseObjects(text, nowMs)).toThrow(SchedulerSilent);
	},
);
