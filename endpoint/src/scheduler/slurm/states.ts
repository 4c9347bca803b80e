/** What Slurm's words mean: tables, and readers of what `squeue` and `sacct` print. Text in, facts out. */
import { type JobEnd, type JobState, type JobStatus, SchedulerSilent } from "../scheduler.ts";

/** `squeue` pads and cuts each field to its width: no delimiter can be part of a value. The comment is last: it may be any text. */
const columns = [
	["JobID", 24],
	["State", 24],
	["Reason", 100],
	["StartTime", 24],
	["RestartCnt", 24],
	["exit_code", 12],
	["NodeList", 100],
	["Name", 100],
	["Comment", 400],
] as const;

/** One question for all jobs of this user, ended ones included for as long as the controller remembers them. */
export const queueQuestion: readonly [string, ...string[]] = [
	"squeue",
	"--me",
	"--states=all",
	`--Format=${columns.map(([name, width]) => `${name}:${width}`).join(",")}`,
];

/** A job as `squeue` tells of it. */
export interface QueuedJob {
	readonly id: string;
	/** Slurm's word. */
	readonly state: string;
	/** Slurm's word; empty when there is none. */
	readonly reason: string;
	/** Of a waiting job: when it is expected to start. */
	readonly startMs: number | undefined;
	readonly restarts: number;
	/** As wait(2) has it. */
	readonly waitStatus: number;
	readonly nodes: string;
	readonly name: string;
	readonly comment: string;
}

/** Every job in the answer. Without its heading an answer is none: {@link SchedulerSilent}. */
export function parseQueue(text: string): QueuedJob[] {
	const lines = text.split("\n");
	const heading = lines.findIndex((line) => /^JOBID\s/.test(line));
	if (heading < 0 || lines[heading]?.trim().split(/\s+/).length !== columns.length)
		throw new SchedulerSilent(`squeue gave an answer that cannot be read: ${JSON.stringify(text.slice(0, 200))}`);
	return lines.slice(heading + 1).flatMap((line) => {
		let from = 0;
		const [id, state, reason, start, restarts, wait, nodes, name, comment] = columns.map(([, width]) => {
			const field = line.slice(from, from + width).trim();
			from += width;
			return field;
		}) as [string, string, string, string, string, string, string, string, string];
		if (!/^\d+$/.test(id) || state === "") return []; // an element of a job array, or no job
		const startMs = Date.parse(`${start}Z`);
		return [
			{
				id,
				state,
				reason: reason === "None" ? "" : reason,
				startMs: Number.isNaN(startMs) ? undefined : startMs,
				restarts: Number(restarts) || 0,
				waitStatus: Number(wait) || 0,
				nodes,
				name,
				comment: comment === "(null)" ? "" : comment,
			},
		];
	});
}

const living: Readonly<Record<string, JobState>> = {
	PENDING: "pending",
	REQUEUED: "pending",
	REQUEUE_FED: "pending",
	REQUEUE_HOLD: "held",
	SPECIAL_EXIT: "held",
	RESV_DEL_HOLD: "held",
	CONFIGURING: "starting",
	POWER_UP_NODE: "starting",
	RUNNING: "running",
	RESIZING: "running",
	SIGNALING: "running",
	EXPEDITING: "pending",
	SUSPENDED: "suspended",
	STOPPED: "suspended",
	COMPLETING: "ending",
	STAGE_OUT: "ending",
};

const ends: Readonly<Record<string, JobEnd>> = {
	COMPLETED: "completed",
	FAILED: "failed",
	LAUNCH_FAILED: "failed",
	RECONFIG_FAIL: "node-failure",
	TIMEOUT: "timeout",
	DEADLINE: "timeout",
	CANCELLED: "cancelled",
	REVOKED: "cancelled",
	PREEMPTED: "preempted",
	NODE_FAIL: "node-failure",
	BOOT_FAIL: "node-failure",
	OUT_OF_MEMORY: "out-of-memory",
};

/** A waiting job with one of these waits for a person: no passing of time starts it. */
const heldBecause = new Set([
	"JobHeldUser",
	"JobHeldAdmin",
	"launch failed requeued held",
	"job requeued in held state",
	"JobLaunchFailure",
	"DependencyNeverSatisfied",
	"BadConstraints",
	"PartitionDown",
	"PartitionInactive",
	"PartitionTimeLimit",
	"PartitionNodeLimit",
	"PartitionConfig",
	"AccountNotAllowed",
	"InvalidAccount",
	"InvalidQOS",
	"QOSNotAllowed",
	"QOSJobLimit",
	"ReservationDeleted",
	"TimeLimit",
]);

const words = (reason: string): string => reason.replaceAll("_", " ");

export function statusOf(job: QueuedJob): JobStatus {
	const restarts = job.restarts > 0 && { restarts: job.restarts };
	const state = living[job.state];
	if (state === undefined) {
		const end = endOf(job.state, job.reason, exitOf(job.waitStatus), job.nodes);
		return end === undefined
			? { state: "unknown", reason: `Slurm calls it ${job.state}`, ...restarts }
			: { ...end, ...restarts };
	}
	const isHeld = state === "pending" && heldBecause.has(words(job.reason));
	return {
		state: isHeld ? "held" : state,
		reason: words(job.reason),
		...(state === "pending" && job.startMs !== undefined && { expectedStartMs: job.startMs }),
		...restarts,
	};
}

const lastSignal = 64;

interface Exit {
	readonly code: number;
	readonly signal: number;
}

const exitOf = (waitStatus: number): Exit => ({ code: (waitStatus >> 8) & 0xff, signal: waitStatus & 0x7f });

/** Undefined: that is no end. */
function endOf(state: string, reason: string, { code, signal }: Exit, nodes: string): JobStatus | undefined {
	const end = ends[state];
	if (end === undefined) return undefined;
	// Of a job that took too much memory Slurm tells of a signal that there is none of.
	const how = signal > 0 && signal <= lastSignal ? `, by signal ${signal}` : code > 0 ? `, with status ${code}` : "";
	const why = reason === "" || reason === "NonZeroExitCode" ? "" : ` (${words(reason)})`;
	const where = end === "node-failure" && nodes !== "" ? ` on ${nodes}` : "";
	const failed = end !== "completed" || (code === 0 && signal === 0);
	return {
		state: "ended",
		reason: `${state}${why}${where}${how}`,
		end: failed ? end : "failed",
		...(signal === 0 && { exitCode: code }),
	};
}

/** For jobs that the controller has forgotten. */
export function accountingQuestion(ids: readonly string[]): [string, ...string[]] {
	return [
		"sacct",
		"--allocations",
		"--noheader",
		"--parsable2",
		"--format=JobIDRaw,State,ExitCode,NodeList,JobName",
		`--jobs=${ids.join(",")}`,
	];
}

/** How jobs ended, by id, with their names. Those that the records call alive are left out: the controller knows better. */
export function parseAccounting(text: string): Map<string, { readonly name: string; readonly status: JobStatus }> {
	const found = new Map<string, { name: string; status: JobStatus }>();
	for (const line of text.split("\n")) {
		const [id = "", state = "", exit = "", nodes = "", ...name] = line.split("|");
		const [code = 0, signal = 0] = exit.split(":").map(Number);
		// "CANCELLED by 1000"
		const status = endOf(state.split(" ")[0] ?? "", "", { code, signal }, nodes === "None assigned" ? "" : nodes);
		if (/^\d+$/.test(id) && status !== undefined) found.set(id, { name: name.join("|").trim(), status });
	}
	return found;
}
