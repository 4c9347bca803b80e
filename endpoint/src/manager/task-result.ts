/** What becomes of a task, as the daemon reads it. */
import type { FaultCode } from "@errand/proto/fault";
import {
	create,
	ExecutionSchema,
	type Failure,
	FailureSchema,
	type Result,
	ResultSchema,
	type TaskDone,
} from "@errand/proto/wire";
import type { HeldTask, StopReason } from "./held-task.ts";
import { describeExit, type WorkerExit, type WorkerProcess } from "./worker-process.ts";

export interface Place {
	host: string;
	blockId: string;
	managerId: string;
}

/** Bytes of standard error that a failure carries. */
const tailBytes = 4096;

/** Times in Unix microseconds; sizes of what the task wrote. */
export interface Ran {
	worker: WorkerProcess;
	startedAtUs: number;
	finishedAtUs: number;
	stdoutBytes: number;
	stderrBytes: number;
}

export function ranResult(task: HeldTask, outcome: Result["outcome"], ran: Ran, place: Place): Result {
	return create(ResultSchema, {
		taskId: task.message.id,
		outcome,
		cancelled: outcome.case === "failure" && outcome.value.code === "CANCELLED",
		execution: create(ExecutionSchema, {
			...place,
			workerPid: ran.worker.pid,
			runtimeVersion: ran.worker.runtimeVersion,
			startedAtUs: ran.startedAtUs,
			finishedAtUs: ran.finishedAtUs,
			losses: task.message.losses,
		}),
		stdoutBytes: ran.stdoutBytes,
		stderrBytes: ran.stderrBytes,
	});
}

/** Of a task that no worker has run. */
export function refusedResult(taskId: Uint8Array, code: FaultCode, message: string): Result {
	const value = create(FailureSchema, { code, name: "Fault", message });
	return create(ResultSchema, { taskId, outcome: { case: "failure", value }, cancelled: code === "CANCELLED" });
}

const stops: { readonly [S in StopReason]: (task: HeldTask) => { code: FaultCode; name: string; message: string } } = {
	cancel: () => ({ code: "CANCELLED", name: "CancelledError", message: "the task was cancelled while it ran" }),
	walltime: (task) => ({
		code: "WALLTIME_EXCEEDED",
		name: "TimeoutError",
		message: `the task ran longer than its walltime of ${task.resources.walltimeMs} ms and was ended`,
	}),
	memory: (task) => ({
		code: "OUT_OF_MEMORY",
		name: "OutOfMemory",
		message: `the task used more than the ${task.resources.memoryBytes} bytes of memory it asked for and was ended`,
	}),
};

export function stoppedFailure(task: HeldTask, reason: StopReason): Failure {
	return create(FailureSchema, stops[reason](task));
}

/**
 * The worker is gone and nobody here ended it: why, as far as its last words and the kernel tell. A SIGKILL alone proves
 * nothing about memory: somebody or something outside ended the worker, and the daemon may run the task again.
 */
export function exitFailure(exit: WorkerExit, stderrTail: string, oomKilled: boolean): Failure {
	const heapFull = /heap out of memory|Allocation failed - JavaScript|^MemoryError|std::bad_alloc/m.test(stderrTail);
	const killed = exit.signal === "SIGKILL";
	const memory = heapFull || (killed && oomKilled);
	const why = heapFull
		? "ran out of memory"
		: memory
			? "was killed by the system because memory ran out"
			: killed
				? "lost its worker process to SIGKILL, sent by itself or from outside"
				: `ended its worker process (${describeExit(exit)}) instead of returning`;
	return create(FailureSchema, {
		code: memory ? "OUT_OF_MEMORY" : "WORKER_EXITED",
		name: memory ? "OutOfMemory" : "WorkerExited",
		message: `the function ${why}${memory ? "; ask for more with `memoryBytes`, or hold less at a time" : ""}`,
		exitCode: exit.code ?? 0,
		signal: exit.signal ?? "",
		stderrTail,
	});
}

export function stderrTail(worker: WorkerProcess): string {
	return worker.stderr.tail(tailBytes);
}

/** Whether what a worker answers counts although the task was being stopped: at the walltime a command answers itself. */
export function keepsOutcome(task: HeldTask): boolean {
	return task.stop === undefined || task.stop === "walltime";
}

/** The outcome of a reply, unless the task was being stopped: then the stop is the outcome. */
export function outcomeOf(task: HeldTask, { outcome }: TaskDone): Result["outcome"] {
	if (keepsOutcome(task) || task.stop === undefined)
		return outcome.case === "valuePath" ? { case: undefined } : outcome;
	return { case: "failure", value: stoppedFailure(task, task.stop) };
}
