/**
 * The port to whatever gives nodes: this machine, or a batch scheduler. An adapter translates; it does not decide how
 * many blocks there are (`blocks/`) and does not know tasks. An unknown word of a scheduler is `unknown`, never "ended".
 */

/** The scheduler's own name for a batch job. Opaque outside the adapter; it is kept over restarts of the daemon. */
export type JobId = string;

/** What a block is asked for. Everything that runs is in `command` and `environment`: nothing is read from a shared disk. */
export interface BlockSpec {
	/** Ours, unique: the adapter makes the job findable by it, so that a repeated submit finds the first one's job. */
	readonly blockId: string;
	/** Absolute path of the program, then its arguments. No shell reads them. */
	readonly command: readonly [string, ...string[]];
	/** Secrets are here and reach only the job. */
	readonly environment: Readonly<Record<string, string>>;
	/** Shell text that runs before the command, in the job: modules, conda, variables. */
	readonly workerInit: string;
	readonly nodes: number;
	/** Where the job's own stdout and stderr are appended. */
	readonly logPath: string;
}

type JobState = "pending" | "running" | "ended" | "unknown";

export interface JobStatus {
	readonly state: JobState;
	/** What the scheduler says: why it waits, how it ended. For people. */
	readonly reason: string;
}

interface SchedulerCapabilities {
	/** A job may have more than one node. */
	readonly multiNode: boolean;
	/** Ended jobs are known by their absence; otherwise the scheduler says how they ended. */
	readonly forgetsEnded: boolean;
}

export interface Scheduler {
	/** The word in the configuration and in heartbeats. */
	readonly name: string;
	readonly capabilities: SchedulerCapabilities;

	/**
	 * Resolves when the scheduler has the job. May be repeated with the same block id: the job of the first call is
	 * returned. On failure (a sentence that says what the scheduler said) there may be a job: `listOurs` tells.
	 */
	submit(spec: BlockSpec): Promise<JobId>;

	/** The state of each job; one that the scheduler does not know any more has ended. One call for all. */
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
