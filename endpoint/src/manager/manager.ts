/** Takes tasks from the daemon, has workers run them, and keeps each result until the daemon has it. */
import { rmSync } from "node:fs";
import { basename, join } from "node:path";
import type { FaultCode } from "@errand/proto/fault";
import { inlineLimitBytes } from "@errand/proto/limits";
import {
	create,
	type Function as FunctionMessage,
	type Holding,
	HoldingSchema,
	OutputChunkSchema,
	OutputStream,
	type Report,
	ReportSchema,
	type Result,
	StateChangeSchema,
	type Task,
	type TaskBatch,
	type TaskDone,
	TaskState,
	type WorkerReply,
} from "@errand/proto/wire";
import { type BlobPort, fetchBlob, sendBlob } from "./blobs.ts";
import type { CpuShares } from "./cpu-shares.ts";
import { Dispatcher } from "./dispatcher.ts";
import {
	commandRuntime,
	type HeldTask,
	holdTask,
	keyOf,
	kindOf,
	type StopReason,
	splitKind,
	type WorkerKind,
} from "./held-task.ts";
import type { Logger } from "./link.ts";
import { NodeShare } from "./node-share.ts";
import { OomKills } from "./oom-kills.ts";
import type { Outbox } from "./outbox.ts";
import { residentBytes } from "./process-memory.ts";
import { needsPreparation, prepareRun, type RunSettings, runTerms } from "./run-terms.ts";
import {
	exitFailure,
	keepsOutcome,
	outcomeOf,
	type Place,
	type Ran,
	ranResult,
	refusedResult,
	stderrTail,
	stoppedFailure,
} from "./task-result.ts";
import type { OutputFile } from "./worker-output.ts";
import { describeExit, type WorkerExit, WorkerProcess, type WorkerSettings } from "./worker-process.ts";

/** Output of a task that runs longer than this is carried while it runs: under the 200 ms that a reader may wait. */
const watchIntervalMs = 50;
/** Between SIGTERM and SIGKILL at the walltime. */
const walltimeGraceMs = 1000;
/** A command's worker ends it at the walltime itself and answers; only a stuck worker is ended from here. */
const commandWalltimeSlackMs = 3000;
const blobAttempts = 3;
/** So often in a row a kind of worker is killed before it is ready: then it is what is missing. */
const startKillLimit = 3;

export interface ManagerSettings extends RunSettings {
	place: Place;
	maxWorkers: number;
	cores: number;
	memoryBytes: number;
	gpuIds: readonly string[];
	named: Readonly<Record<string, number>>;
	/** Undefined: tasks may run on any processor. */
	cpus: CpuShares | undefined;
	spillDirectory: string;
	/** What differs by kind of worker. */
	worker: (kind: WorkerKind) => WorkerSettings;
	outbox: Outbox;
	blobs: BlobPort;
	log: Logger;
	/** Tells the process groups that exist now. */
	onGroups: (groups: number[]) => void;
}

type Phase = "open" | "draining" | "stopping";

export class Manager {
	readonly #settings: ManagerSettings;
	readonly #node: NodeShare;
	readonly #dispatcher: Dispatcher;
	readonly #oomKills = new OomKills();
	readonly #functions = new Map<string, FunctionMessage>();
	readonly #held = new Map<string, HeldTask>();
	readonly #walltimes = new Map<HeldTask, NodeJS.Timeout>();
	readonly #waitingForDaemon = new Set<() => void>();
	readonly #startKills = new Map<WorkerKind, number>();
	#phase: Phase = "open";
	#sequence = 0;
	#inlineLimitBytes = inlineLimitBytes;
	#dispatchScheduled = false;
	#watch: NodeJS.Timeout | undefined;
	#onIdle: (() => void) | undefined;

	constructor(settings: ManagerSettings) {
		this.#settings = settings;
		this.#node = new NodeShare(settings, settings.maxWorkers, settings.cpus);
		this.#dispatcher = new Dispatcher(
			{ start: (kind) => this.#start(kind), run: (worker, task) => this.#run(worker, task) },
			this.#node,
			settings.maxWorkers,
		);
		this.#dispatcher.keepSpare();
	}

	get heldTaskIds(): Uint8Array[] {
		return [...this.#held.values()].map((task) => task.message.id);
	}

	/** How it was told to run those that take more than one core: a daemon that was started anew has forgotten. */
	get holdings(): Holding[] {
		const larger = [...this.#held.values()].filter(({ plain }) => !plain);
		return larger.map(({ message: { id: taskId, resources, hosts } }) =>
			create(HoldingSchema, { taskId, hosts, ...(resources !== undefined && { resources }) }),
		);
	}

	get busyWorkers(): number {
		return [...this.#dispatcher.workers].filter((worker) => worker.inFlight.length > 0).length;
	}

	/** The daemon is there; `inlineLimitBytes` 0 keeps the usual limit. */
	attached(inlineLimit: number): void {
		if (inlineLimit > 0) this.#inlineLimitBytes = inlineLimit;
		const waiting = [...this.#waitingForDaemon];
		this.#waitingForDaemon.clear();
		for (const resume of waiting) resume();
	}

	/** Tasks that are held already, or whose result waits for its acknowledgement, are not taken twice. */
	accept(batch: TaskBatch): void {
		for (const definition of batch.functions) this.#functions.set(keyOf(definition.id), definition);
		for (const task of batch.tasks) this.#accept(task);
		this.#schedule();
	}

	/** Stops these tasks wherever they are. Unknown ones are the daemon's to remember. */
	cancel(taskIds: readonly Uint8Array[], graceMs: number): void {
		for (const id of taskIds) {
			const task = this.#held.get(keyOf(id));
			if (task === undefined) continue;
			if (this.#dispatcher.remove(task)) {
				this.#finish(task, refusedResult(id, "CANCELLED", "the task was cancelled before it ran"));
				continue;
			}
			task.stopGraceMs = graceMs;
			task.stop ??= "cancel";
			const worker = this.#workerOf(task);
			if (worker?.inFlight[0] === task) worker.end(graceMs);
		}
		this.#schedule();
	}

	/** The daemon has given these to somebody else, or nobody wants them: no result is sent. */
	abandon(taskIds: readonly Uint8Array[]): void {
		this.#settings.outbox.forget(taskIds);
		const known = taskIds.filter((id) => this.#held.has(keyOf(id)));
		this.cancel(known, 0);
		this.#settings.outbox.forget(known);
		for (const id of known) this.#held.delete(keyOf(id));
	}

	/** Takes nothing new; resolves when everything held has ended. */
	async drain(): Promise<void> {
		if (this.#phase === "open") this.#phase = "draining";
		this.#dispatcher.startNoSpares();
		if (this.#held.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
	}

	/** Gives up what waits and lets what runs finish: nobody would hear of more. */
	async finishRunning(): Promise<void> {
		for (const task of this.#dispatcher.removeAll()) this.#held.delete(keyOf(task.message.id));
		await this.drain();
	}

	/** Ends every worker. What runs gets SIGTERM and `graceMs`; it sends no result: the machine ended, not the function. */
	async stop(graceMs: number): Promise<void> {
		this.#phase = "stopping";
		this.#dispatcher.startNoSpares();
		this.#dispatcher.removeAll();
		this.#held.clear();
		clearInterval(this.#watch);
		for (const worker of this.#dispatcher.workers) worker.end(worker.inFlight.length > 0 ? graceMs : 0);
		if (this.#dispatcher.workers.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
	}

	#accept(message: Task): void {
		const { outbox } = this.#settings;
		if (this.#held.has(keyOf(message.id)) || outbox.has(message.id) || this.#phase !== "open") return;
		const definition = this.#functions.get(keyOf(message.functionId));
		if (definition === undefined || kindOf[definition.runtime] === undefined) {
			const what =
				definition === undefined
					? "its function was not sent with it"
					: `runtime ${definition.runtime} is unknown here`;
			outbox.addResult(refusedResult(message.id, "FUNCTION_NOT_LOADED", `the task cannot run: ${what}`));
			return;
		}
		const task = holdTask(message, definition, this.#sequence++, Date.now(), this.#settings.images.own);
		const refusal = this.#node.refusal(task.resources);
		if (refusal !== undefined) {
			outbox.addResult(refusedResult(message.id, "RESOURCES_UNAVAILABLE", `the task cannot run: ${refusal}`));
			return;
		}
		this.#held.set(keyOf(message.id), task);
		if (message.payloadReference === undefined && !needsPreparation(task)) this.#dispatcher.add(task);
		else void this.#prepare(task);
	}

	/** What takes time before a task may go to a worker. */
	async #prepare(task: HeldTask): Promise<void> {
		const refuse = (code: FaultCode, message: string): void =>
			this.#finish(task, refusedResult(task.message.id, code, message));
		try {
			const refusal = await prepareRun(task, this.#settings.place.host, this.#settings);
			if (refusal !== undefined) return refuse(refusal.code, refusal.message);
			await this.#fetchPayload(task);
			if (task.stop !== undefined) refuse("CANCELLED", "the task was cancelled before it ran");
			else this.#dispatcher.add(task);
		} catch (error) {
			refuse("BLOB_STORE_FAILED", `the arguments could not be fetched: ${(error as Error).message}`);
		}
		this.#schedule();
	}

	async #fetchPayload(task: HeldTask): Promise<void> {
		const { spillDirectory, blobs } = this.#settings;
		const reference = task.message.payloadReference;
		if (reference === undefined) return;
		task.payloadPath = await this.#withDaemon(() =>
			fetchBlob(blobs, reference, spillDirectory, `${task.id}.arguments`),
		);
	}

	/** Tries again with the next daemon when this one went away; rejects when a daemon that is there cannot do it. */
	async #withDaemon<T>(transfer: () => Promise<T>): Promise<T> {
		for (let attempt = 1; ; attempt++) {
			try {
				return await transfer();
			} catch (error) {
				if (attempt >= blobAttempts) throw error;
				this.#settings.log.warn({ attempt, error: (error as Error).message }, "waiting to move a value again");
				await new Promise<void>((resume) => {
					const timer = setTimeout(resume, 1000 * attempt);
					this.#waitingForDaemon.add(() => {
						clearTimeout(timer);
						resume();
					});
				});
			}
		}
	}

	#schedule(): void {
		if (this.#dispatchScheduled) return;
		this.#dispatchScheduled = true;
		queueMicrotask(() => {
			this.#dispatchScheduled = false;
			if (this.#phase !== "stopping") this.#dispatcher.dispatch(Date.now());
		});
	}

	#start(kind: WorkerKind): WorkerProcess {
		const worker = new WorkerProcess(this.#settings.worker(kind), {
			ready: () => {
				this.#startKills.delete(kind);
				this.#schedule();
			},
			replied: (worker, replies) => this.#replied(worker, replies),
			gone: (worker, exit) => this.#gone(worker, exit),
		});
		setImmediate(() => this.#tellGroups());
		return worker;
	}

	#tellGroups(): void {
		this.#settings.onGroups([...this.#dispatcher.workers].map((worker) => worker.pid).filter((pid) => pid > 0));
	}

	#run(worker: WorkerProcess, task: HeldTask): void {
		worker.send(task, runTerms(worker, task, this.#settings), this.#inlineLimitBytes, Date.now());
		const { walltimeMs } = task.resources;
		if (walltimeMs > 0) {
			const slackMs = task.definition.runtime === commandRuntime ? commandWalltimeSlackMs : 0;
			const timer = setTimeout(
				() => this.#stopRunning(worker, task, "walltime", walltimeGraceMs),
				walltimeMs + slackMs,
			);
			this.#walltimes.set(task, timer);
		}
		this.#watch ??= setInterval(() => this.#look(), watchIntervalMs);
	}

	#stopRunning(worker: WorkerProcess, task: HeldTask, reason: StopReason, graceMs: number): void {
		task.stop ??= reason;
		worker.end(graceMs);
	}

	/** What can be known of a running task without its worker's help. */
	#look(): void {
		const nowMs = Date.now();
		const busy = [...this.#dispatcher.workers].filter((worker) => worker.inFlight.length > 0);
		if (busy.length === 0) {
			clearInterval(this.#watch);
			this.#watch = undefined;
		}
		for (const worker of busy) {
			const [task] = worker.inFlight;
			if (task === undefined || nowMs - worker.headSinceMs < watchIntervalMs) continue;
			const sizes = streamsOf(worker).map(([, file]) => file.sizeBytes);
			// A task behind this one prints only after this one was answered: when replies have been read once more and
			// it is still the first, everything up to these sizes is its own.
			setImmediate(() => {
				if (worker.inFlight[0] === task && worker.life !== "gone") this.#lookAt(worker, task, sizes);
			});
		}
	}

	#lookAt(worker: WorkerProcess, task: HeldTask, sizes: readonly number[]): void {
		this.#tellRunning(worker, task);
		for (const [at, [stream, file]] of streamsOf(worker).entries()) {
			this.#carry(task, stream, file, sizes[at] ?? 0);
			if (worker.inFlight.length === 1) file.emptyWhenCut();
		}
		const { memoryBytes } = task.resources;
		if (memoryBytes > 0 && residentBytes(worker.pid) > memoryBytes) this.#stopRunning(worker, task, "memory", 0);
	}

	#tellRunning(worker: WorkerProcess, task: HeldTask): void {
		if (worker.headReported) return;
		worker.headReported = true;
		const value = create(StateChangeSchema, { state: TaskState.RUNNING, host: this.#settings.place.host });
		this.#report(task, { case: "state", value }, worker.headSinceMs * 1000);
	}

	#carry(task: HeldTask, stream: OutputStream, file: OutputFile, endBytes: number): void {
		if (!file.hasNews(endBytes)) return;
		for (const chunk of file.read(endBytes))
			this.#report(task, { case: "output", value: create(OutputChunkSchema, { stream, ...chunk }) });
	}

	#report(task: HeldTask, event: Report["event"], atUs = Date.now() * 1000): void {
		this.#settings.outbox.addReport(create(ReportSchema, { taskId: task.message.id, atUs, event }));
	}

	#replied(worker: WorkerProcess, replies: readonly WorkerReply[]): void {
		for (const { message } of replies) {
			if (message.case === "done") this.#done(worker, message.value);
			const [task] = worker.inFlight;
			if (message.case === "progress" && message.value.progress !== undefined && task !== undefined)
				this.#report(task, { case: "progress", value: message.value.progress });
		}
		this.#schedule();
	}

	#done(worker: WorkerProcess, done: TaskDone): void {
		const task = worker.shift(Date.now());
		if (task === undefined || keyOf(task.message.id) !== keyOf(done.taskId)) {
			this.#settings.log.error({ worker: worker.id }, "a worker answered what was not asked");
			worker.end(0);
			return;
		}
		this.#dispatcher.learn(task, done.finishedAtUs - done.startedAtUs);
		const ran = this.#ran(worker, task, done.startedAtUs, done.finishedAtUs, [
			done.stdoutEndBytes,
			done.stderrEndBytes,
		]);
		this.#dispatcher.release(worker, task);
		if (worker.inFlight.length === 0) for (const [, file] of streamsOf(worker)) file.emptyWhenIdle();
		const next = worker.inFlight[0];
		if (next?.stop !== undefined) worker.end(next.stopGraceMs);
		if (worker.life === "ending") worker.end(0); // its time to answer was for this task; those behind go elsewhere
		const value = done.outcome.case === "valuePath" ? this.#spilled(done.outcome.value) : undefined;
		if (value !== undefined && keepsOutcome(task)) return void this.#sendValue(task, value, ran);
		if (value !== undefined) rmSync(value, { force: true });
		this.#finish(task, ranResult(task, outcomeOf(task, done), ran, this.#settings.place));
	}

	/** What it wrote belongs to it, and is carried before its result. */
	#ran(
		worker: WorkerProcess,
		task: HeldTask,
		startedAtUs: number,
		finishedAtUs: number,
		ends: readonly [stdout: number, stderr: number],
	): Ran {
		const [stdoutBytes = 0, stderrBytes = 0] = streamsOf(worker).map(([stream, file], at) => {
			const endBytes = ends[at] ?? 0;
			this.#carry(task, stream, file, endBytes);
			return file.finish(endBytes);
		});
		return { worker, startedAtUs, finishedAtUs, stdoutBytes, stderrBytes };
	}

	/** A worker runs code of users: whatever path it names, only a file among the spilled values is meant. */
	#spilled(path: string): string {
		return join(this.#settings.spillDirectory, basename(path));
	}

	async #sendValue(task: HeldTask, path: string, ran: Ran): Promise<void> {
		const { blobs, place } = this.#settings;
		try {
			const value = await this.#withDaemon(() => sendBlob(blobs, path));
			this.#finish(task, ranResult(task, { case: "valueReference", value }, ran, place));
		} catch (error) {
			const message = `the result could not be handed to the endpoint: ${(error as Error).message}`;
			this.#finish(task, refusedResult(task.message.id, "BLOB_STORE_FAILED", message));
		}
	}

	#finish(task: HeldTask, result: Result): void {
		clearTimeout(this.#walltimes.get(task));
		this.#walltimes.delete(task);
		if (task.payloadPath !== "") rmSync(task.payloadPath, { force: true });
		if (this.#held.delete(keyOf(task.message.id))) this.#settings.outbox.addResult(result);
		this.#checkIdle();
	}

	/** Only the task that ran is blamed; those behind it go to another worker. */
	#gone(worker: WorkerProcess, exit: WorkerExit): void {
		const { log, place } = this.#settings;
		this.#dispatcher.workers.delete(worker);
		const started = worker.runtimeVersion !== "";
		const task = worker.shift(Date.now());
		if (task !== undefined && task.stop === undefined && exit.asked)
			worker.inFlight.unshift(task); // meant for the one before
		else if (task !== undefined) {
			const failure =
				task.stop === undefined
					? exitFailure(exit, stderrTail(worker), this.#oomKills.explain(Date.now()))
					: stoppedFailure(task, task.stop);
			const ends: [number, number] = [worker.stdout.sizeBytes, worker.stderr.sizeBytes];
			const ran = this.#ran(worker, task, worker.headSinceMs * 1000, Date.now() * 1000, ends);
			this.#finish(task, ranResult(task, { case: "failure", value: failure }, ran, place));
		}
		for (const behind of worker.inFlight.splice(0)) {
			if (this.#held.has(keyOf(behind.message.id))) this.#requeue(behind);
		}
		if (worker.share !== undefined) this.#node.give(worker.share);
		worker.share = undefined;
		log.debug({ worker: worker.id, kind: worker.kind, exit: describeExit(exit) }, "a worker has ended");
		if (!started && this.#phase !== "stopping" && !exit.asked && this.#isMissing(worker.kind, exit)) {
			this.#refuseKind(worker, exit);
			this.#dispatcher.startNoSpares(); // or they would die one after another
		}
		if (this.#phase === "open" && started) this.#dispatcher.keepSpare();
		this.#tellGroups();
		this.#schedule();
		this.#checkIdle();
	}

	#requeue(task: HeldTask): void {
		if (task.stop === undefined) this.#dispatcher.putBack(task);
		else this.#finish(task, refusedResult(task.message.id, "CANCELLED", "the task was cancelled before it ran"));
	}

	/** Whoever was killed while it started may come up the next time: the kernel was short of memory, or somebody was rash. */
	#isMissing(kind: WorkerKind, { signal }: WorkerExit): boolean {
		if (signal === undefined) return true;
		const kills = (this.#startKills.get(kind) ?? 0) + 1;
		this.#startKills.set(kind, kills % startKillLimit);
		return kills === startKillLimit;
	}

	/** Workers of this kind do not come up here: whoever waits for one is told what is missing. */
	#refuseKind(worker: WorkerProcess, exit: WorkerExit): void {
		const [command] = this.#settings.worker(worker.kind).command;
		const words = stderrTail(worker).trim();
		const why =
			exit.spawnError === undefined
				? `${command} ended before it was ready (${describeExit(exit)})${words === "" ? "" : `: ${words}`}`
				: `${command} could not be started (${exit.spawnError.message}); looked for on PATH ${process.env.PATH ?? ""}`;
		const what =
			splitKind(worker.kind).runtime === "python"
				? "Python 3.8 or newer; set `python` in the endpoint's configuration"
				: "Node.js";
		this.#settings.log.error({ kind: worker.kind, why }, "a worker could not be started");
		for (const task of this.#dispatcher.removeAll(worker.kind))
			this.#finish(
				task,
				refusedResult(
					task.message.id,
					"RUNTIME_MISSING",
					`on ${this.#settings.place.host}: ${why}. The task needs ${what}`,
				),
			);
	}

	#workerOf(task: HeldTask): WorkerProcess | undefined {
		for (const worker of this.#dispatcher.workers) if (worker.inFlight.includes(task)) return worker;
		return undefined;
	}

	#checkIdle(): void {
		const idle = this.#phase === "stopping" ? this.#dispatcher.workers.size === 0 : this.#held.size === 0;
		if (!idle || this.#phase === "open") return;
		this.#onIdle?.();
		this.#onIdle = undefined;
	}
}

function streamsOf(worker: WorkerProcess): [OutputStream, OutputFile][] {
	return [
		[OutputStream.STDOUT, worker.stdout],
		[OutputStream.STDERR, worker.stderr],
	];
}
