/** Blocks as batch jobs of Slurm, through its programs. What they print is read before how they ended is judged. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { endpointMark, parseMark } from "../job-mark.ts";
import {
	type JobId,
	type JobStatus,
	type Scheduler,
	type SchedulerOptions,
	SchedulerSilent,
	SubmitRejected,
} from "../scheduler.ts";
import { type Answer, SchedulerCommand, wordsOf } from "../scheduler-command.ts";
import { isJob, jobIdOf, parseJobId, slurmScript } from "./script.ts";
import { accountingQuestion, parseAccounting, parseQueue, type QueuedJob, queueQuestion, statusOf } from "./states.ts";

/** A job that the controller does not show so soon after it was submitted may yet appear: after a restart of the controller, behind a cache. */
const maybeYetMs = 60_000;
/** Ended jobs wait for Slurm's KillWait (30 s mostly) and for epilogs; nodes that take longer are broken. */
const cancelLimitMs = 120_000;
const firstLookMs = 250;
const longestLookMs = 5_000;

/** With these words Slurm has not judged: it was not there. Whether it has the job is open. */
const silentWords =
	/unable to contact slurm|socket timed out|connection (refused|timed out|failure|reset)|zero bytes were transmitted|transport endpoint|broken pipe|no route to host|network is unreachable|host is down|shutdown|backup controller|standby mode|temporarily unable|communication (connection|shutdown) failure|resource temporarily unavailable|munge|authentication (error|plugin)|problem talking to database|configuration source|failed to fetch config|protocol authentication|incompatible|slurm_load_\w+ error: (?!invalid job id)/i;

export interface SlurmOptions extends SchedulerOptions {
	/** Variables for Slurm's programs, and for the jobs. */
	readonly environment?: Readonly<Record<string, string>>;
	readonly nowMs?: () => number;
}

export function openSlurmScheduler({
	directory,
	commandTimeoutMs,
	log,
	environment,
	nowMs = () => performance.now(),
}: SlurmOptions): Scheduler {
	const command = new SchedulerCommand({ timeoutMs: commandTimeoutMs, log, ...(environment && { environment }) });
	const endpoint = endpointMark(directory);
	/** Jobs of blocks, whoever submitted them. */
	const jobs = new Map<string, { readonly id: JobId; readonly sinceMs: number }>();
	/** Before the first answer there may be jobs of ours that we do not know. */
	let hasLooked = false;
	/** Blocks whose submit had no answer: there may be a job, or there may yet be one. */
	const unheard = new Set<string>();
	let hasAccounting = true;

	/** One question, all jobs of this user. From its answer on we know of every job of ours. */
	async function queue(): Promise<QueuedJob[]> {
		const answer = await command.ask(queueQuestion);
		if (answer.code !== 0) throw new SchedulerSilent(`squeue: ${wordsOf(answer)}`);
		const rows = parseQueue(answer.stdout);
		// Of two with one block the first.
		for (const { blockId, id } of ours(rows)) if (!jobs.has(blockId)) jobs.set(blockId, { id, sinceMs: nowMs() });
		hasLooked = true;
		return rows;
	}

	function ours(
		rows: readonly QueuedJob[],
	): { readonly job: QueuedJob; readonly blockId: string; readonly id: JobId }[] {
		const marked = rows.flatMap((job) => {
			const mark = parseMark(job.comment);
			return mark?.endpoint === endpoint ? [{ job, blockId: mark.blockId, id: jobIdOf(job.id, mark.blockId) }] : [];
		});
		return marked.sort((a, b) => Number(a.job.id) - Number(b.job.id));
	}

	async function known(blockId: string): Promise<JobId | undefined> {
		if (!jobs.has(blockId) && (!hasLooked || unheard.has(blockId))) await queue();
		return jobs.get(blockId)?.id;
	}

	/** Throws unless a controller says that it is there: only then is an absent job a forgotten one. */
	async function assertAnswers(): Promise<void> {
		const answer = await command.ask(["scontrol", "ping"]);
		if (!/\bis UP\b/.test(answer.stdout)) throw new SchedulerSilent(`scontrol ping: ${wordsOf(answer)}`);
	}

	/** How jobs ended that the controller does not know any more, as far as the site keeps records. */
	async function records(ids: readonly JobId[]): Promise<Map<JobId, JobStatus>> {
		const found = new Map<JobId, JobStatus>();
		if (!hasAccounting) return found;
		const answer = await command.run(accountingQuestion(ids.map((id) => parseJobId(id).number)));
		if (/accounting storage is disabled/i.test(answer.stderr)) hasAccounting = false;
		else if (answer.code !== 0) log.warn({ said: wordsOf(answer) }, "scheduler: no records of jobs that have ended");
		const ended = parseAccounting(answer.stdout);
		for (const id of ids) {
			const record = ended.get(parseJobId(id).number);
			if (record && isJob({ name: record.name, comment: "" }, id)) found.set(id, record.status);
		}
		return found;
	}

	function absentStatus(id: JobId, isTaken: boolean): JobStatus {
		const submitted = [...jobs.values()].find((job) => job.id === id);
		if (isTaken)
			return {
				state: "ended",
				reason: "Slurm has forgotten it and given its number to another job",
				end: "vanished",
			};
		return submitted && nowMs() - submitted.sinceMs < maybeYetMs
			? { state: "unknown", reason: "Slurm does not show it yet" }
			: { state: "ended", reason: "Slurm does not know it any more", end: "vanished" };
	}

	/** The jobs of `ids` that have not ended. Costs one question. */
	async function living(ids: readonly JobId[]): Promise<QueuedJob[]> {
		const rows = new Map((await queue()).map((job) => [job.id, job]));
		return ids.flatMap((id) => {
			const job = rows.get(parseJobId(id).number);
			return job && isJob(job, id) && statusOf(job).state !== "ended" ? [job] : [];
		});
	}

	/** Those that are left when all have ended or the time is over. */
	async function untilGone(ids: readonly JobId[], limitMs: number): Promise<QueuedJob[]> {
		const untilMs = performance.now() + limitMs;
		for (let waitMs = firstLookMs; ; waitMs = Math.min(2 * waitMs, longestLookMs)) {
			await delay(Math.max(0, Math.min(waitMs, untilMs - performance.now())));
			const left = await living(ids);
			if (left.length === 0 || performance.now() >= untilMs) return left;
		}
	}

	async function scancel(options: readonly string[], some: readonly QueuedJob[]): Promise<void> {
		if (some.length === 0) return;
		const answer = await command.ask(["scancel", ...options, ...some.map((job) => job.id)]);
		if (answer.code !== 0 && silentWords.test(answer.stderr)) throw new SchedulerSilent(`scancel: ${wordsOf(answer)}`);
	}

	/** The batch script hands a TERM on to its managers. Sent to all of the job, it would reach `srun`, which then kills them. */
	async function terminate(some: readonly QueuedJob[]): Promise<void> {
		const isStarted = (job: QueuedJob) => ["running", "suspended"].includes(statusOf(job).state);
		await scancel(["--signal=TERM", "--batch"], some.filter(isStarted));
		await scancel(
			[],
			some.filter((job) => !isStarted(job)),
		);
	}

	function failureOf(answer: Answer): SubmitRejected | SchedulerSilent {
		const words = wordsOf(answer).replaceAll(/\bsbatch: (error: |fatal: )?/g, "");
		return answer.code === undefined || answer.code === 0 || silentWords.test(answer.stderr)
			? new SchedulerSilent(`sbatch gave no job: ${words}`)
			: new SubmitRejected(words);
	}

	return {
		name: "slurm",
		capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: true, dependencies: true },

		script: (spec) => slurmScript(spec, directory),

		async submit(spec) {
			const text = slurmScript(spec, directory);
			const earlier = await known(spec.blockId);
			if (earlier !== undefined) return earlier;
			await mkdir(dirname(spec.logPath), { recursive: true, mode: 0o700 }).catch((cause: Error) => {
				throw new SubmitRejected(`there is no place for the block's log: ${cause.message}`, { cause });
			});
			unheard.add(spec.blockId);
			const answer = await command.run(["sbatch", "--parsable"], text, "the job's");
			// Sites print greetings before it.
			const number = /^(\d+)(?:;\S*)?$/m.exec(answer.stdout)?.[1];
			if (number !== undefined) {
				const id = jobIdOf(number, spec.blockId);
				jobs.set(spec.blockId, { id, sinceMs: nowMs() });
				unheard.delete(spec.blockId);
				return id;
			}
			const failure = failureOf(answer);
			if (failure instanceof SubmitRejected) {
				unheard.delete(spec.blockId);
				throw failure;
			}
			log.warn(
				{ block: spec.blockId, said: wordsOf(answer) },
				"scheduler: a submit without an answer; is there a job?",
			);
			const found = await known(spec.blockId);
			if (found !== undefined) return found;
			throw failure;
		},

		async poll(ids) {
			const rows = new Map((await queue()).map((job) => [job.id, job]));
			const states = new Map<JobId, JobStatus>();
			const absent: JobId[] = [];
			for (const id of ids) {
				const job = rows.get(parseJobId(id).number);
				if (job && isJob(job, id)) states.set(id, statusOf(job));
				else absent.push(id);
			}
			if (absent.length === 0) return states;
			await assertAnswers();
			const ended = await records(absent);
			for (const id of absent) states.set(id, ended.get(id) ?? absentStatus(id, rows.has(parseJobId(id).number)));
			return states;
		},

		async cancel(ids, graceMs) {
			if (ids.length === 0) return;
			let left = await living(ids);
			if (left.length > 0 && graceMs > 0) {
				await terminate(left);
				left = await untilGone(ids, graceMs);
			}
			if (left.length === 0) return;
			await scancel([], left);
			left = await untilGone(ids, cancelLimitMs);
			const stuck = left.filter((job) => statusOf(job).state !== "ending");
			if (stuck.length > 0)
				throw new SchedulerSilent(`Slurm does not end ${stuck.map(({ id, state }) => `${id} (${state})`).join(", ")}`);
			if (left.length > 0)
				log.warn({ jobs: left.map((job) => job.id) }, "scheduler: cancelled jobs are slow to leave their nodes");
		},

		async listOurs() {
			const alive = ours(await queue()).filter(({ job }) => statusOf(job).state !== "ended");
			return new Map(alive.reverse().map(({ blockId, id }) => [blockId, id]));
		},

		onEnded: () => undefined,
		close: () => undefined,
	};
}
