/**
 * Blocks as processes of this machine. The manager gets a session of its own, so it outlives the daemon; a new daemon
 * finds it by the marks in its environment.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, open, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isAlive, processStart } from "../../service/process-identity.ts";
import {
	type BlockSpec,
	type JobId,
	type JobStatus,
	type Scheduler,
	type SchedulerOptions,
	SubmitRejected,
} from "../scheduler.ts";
import { findMarked } from "./marked-processes.ts";

/** Marks every process of a block, and which endpoint's it is. */
const blockMark = "ERRAND_BLOCK_ID";
const endpointMark = "ERRAND_ENDPOINT_DIRECTORY";

/** How often a process that was asked to end is looked at. */
const endLookMs = 20;

const jobId = (pid: number, start: string): JobId => `${pid}:${start}`;

function parseJobId(id: JobId): { pid: number; start: string } {
	const [pid = "", start = ""] = id.split(":");
	return { pid: Number(pid), start };
}

/** Its words are given to it: no shell reads them. */
const script = (spec: BlockSpec): string => `${spec.workerInit}\nexec "$@"\n`;

/** The endpoint's directory marks the processes; its `blocks` folder holds the start scripts. */
export function openLocalScheduler({ directory, log }: Pick<SchedulerOptions, "directory" | "log">): Scheduler {
	const listeners = new Set<(id: JobId, reason: string) => void>();
	const scripts = join(directory, "blocks");

	async function ours(): Promise<Map<string, JobId>> {
		const jobs = new Map<string, JobId>();
		for (const { pid, start, values } of await findMarked([blockMark, endpointMark])) {
			const [block, owner] = values as [string, string];
			if (owner !== directory || !(await leadsSession(pid))) continue;
			jobs.set(block, jobId(pid, start));
		}
		return jobs;
	}

	async function start(spec: BlockSpec): Promise<ChildProcess> {
		await mkdir(scripts, { recursive: true, mode: 0o700 });
		await mkdir(dirname(spec.logPath), { recursive: true, mode: 0o700 });
		const path = join(scripts, `${spec.blockId}.sh`);
		await writeFile(path, script(spec), { mode: 0o700 });
		const output = await open(spec.logPath, "a", 0o600);
		try {
			const child = spawn("/bin/bash", [path, ...spec.command], {
				cwd: directory,
				env: { ...process.env, ...spec.environment, [blockMark]: spec.blockId, [endpointMark]: directory },
				stdio: ["ignore", output.fd, output.fd],
				detached: true,
			});
			await new Promise<void>((resolve, reject) => {
				child.once("spawn", resolve);
				child.once("error", (cause) =>
					reject(new SubmitRejected(`the manager was not started: ${cause.message}`, { cause })),
				);
			});
			return child;
		} finally {
			await output.close();
		}
	}

	return {
		name: "local",
		capabilities: { multiNode: false, forgetsEnded: true, expectsStarts: false, dependencies: false },

		script,

		async submit(spec) {
			const already = (await ours()).get(spec.blockId);
			if (already !== undefined) return already;
			const child = await start(spec);
			child.unref();
			const pid = child.pid as number;
			const id = jobId(pid, processStart(pid) ?? "ended");
			const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
				const reason = signal ? `ended by ${signal}` : `ended with status ${code}`;
				log.info({ block: spec.blockId, pid, reason }, "scheduler: a local block ended");
				unlink(join(scripts, `${spec.blockId}.sh`)).catch(() => undefined);
				for (const listener of listeners) listener(id, reason);
			};
			if (child.exitCode !== null || child.signalCode !== null)
				queueMicrotask(() => ended(child.exitCode, child.signalCode));
			else child.once("exit", ended);
			return id;
		},

		async poll(ids) {
			return new Map(
				ids.map((id): [JobId, JobStatus] => {
					const { pid, start } = parseJobId(id);
					return [
						id,
						isAlive(pid, start)
							? { state: "running", reason: "" }
							: { state: "ended", reason: "its process is gone", end: "vanished" },
					];
				}),
			);
		},

		async cancel(ids, graceMs) {
			await Promise.all(ids.map((id) => endJob(parseJobId(id), graceMs)));
		},

		listOurs: ours,
		onEnded: (listener) => listeners.add(listener),
		close: () => listeners.clear(),
	};
}

/** The first process of a block leads its session; those it started do not. */
async function leadsSession(pid: number): Promise<boolean> {
	const file = await open(`/proc/${pid}/stat`, "r").catch(() => undefined);
	if (!file) return false;
	try {
		const stat = await file.readFile("utf8");
		const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		// Workers may lead sessions of their own; then their parent is a process of the same block.
		return fields[3] === String(pid) && !(await isChildOfBlock(Number(fields[1]), pid));
	} finally {
		await file.close();
	}
}

async function isChildOfBlock(parent: number, pid: number): Promise<boolean> {
	const block = (await findMarkOf(pid)) ?? "";
	return block !== "" && (await findMarkOf(parent)) === block;
}

async function findMarkOf(pid: number): Promise<string | undefined> {
	const file = await open(`/proc/${pid}/environ`, "r").catch(() => undefined);
	if (!file) return undefined;
	try {
		const pair = (await file.readFile("latin1")).split("\0").find((variable) => variable.startsWith(`${blockMark}=`));
		return pair?.slice(blockMark.length + 1);
	} catch {
		return undefined;
	} finally {
		await file.close();
	}
}

/** SIGTERM lets the manager end its workers; what is left after the grace is found by its mark and killed. */
async function endJob({ pid, start }: { pid: number; start: string }, graceMs: number): Promise<void> {
	const block = await findMarkOf(pid);
	if (isAlive(pid, start)) {
		signal(pid, "SIGTERM");
		const until = performance.now() + graceMs;
		while (isAlive(pid, start) && performance.now() < until)
			await new Promise((resolve) => setTimeout(resolve, endLookMs));
		if (isAlive(pid, start)) signal(-pid, "SIGKILL");
	}
	if (block === undefined) return;
	for (const stray of await findMarked([blockMark])) {
		if (stray.values[0] === block && isAlive(stray.pid, stray.start)) signal(stray.pid, "SIGKILL");
	}
	while (isAlive(pid, start)) await new Promise((resolve) => setTimeout(resolve, endLookMs));
}

function signal(pid: number, name: NodeJS.Signals): void {
	try {
		process.kill(pid, name);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}
