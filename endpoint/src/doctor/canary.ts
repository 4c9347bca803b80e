/**
 * One small block through the real scheduler: submitted as the daemon would, with a real manager that has to find its
 * way back and run two tasks. The job is cancelled in any case.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type FunctionId, idFromBytes, idToBytes, newId, type TaskId } from "@errand/proto";
import { joinBuffer, pack, runtimeOf, serializations } from "@errand/proto/payload";
import {
	create,
	type Function as FunctionMessage,
	FunctionSchema,
	type Hello,
	ResourcesSchema,
	type Result,
	type Task,
	TaskSchema,
} from "@errand/proto/wire";
import type { EndpointConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import { BlobCache, type BlobRemote } from "../link/blob-cache.ts";
import { loadBlockTokens } from "../link/block-token.ts";
import { loadLinkIdentity } from "../link/certificate.ts";
import { type Link, linkDefaults, openLink } from "../link/link.ts";
import { type JobId, type JobStatus, type Scheduler, SchedulerSilent, SubmitRejected } from "../scheduler/scheduler.ts";
import type { Logger } from "../service/logger.ts";
import { managerSpec } from "../service/manager-command.ts";
import { fault, ok, type Verdict, warning } from "./check.ts";

/** Enough for a manager to start and to say so; schedulers like short jobs. */
const walltimeMs = 300_000;
/** Between two questions about the job: it is one, and a person waits. */
const firstPollMs = 1_000;
const longestPollMs = 10_000;
/** From the manager's first word to both results. */
const tasksLimitMs = 60_000;
const cancelGraceMs = 2_000;
const logTailBytes = 2_000;

export interface CanaryOptions {
	/** The endpoint's. */
	readonly directory: string;
	readonly config: EndpointConfig;
	readonly queue: QueueConfig;
	readonly managerProgram: string;
	/** Opened for a directory of the canary's own: its job is not one of the endpoint's. */
	readonly openScheduler: (directory: string) => Scheduler;
	/** So long the job may wait for its turn. */
	readonly waitMs: number;
	readonly signal: AbortSignal;
	/** What happens, for the person who waits. */
	readonly tell: (sentence: string) => void;
	readonly log: Logger;
}

const nothingRemote: BlobRemote = {
	download: () => Promise.reject(new Error("a canary has no large values")),
	upload: async () => undefined,
};

const define = (name: string, buffer: string): FunctionMessage => {
	const code = pack([buffer]);
	return create(FunctionSchema, {
		id: idToBytes(newId<FunctionId>()),
		runtime: runtimeOf(code) as NonNullable<ReturnType<typeof runtimeOf>>,
		code: Buffer.from(code),
		name,
	});
};
const functions: readonly FunctionMessage[] = [
	define("a command", joinBuffer(serializations.command, JSON.stringify({ command: "hostname" }))),
	define(
		"Python",
		joinBuffer(
			serializations.pythonSource,
			"version:def version():\n    import sys\n    return sys.version.split()[0]\n",
		),
	),
];

/** Resolves with what became of it; throws only what is a fault of ours. */
export async function flyCanary(options: CanaryOptions): Promise<Verdict> {
	const { config, queue, signal, tell, log } = options;
	const directory = join(options.directory, "canary");
	await rm(directory, { recursive: true, force: true });
	await mkdir(directory, { recursive: true, mode: 0o700 });
	const scheduler = options.openScheduler(directory);
	const manager = Promise.withResolvers<Hello>();
	const results = new Map<TaskId, Result>();
	const allResults = Promise.withResolvers<undefined>();
	const tasks = functions.map((called) => ({ called, task: taskOf(called) }));
	let link: Link | undefined;
	let job: JobId | undefined;
	const over = new AbortController();
	try {
		const tokens = await loadBlockTokens(directory);
		const identity = await loadLinkIdentity(directory);
		const opened = await openLink({
			host: config.linkHost,
			port: 0,
			identity,
			tokens,
			blobs: await BlobCache.open(join(directory, "blobs"), nothingRemote, log),
			limits: linkDefaults,
			nowMs: Date.now,
			log,
			functionOf: (id) => functions.find((known) => idFromBytes<FunctionId>(known.id) === id),
			events: {
				attached(hello) {
					manager.resolve(hello);
					return [];
				},
				welcomed: (managerId) =>
					opened.dispatch(
						managerId,
						tasks.map(({ called, task }) => ({ task, functionId: idFromBytes<FunctionId>(called.id) })),
					),
				detached: () => undefined,
				results(managerId, some) {
					for (const result of some) results.set(idFromBytes<TaskId>(result.taskId), result);
					opened.acknowledge(
						managerId,
						some.map((result) => idFromBytes<TaskId>(result.taskId)),
					);
					if (results.size === tasks.length) allResults.resolve(undefined);
				},
				reports: () => undefined,
			},
		});
		link = opened;
		const blockId = newId();
		const small: QueueConfig = {
			...queue,
			nodesPerBlock: 1,
			...(queue.walltimeMs !== undefined && { walltimeMs: Math.min(queue.walltimeMs, walltimeMs) }),
		};
		const place = {
			directory,
			config,
			tokens,
			certificate: identity.certificate,
			linkPort: opened.port,
			program: options.managerProgram,
		};
		const spec = managerSpec(place, blockId, small);
		job = await scheduler.submit(spec);
		tell(`submitted as ${job}; waiting for its manager`);
		const came = await Promise.race([
			manager.promise,
			whyNot(scheduler, job, { ...options, signal: AbortSignal.any([signal, over.signal]) }),
		]);
		if ("verdict" in came) return withLog(came.verdict, await tailOf(spec.logPath));
		over.abort();
		tell(`its manager has attached from ${came.host}; running two tasks there`);
		const limit = AbortSignal.any([signal, AbortSignal.timeout(tasksLimitMs)]);
		await Promise.race([allResults.promise, aborted(limit)]);
		return judge(
			came,
			tasks.map(({ called, task }) => [called.name, results.get(idFromBytes<TaskId>(task.id))]),
		);
	} catch (error) {
		if (error instanceof SubmitRejected)
			return fault(
				`${scheduler.name} refused the job: ${error.message}`,
				"account, queue, walltime or scheduler_options in config.yaml is not what this site takes",
			);
		if (error instanceof SchedulerSilent)
			return fault(`${scheduler.name} does not answer: ${error.message}`, "wait until it does, or ask the site");
		throw error;
	} finally {
		over.abort();
		// A submit that was given up may have succeeded: whatever carries the canary's mark is ended.
		const left = new Set(
			await scheduler.listOurs().then(
				(jobs) => [...jobs.values()],
				() => [],
			),
		);
		if (job !== undefined) left.add(job);
		await scheduler
			.cancel([...left], cancelGraceMs)
			.catch((error: unknown) => tell(`the job could not be cancelled: ${(error as Error).message}`));
		scheduler.close();
		await link?.close();
		await rm(directory, { recursive: true, force: true });
	}
}

function taskOf(called: FunctionMessage): Task {
	return create(TaskSchema, {
		id: idToBytes(newId<TaskId>()),
		functionId: called.id,
		groupId: idToBytes(newId()),
		payload: Buffer.from(pack([joinBuffer(serializations.json, "[]"), joinBuffer(serializations.json, "{}")])),
		resources: create(ResourcesSchema, { cores: 1 }),
		resultSerializers: ["globus_compute_sdk.serialize.JSONData"],
	});
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
	new Promise((resolve) => {
		if (signal.aborted) resolve(undefined);
		signal.addEventListener("abort", () => resolve(undefined), { once: true });
	});

/** Resolves when the manager will not come: the job has ended, or it is not its turn for long. */
async function whyNot(scheduler: Scheduler, job: JobId, options: CanaryOptions): Promise<{ verdict: Verdict }> {
	const { signal, waitMs, tell } = options;
	const startedMs = performance.now();
	let pollMs = firstPollMs;
	let told = "";
	let status: JobStatus = { state: "unknown", reason: "" };
	for (;;) {
		await Promise.race([new Promise((resolve) => setTimeout(resolve, pollMs)), aborted(signal)]);
		if (signal.aborted) return { verdict: warning("was stopped, and its job cancelled") };
		status = (await scheduler.poll([job]).catch((): undefined => undefined))?.get(job) ?? status;
		const words = `${status.state}${status.reason === "" ? "" : ` (${status.reason})`}`;
		if (words !== told) tell(`job ${job} is ${words}`);
		told = words;
		if (status.state === "ended")
			return {
				verdict: fault(
					`job ${job} ended (${[status.end, status.reason].filter(Boolean).join(": ")}) before its manager had come back`,
					"see what it wrote; worker_init, launcher and the addresses that nodes reach this machine by (link_addresses) are in config.yaml",
				),
			};
		if (performance.now() - startedMs > waitMs) return { verdict: notInTime(job, status, waitMs) };
		pollMs = Math.min(pollMs * 1.5, longestPollMs);
	}
}

function notInTime(job: JobId, status: JobStatus, waitMs: number): Verdict {
	const seconds = Math.round(waitMs / 1000);
	if (status.state === "running")
		return fault(
			`job ${job} has run, and its manager has not come back in ${seconds} s`,
			"nodes do not reach this machine: say link_addresses (an interface like ib0 or hsn0), and link_port when a firewall lets only some ports in",
		);
	const why = status.reason === "" ? "" : `: ${status.reason}`;
	if (status.state === "held")
		return fault(
			`job ${job} is held${why}; it was cancelled`,
			"no time lets it go: another queue or account in config.yaml, or ask the site",
		);
	return warning(
		`job ${job} was still ${status.state} after ${seconds} s${why}; it was cancelled`,
		"wait longer with --timeout, or take a queue for short jobs",
	);
}

function judge(hello: Hello, outcomes: readonly (readonly [name: string, result: Result | undefined])[]): Verdict {
	const where = `a manager came back from ${hello.host}`;
	const failed = outcomes.flatMap(([name, result]) => {
		if (result?.outcome.case === "value") return [];
		return [`${name}: ${result?.outcome.case === "failure" ? result.outcome.value.message : "no result"}`];
	});
	if (failed.length === 0) {
		const version = outcomes
			.map(([, result]) => result?.execution?.runtimeVersion)
			.findLast((text) => text !== undefined);
		return ok(`${where} and ran a command and a Python function${version ? ` (${version})` : ""}`);
	}
	const onlyPython = failed.length < outcomes.length;
	const says = `${where}, and could not run ${failed.join("; ")}`;
	return onlyPython
		? warning(
				says,
				"set python or worker_init in config.yaml to what nodes have; JavaScript and shell functions work without it",
			)
		: fault(says, "see the endpoint's settings for workers: working_directory, container_type");
}

/** The end of what the job wrote; empty when there is nothing. */
async function tailOf(path: string): Promise<string> {
	const text = await readFile(path, "utf8").catch(() => "");
	return text.slice(-logTailBytes).trim();
}

function withLog(verdict: Verdict, tail: string): Verdict {
	return tail === "" || verdict.state === "ok" ? verdict : { ...verdict, says: `${verdict.says}; it wrote:\n${tail}` };
}
