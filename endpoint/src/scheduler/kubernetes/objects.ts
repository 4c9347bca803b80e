/** Jobs and pods as `kubectl get -o json` tells them, and what they say of a block. Text in, facts out. */
import * as z from "zod";
import { type JobEnd, type JobState, type JobStatus, SchedulerSilent } from "../scheduler.ts";
import { blockLabel, logAnnotation, queueLabel } from "./manifest.ts";

const condition = z.object({
	type: z.string(),
	status: z.string(),
	reason: z.string().default(""),
	message: z.string().default(""),
});
const reasoned = z.object({ reason: z.string().default(""), message: z.string().default("") });
const terminated = reasoned.extend({ exitCode: z.number() });
const meta = z.object({
	name: z.string(),
	creationTimestamp: z.string().optional(),
	deletionTimestamp: z.string().nullish(),
	labels: z.record(z.string(), z.string()).default({}),
	annotations: z.record(z.string(), z.string()).default({}),
});
const job = z.object({
	kind: z.literal("Job"),
	metadata: meta,
	spec: z.object({ suspend: z.boolean().optional() }).default({}),
	status: z.object({ conditions: z.array(condition).default([]) }).prefault({}),
});
const pod = z.object({
	kind: z.literal("Pod"),
	metadata: meta,
	status: z
		.object({
			phase: z.string().default("Pending"),
			reason: z.string().default(""),
			message: z.string().default(""),
			conditions: z.array(condition).default([]),
			containerStatuses: z
				.array(
					z.object({
						state: z.object({ waiting: reasoned.optional(), terminated: terminated.optional() }).default({}),
					}),
				)
				.default([]),
		})
		.prefault({}),
});
const list = z.object({ kind: z.literal("List"), items: z.array(z.discriminatedUnion("kind", [job, pod])) });

type Pod = z.output<typeof pod>;
type Job = z.output<typeof job>;

export interface ListedJob {
	readonly name: string;
	readonly blockId: string;
	readonly status: JobStatus;
	/** Where the submitter wants what it said. */
	readonly logPath: string | undefined;
}

/** Throws {@link SchedulerSilent} for what is no such list. */
export function parseObjects(text: string, nowMs: number): ListedJob[] {
	const read = list.safeParse(parsedJson(text));
	if (!read.success)
		throw new SchedulerSilent(`kubectl gave no list of jobs: ${text.trim().slice(0, 200) || "nothing"}`);
	const { items } = read.data;
	const pods = items.filter((item) => item.kind === "Pod");
	const blockOf = ({ metadata }: Job | Pod): string => metadata.labels[blockLabel] ?? "";
	return items
		.filter((item) => item.kind === "Job")
		.map((item) => ({
			name: item.metadata.name,
			blockId: blockOf(item),
			status: statusOf(
				item,
				pods.filter((one) => blockOf(one) === blockOf(item)),
				nowMs,
			),
			logPath: item.metadata.annotations[logAnnotation],
		}));
}

function parsedJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** Why a Job or a pod failed, by the words that Kubernetes has for it. */
const ends: Readonly<Record<string, JobEnd>> = {
	DeadlineExceeded: "timeout",
	OOMKilled: "out-of-memory",
	Evicted: "preempted",
	Preempting: "preempted",
	PreemptionByScheduler: "preempted",
	EvictionByEvictionAPI: "preempted",
	NodeLost: "node-failure",
	NodeShutdown: "node-failure",
	Shutdown: "node-failure",
	Terminated: "node-failure", // the kubelet's word when its machine goes down
	DeletionByTaintManager: "node-failure",
	DeletionByPodGC: "node-failure",
	TerminationByKubelet: "node-failure",
};

/** Nothing but a change of the image, its registry or the manifest helps; a registry may hiccup for a moment. */
const brokenStarts = new Set([
	"ErrImagePull",
	"ImagePullBackOff",
	"InvalidImageName",
	"ErrImageNeverPull",
	"CreateContainerConfigError",
	"CreateContainerError",
	"RunContainerError",
]);
const brokenAfterMs = 120_000;

/** Of a block with several pods, the first of these that a pod is in. */
const order: readonly JobState[] = ["running", "unknown", "held", "starting", "pending", "ending"];

function statusOf({ metadata, spec, status }: Job, pods: readonly Pod[], nowMs: number): JobStatus {
	const holds = (type: string) => status.conditions.find((one) => one.type === type && one.status === "True");
	const exitCode = pods.flatMap(exitsOf).find(({ exitCode: code }) => code !== 0)?.exitCode;
	if (holds("Complete")) return { state: "ended", end: "completed", reason: "", exitCode: 0 };
	const failed = holds("Failed");
	if (failed) {
		const causes = pods.flatMap(causesOf);
		const known = [failed, ...causes].find(({ reason }) => ends[reason] !== undefined);
		const told = known ?? causes[0] ?? failed;
		return {
			state: "ended",
			end: ends[told.reason] ?? "failed",
			reason: words(told),
			...(exitCode !== undefined && { exitCode }),
		};
	}
	if (metadata.deletionTimestamp) return { state: "ending", reason: "the Job is being deleted" };
	if (spec.suspend === true) {
		const kueue = metadata.labels[queueLabel];
		return kueue === undefined
			? { state: "held", reason: "the Job is suspended" }
			: { state: "pending", reason: `the Job waits in queue ${kueue}` };
	}
	const states = pods.map((one) => statusOfPod(one, nowMs));
	for (const state of order) {
		const found = states.find((one) => one.state === state);
		if (found) return found;
	}
	return { state: "pending", reason: "the Job has no pods yet" };
}

function statusOfPod({ metadata, status }: Pod, nowMs: number): JobStatus {
	if (metadata.deletionTimestamp) return { state: "ending", reason: "the pod is being deleted" };
	switch (status.phase) {
		case "Running":
			return { state: "running", reason: "" };
		case "Succeeded":
		case "Failed":
			return { state: "ending", reason: words(status) };
		case "Pending":
			break;
		case "Unknown":
			return { state: "unknown", reason: words(status) || "the pod's node does not answer" };
		default:
			return { state: "unknown", reason: `the pod's phase is ${status.phase}` };
	}
	const unscheduled = status.conditions.find(({ type, status: is }) => type === "PodScheduled" && is === "False");
	if (unscheduled) return { state: "pending", reason: words(unscheduled) };
	const waiting = status.containerStatuses.map(({ state }) => state.waiting).find((one) => one !== undefined);
	const ageMs = nowMs - Date.parse(metadata.creationTimestamp ?? "");
	const broken = waiting !== undefined && brokenStarts.has(waiting.reason) && ageMs > brokenAfterMs;
	return { state: broken ? "held" : "starting", reason: waiting === undefined ? "" : words(waiting) };
}

const exitsOf = ({ status }: Pod) =>
	status.containerStatuses.flatMap(({ state }) => (state.terminated === undefined ? [] : [state.terminated]));

/** The most telling first: what a container died of, what befell the pod. */
function causesOf(one: Pod): { reason: string; message: string }[] {
	const exits = exitsOf(one)
		.filter(({ exitCode }) => exitCode !== 0)
		.map(({ reason, message, exitCode }) => ({ reason, message: message || `exit status ${exitCode}` }));
	const disruption = one.status.conditions.filter(
		({ type, status: is }) => type === "DisruptionTarget" && is === "True",
	);
	return [...exits, ...(one.status.reason === "" ? [] : [one.status]), ...disruption];
}

const words = ({ reason, message }: { readonly reason: string; readonly message: string }): string =>
	[reason, message].filter((text) => text !== "").join(": ");
