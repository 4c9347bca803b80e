/**
 * Grid Engine by its programs. One `qstat` tells of all jobs that have not ended; how a job ended is in the accounting
 * file, some seconds later. There is no asking a job to end: `qdel` kills it, so managers are drained over their link
 * before.
 */
import { rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import {
	type Ask,
	type Dialect,
	type JobRecord,
	openCommandLineScheduler,
	vanished,
} from "../command-line-scheduler.ts";
import { endpointMark, parseMark } from "../job-mark.ts";
import { type JobId, type JobStatus, type Scheduler, type SchedulerOptions, SchedulerSilent } from "../scheduler.ts";
import { wordsOf } from "../scheduler-command.ts";
import { type AccountingRecord, parseAccounting } from "./accounting.ts";
import { type ListedJob, parseJobList, parseReasons, statusOfLetters } from "./job-list.ts";
import { environmentText, jobScript } from "./job-script.ts";

/** Sites write accounting every 15 seconds by default, and its file system may show it later. */
const accountingWaitMs = 30_000;
/** Why a job waits is asked again after this, and when its state changes. */
const reasonsAgeMs = 300_000;

/** Nobody decided: the qmaster was not there. */
const unreachable =
	/commlib error|unable to (contact|send message to) qmaster|can't (connect|resolve)|got (send|read) error/i;

export interface GridEngineOptions extends SchedulerOptions {
	/** Whose jobs are listed; this process's user. */
	readonly user?: string;
}

export function openGridEngineScheduler(options: GridEngineOptions): Scheduler {
	return openCommandLineScheduler(gridEngine(options), options);
}

interface Seen {
	/** Undefined: it was cancelled before it was listed. */
	readonly name: string | undefined;
	readonly cancelled: boolean;
	/** When it was first not listed any more; `performance.now()`. */
	readonly goneAtMs?: number;
}

function gridEngine({ directory, user = userInfo().username }: GridEngineOptions): Dialect {
	const endpoint = endpointMark(directory);
	/** Jobs that were listed or cancelled, until their end is known. */
	const seen = new Map<JobId, Seen>();
	const reasons = new Map<JobId, { readonly letters: string; readonly atMs: number; readonly says: string }>();
	const environmentPath = (blockId: string): string => join(directory, "blocks", `${blockId}.environment`);

	async function list(ask: Ask): Promise<ListedJob[]> {
		const answer = await ask(["qstat", "-xml", "-s", "prz", "-u", user]);
		if (answer.code !== 0) throw new SchedulerSilent(`qstat: ${wordsOf(answer)}`);
		return parseJobList(answer.stdout).filter(({ name }) => parseMark(name)?.endpoint === endpoint);
	}

	async function accounted(ask: Ask, id: JobId, name: string | undefined): Promise<AccountingRecord | undefined> {
		const { stdout } = await ask(["qacct", "-j", id]);
		return parseAccounting(stdout).findLast((record) =>
			name === undefined ? parseMark(record.name)?.endpoint === endpoint : record.name === name,
		);
	}

	/** Of a job that is not listed. Undefined: it never was, and accounting does not know it. */
	async function recordOfGone(ask: Ask, id: JobId): Promise<JobRecord | undefined> {
		const own = seen.get(id);
		const ended = await accounted(ask, id, own?.name);
		const name = ended?.name ?? own?.name ?? "";
		if (ended !== undefined)
			return recordOf(id, name, own?.cancelled ? { ...ended.status, end: "cancelled" } : ended.status);
		if (own === undefined) return undefined;
		if (own.cancelled) return recordOf(id, name, { state: "ended", end: "cancelled", reason: "cancelled" });
		const goneAtMs = own.goneAtMs ?? performance.now();
		seen.set(id, { ...own, goneAtMs });
		if (performance.now() - goneAtMs < accountingWaitMs)
			return recordOf(id, name, { state: "ending", reason: "it has left the list of jobs; its accounting is awaited" });
		return recordOf(id, name, vanished("it has left the list of jobs, and accounting does not know it"));
	}

	async function withReasons(ask: Ask, jobs: readonly ListedJob[]): Promise<Map<JobId, JobStatus>> {
		const statuses = new Map(jobs.map(({ id, letters }) => [id, statusOfLetters(letters)]));
		const waiting = jobs.filter(({ id }) => ["pending", "held"].includes(statuses.get(id)?.state ?? ""));
		const nowMs = performance.now();
		const stale = waiting.filter(({ id, letters }) => {
			const known = reasons.get(id);
			return known?.letters !== letters || nowMs - known.atMs > reasonsAgeMs;
		});
		if (stale.length > 0) {
			const { stdout } = await ask(["qstat", "-j", stale.map(({ id }) => id).join(",")]);
			const said = parseReasons(stdout);
			// A job that was submitted just now has not been considered yet; it is asked for again.
			for (const { id, letters } of stale) {
				const says = said.get(id);
				if (says !== undefined) reasons.set(id, { letters, atMs: nowMs, says });
			}
		}
		for (const { id, letters } of waiting) {
			const known = reasons.get(id);
			const status = statuses.get(id);
			if (status && known?.letters === letters) statuses.set(id, { ...status, reason: known.says });
		}
		return statuses;
	}

	return {
		name: "gridengine",
		capabilities: { multiNode: true, forgetsEnded: false, expectsStarts: false, dependencies: true },
		idForm: /^\d+$/,
		lacks: {
			qos: "ask for a queue, or for a resource in constraint",
			selectOptions: "write resource requests into constraint",
		},
		script: (spec, mark) => jobScript(spec, mark, environmentPath(spec.blockId)),
		async submit(ask, spec, mark) {
			const path = environmentPath(spec.blockId);
			const script = jobScript(spec, mark, path);
			for (const folder of [dirname(path), dirname(spec.logPath)])
				await mkdir(folder, { recursive: true, mode: 0o700 });
			await writeFile(path, environmentText(spec), { mode: 0o600 });
			return ask(["qsub", "-terse"], script);
		},
		parseSubmitted: (stdout) => stdout.match(/^\d+(?=(\.\d+-\d+:\d+)?$)/gm)?.at(-1),
		unreachable,
		async jobs(ask, ids) {
			const listed = (await list(ask)).filter(({ id }) => ids.includes(id));
			for (const { id, name } of listed) seen.set(id, { name, cancelled: seen.get(id)?.cancelled ?? false });
			const lives = listed.filter(({ letters }) => statusOfLetters(letters).state !== "ended");
			const statuses = await withReasons(ask, lives);
			const jobs = new Map<JobId, JobRecord>();
			const gone = new Set<JobId>();
			for (const { id, name } of lives) jobs.set(id, recordOf(id, name, statuses.get(id) as JobStatus));
			for (const id of ids) {
				const record = jobs.get(id) ?? (await recordOfGone(ask, id));
				if (record === undefined) gone.add(id);
				else jobs.set(id, record);
				if (record?.status.state !== "ended") continue;
				seen.delete(id);
				reasons.delete(id);
			}
			return { jobs, gone };
		},
		async ours(ask) {
			const jobs = await list(ask);
			return jobs.map(({ id, name, letters }) => recordOf(id, name, statusOfLetters(letters)));
		},
		end(ids) {
			for (const id of ids) seen.set(id, { name: seen.get(id)?.name, cancelled: true });
			return ["qdel", ids.join(",")];
		},
		kill: (ids) => ["qdel", ids.join(",")],
		forget: (blockId) => rmSync(environmentPath(blockId), { force: true }),
	};
}

const recordOf = (id: JobId, name: string, status: JobStatus): JobRecord => ({ id, status, mark: parseMark(name) });
