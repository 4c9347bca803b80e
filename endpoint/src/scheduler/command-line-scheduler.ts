/**
 * What is the same for every scheduler that is spoken to by its programs: a repeated submit finds the first one's job,
 * a job that is not told of is not taken for ended, cancelling waits until it is true. A dialect knows the programs.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { endpointMark, formatMark, type JobMark } from "./job-mark.ts";
import { type Lacks, refuseWhatLacks } from "./lacks.ts";
import {
	type BlockSpec,
	type JobId,
	type JobState,
	type JobStatus,
	type Scheduler,
	type SchedulerCapabilities,
	type SchedulerOptions,
	SchedulerSilent,
	SubmitRejected,
} from "./scheduler.ts";
import { type Answer, SchedulerCommand, wordsOf } from "./scheduler-command.ts";

/** Schedulers that answer from a copy of their state may not know a new job yet. */
const visibleAfterMs = 60_000;
/** Between two looks at jobs that were asked to end. */
const firstLookMs = 100;
const lastLookMs = 5_000;
/** After the grace jobs get SIGKILL; whatever has not ended after this is not waited for. */
const endLimitMs = 60_000;

export interface JobRecord {
	readonly id: JobId;
	readonly status: JobStatus;
	/** Undefined when the job has none, or this answer does not say. */
	readonly mark: JobMark | undefined;
	/** Another server has it now, and is to be asked. */
	readonly server?: string;
}

/** What the scheduler said of the jobs it was asked for. Of those in neither it said nothing. */
export interface Told {
	readonly jobs: ReadonlyMap<JobId, JobRecord>;
	/** It said that it does not know them. */
	readonly gone: ReadonlySet<JobId>;
}

/** Throws {@link SchedulerSilent} when the answer takes too long. */
export type Ask = SchedulerCommand["ask"];

export interface Dialect {
	readonly name: string;
	readonly capabilities: SchedulerCapabilities;
	/** Variables that its programs must have. */
	readonly environment?: Readonly<Record<string, string>>;
	/** Of its own job ids. Others are not asked for: it cannot know them. */
	readonly idForm: RegExp;
	/** Settings that it has nothing for, and what to do instead. A block that says one of them is refused. */
	readonly lacks: Lacks;
	/** Exactly what is handed over, for people. `mark` is in it where {@link Dialect.ours} finds it. */
	script(spec: BlockSpec, mark: string): string;
	submit(ask: Ask, spec: BlockSpec, mark: string): Promise<Answer>;
	/** The id in what a successful submit said. Sites print banners around it. */
	parseSubmitted(stdout: string): JobId | undefined;
	/** Words of a failed submit which say that nobody decided: the job is not refused. */
	readonly unreachable: RegExp;
	/** The state of each. Throws {@link SchedulerSilent} when nothing was said of any. */
	readonly jobs: (ask: Ask, ids: readonly JobId[]) => Promise<Told>;
	/** Jobs of this user that have not ended and have a mark of this endpoint. Throws {@link SchedulerSilent}. */
	readonly ours: (ask: Ask, endpoint: string) => Promise<readonly JobRecord[]>;
	/** Asks jobs that have started to end: SIGTERM first. */
	readonly end: (ids: readonly JobId[]) => readonly [string, ...string[]];
	/** Takes jobs that wait out of the queue, where that is another command. */
	readonly drop?: Dialect["end"];
	/** Ends jobs at once. */
	readonly kill: Dialect["end"];
	/** The job of this block is over: what was kept for it may go. */
	readonly forget?: (blockId: string) => void;
}

/** Of jobs that have not started, as far as is known. */
const waiting: ReadonlySet<JobState> = new Set(["pending", "held", "unknown"]);

export function openCommandLineScheduler(
	dialect: Dialect,
	{ directory, commandTimeoutMs, log }: SchedulerOptions,
	nowMs: () => number = () => performance.now(),
): Scheduler {
	const { name, environment = {} } = dialect;
	const command = new SchedulerCommand({ timeoutMs: commandTimeoutMs, log, environment });
	const ask: Ask = (...words) => command.ask(...words);
	const endpoint = endpointMark(directory);
	const closing = new AbortController();
	/** Of this process: by block, and when. */
	const submitted = new Map<string, { readonly id: JobId; readonly atMs: number }>();
	const tried = new Set<string>();
	let earlier: Promise<ReadonlyMap<string, JobId>> | undefined;

	async function ours(): Promise<Map<string, JobId>> {
		const records = await dialect.ours(ask, endpoint);
		return new Map(
			records.flatMap(({ id, status, mark }): [string, JobId][] =>
				mark?.endpoint === endpoint && status.state !== "ended" ? [[mark.blockId, id]] : [],
			),
		);
	}

	/** A submit that this or an earlier process did not see the end of. */
	async function findEarlier(blockId: string): Promise<JobId | undefined> {
		if (tried.has(blockId)) return (await ours()).get(blockId);
		earlier ??= ours();
		try {
			return (await earlier).get(blockId);
		} catch (error) {
			earlier = undefined;
			throw error;
		}
	}

	function forget(blockId: string): void {
		try {
			dialect.forget?.(blockId);
		} catch (error) {
			log.warn({ block: blockId, err: error }, "scheduler: what was kept for a block could not be removed");
		}
	}

	async function submitNew(spec: BlockSpec): Promise<JobId> {
		tried.add(spec.blockId);
		// Schedulers hold or fail a job whose output has no place to go to.
		await mkdir(dirname(spec.logPath), { recursive: true, mode: 0o700 });
		const answer = await dialect.submit(ask, spec, formatMark({ endpoint, blockId: spec.blockId }));
		const words = wordsOf(answer);
		// What it says counts before its exit status: programs of sites warn with the one and submit all the same.
		const id = dialect.parseSubmitted(answer.stdout);
		if (id !== undefined) return id;
		if (answer.code === 0) throw new SchedulerSilent(`${name} took the job but told no id: ${words}`);
		if (answer.code === undefined || dialect.unreachable.test(words))
			throw new SchedulerSilent(`${name} did not take the job: ${words}`);
		forget(spec.blockId);
		throw new SubmitRejected(words);
	}

	async function submit(spec: BlockSpec): Promise<JobId> {
		refuseWhatLacks(name, dialect.lacks, spec);
		if (spec.nodes > 1 && !dialect.capabilities.multiNode)
			throw new SubmitRejected(`a job of ${name} has one node: nodes_per_block must be 1, not ${spec.nodes}`);
		const { blockId } = spec;
		const already = submitted.get(blockId)?.id ?? (await findEarlier(blockId));
		if (already !== undefined) return already;
		let id: JobId | undefined;
		try {
			id = await submitNew(spec);
		} catch (error) {
			if (error instanceof SubmitRejected) throw error;
			log.warn({ block: blockId, err: error }, "scheduler: a submit without an answer; looking for its job");
			id = await ours().then(
				(jobs) => jobs.get(blockId),
				() => undefined,
			);
			if (id === undefined) {
				if (error instanceof SchedulerSilent) throw error;
				// Its files could not be written: a full disk, a directory that is not ours.
				throw new SchedulerSilent(`the job could not be prepared: ${(error as Error).message}`, { cause: error });
			}
		}
		submitted.set(blockId, { id, atMs: nowMs() });
		return id;
	}

	async function poll(ids: readonly JobId[]): Promise<Map<JobId, JobStatus>> {
		const asked = [...new Set(ids)].filter((id) => dialect.idForm.test(id));
		const told: Told = asked.length === 0 ? { jobs: new Map(), gone: new Set() } : await dialect.jobs(ask, asked);
		const statuses = new Map(ids.map((id): [JobId, JobStatus] => [id, statusOf(id, told)]));
		for (const { mark, status } of told.jobs.values())
			if (status.state === "ended" && mark?.endpoint === endpoint) forget(mark.blockId);
		for (const [blockId, { id }] of submitted)
			if (statuses.get(id)?.state === "ended") {
				submitted.delete(blockId);
				forget(blockId);
			}
		return statuses;
	}

	function statusOf(id: JobId, { jobs, gone }: Told): JobStatus {
		const [blockId, own] = [...submitted].find(([, job]) => job.id === id) ?? [];
		const record = jobs.get(id);
		if (record !== undefined) {
			const { mark, status } = record;
			if (mark === undefined || (mark.endpoint === endpoint && (own === undefined || mark.blockId === blockId)))
				return status;
			return vanished(`${name} has given the id ${id} to another job`);
		}
		if (dialect.idForm.test(id)) {
			if (own !== undefined && nowMs() - own.atMs < visibleAfterMs)
				return { state: "unknown", reason: `${name} does not show the job yet` };
			if (!gone.has(id)) return { state: "unknown", reason: `${name} said nothing of the job` };
		}
		return vanished(`${name} does not know the job`);
	}

	async function cancel(ids: readonly JobId[], graceMs: number): Promise<void> {
		const startedMs = nowMs();
		const asked = new Set<JobId>();
		let killed = false;
		let left: readonly JobId[] = ids;
		for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 2, lastLookMs)) {
			const statuses = await poll(left);
			const stateOf = (id: JobId): JobState | undefined => statuses.get(id)?.state;
			left = left.filter((id) => stateOf(id) !== "ended");
			if (left.length === 0) return;
			const tookMs = nowMs() - startedMs;
			if (tookMs > graceMs + endLimitMs)
				throw new SchedulerSilent(
					`${name} was asked to end ${left.join(", ")} ${Math.round(tookMs)} ms ago; they have not ended`,
				);
			// One that it does not show yet may not have heard of it.
			const unasked = left.filter((id) => !asked.has(id) || stateOf(id) === "unknown");
			for (const id of unasked) asked.add(id);
			const [waits, runs] = [true, false].map((is) =>
				unasked.filter((id) => waiting.has(stateOf(id) ?? "unknown") === is),
			) as [JobId[], JobId[]];
			if (waits.length > 0) await ask((dialect.drop ?? dialect.end)(waits));
			if (runs.length > 0) await ask(dialect.end(runs));
			if (!killed && nowMs() - startedMs >= graceMs) {
				killed = true;
				await ask(dialect.kill(left));
				waitMs = firstLookMs;
			}
			const untilKillMs = killed ? waitMs : Math.max(1, graceMs - (nowMs() - startedMs));
			await after(Math.min(waitMs, untilKillMs), undefined, { signal: closing.signal });
		}
	}

	return {
		name,
		capabilities: dialect.capabilities,
		script: (spec) => dialect.script(spec, formatMark({ endpoint, blockId: spec.blockId })),
		submit,
		poll,
		cancel,
		listOurs: ours,
		onEnded: () => undefined, // it is the poll that tells
		close: () => closing.abort(),
	};
}

export const vanished = (reason: string): JobStatus => ({ state: "ended", reason, end: "vanished" });
