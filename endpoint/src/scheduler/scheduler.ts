/**
 * The port to whatever gives nodes: this machine, or a batch scheduler. An adapter translates; it does not decide how
 * many blocks there are (`blocks/`) and does not know tasks. An unknown word of a scheduler is `unknown`, never "ended".
 */
import type { QueueConfig } from "../config/queue.ts";
import type { Logger } from "../service/logger.ts";

/** The scheduler's own name for a batch job. Opaque outside the adapter; it is kept over restarts of the daemon. */
export type JobId = string;

/** What a block is asked for. Everything that runs is in `command` and `environment`: nothing is read from a shared disk. */
export interface BlockSpec {
	/** Ours, unique: the adapter makes the job findable by it, so that a repeated submit finds the first one's job. */
	readonly blockId: string;
	/** What people see in the scheduler's lists; of letters, digits and dashes, begins with a letter. */
	readonly jobName: string;
	/** Absolute path of the program that runs on each node, then its arguments. No shell reads them. */
	readonly command: readonly [string, ...string[]];
	/** Secrets are here and reach only the job. */
	readonly environment: Readonly<Record<string, string>>;
	/** Shell text that runs before the command, in the job: modules, conda, variables. */
	readonly workerInit: string;
	readonly nodes: number;
	/** Where the job's own stdout and stderr are appended. */
	readonly logPath: string;
	/** Account, queue, walltime and the rest of what the scheduler is asked. */
	readonly queue: QueueConfig;
}

export type JobState =
	/** It waits for its turn. */
	| "pending"
	/** It waits until somebody lets it go: no time will start it. Counts as capacity in flight, as all but the last two do. */
	| "held"
	/** Nodes are being made ready. */
	| "starting"
	| "running"
	| "suspended"
	/** It is being ended; nothing new will run in it. */
	| "ending"
	| "ended"
	/** The scheduler said nothing of it, or a word that we do not know. Not an end. */
	| "unknown";

/** How a job ended, as far as the scheduler tells. */
export type JobEnd =
	| "completed"
	| "failed"
	| "timeout"
	| "cancelled"
	| "preempted"
	| "node-failure"
	| "out-of-memory"
	/** The scheduler has forgotten it, or never took it. */
	| "vanished";

export interface JobStatus {
	readonly state: JobState;
	/** The scheduler's own words, for people: why it waits, how it ended. Empty when it says nothing. */
	readonly reason: string;
	/** When the scheduler expects it to start, Unix milliseconds; where it says so. */
	readonly expectedStartMs?: number;
	/** With `ended`. */
	readonly end?: JobEnd;
	readonly exitCode?: number;
	/** How often the scheduler has started it anew. */
	readonly restarts?: number;
}

export interface SchedulerCapabilities {
	/** A job may have more than one node. */
	readonly multiNode: boolean;
	/** Ended jobs are known by their absence; otherwise the scheduler says how they ended, for a while at least. */
	readonly forgetsEnded: boolean;
	/** The scheduler says when it expects to start a job. */
	readonly expectsStarts: boolean;
	/** A job may wait for another one that was submitted outside (`depends_on_job`). */
	readonly dependencies: boolean;
}

/** The scheduler will not have this job. The message is what it said. Nothing was submitted. */
export class SubmitRejected extends Error {
	override readonly name = "SubmitRejected";
}

/** The scheduler did not answer, or nothing that can be read. Nothing is known; whether a submit succeeded neither. */
export class SchedulerSilent extends Error {
	override readonly name = "SchedulerSilent";
}

export interface Scheduler {
	/** The word in the configuration and in heartbeats. */
	readonly name: string;
	readonly capabilities: SchedulerCapabilities;

	/** Exactly what `submit` hands over, for people: the batch script, or the scheduler's own form of it. */
	script(spec: BlockSpec): string;

	/**
	 * Resolves when the scheduler has the job. May be repeated with the same block id: the job of the first call is
	 * returned, also when that call seemed to fail. Throws {@link SubmitRejected} or {@link SchedulerSilent}.
	 */
	submit(spec: BlockSpec): Promise<JobId>;

	/**
	 * The state of each job. One call for all. A job that the scheduler positively does not know any more has ended
	 * (`vanished`); one that it may not know yet is `unknown`. Throws {@link SchedulerSilent}: then nothing has changed.
	 */
	poll(ids: readonly JobId[]): Promise<Map<JobId, JobStatus>>;

	/** Asks the jobs to end, SIGTERM first, SIGKILL after `graceMs`. Resolves when they have. One that ended already is no failure. */
	cancel(ids: readonly JobId[], graceMs: number): Promise<void>;

	/** Jobs of this endpoint that have not ended, by block id, whoever started them. For the start after a crash. */
	listOurs(): Promise<Map<string, JobId>>;

	/** Tells the supervisor of an end as soon as it is known, before the next poll. Not all adapters can. */
	onEnded(listener: (id: JobId, reason: string) => void): void;

	/** Forgets listeners; jobs go on. */
	close(): void;
}

/** What every adapter is opened with. */
export interface SchedulerOptions {
	/** The endpoint's directory: names its jobs among those of other endpoints of the same user. */
	readonly directory: string;
	/** A command of the scheduler's is given up after this long. */
	readonly commandTimeoutMs: number;
	readonly log: Logger;
}
