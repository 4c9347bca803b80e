/**
 * Every error a user of the SDK meets. Each has a stable `code`. What went wrong on the far side is data: a function
 * that threw (`RemoteError`) is never the same class as a machine that died (`LostError`).
 */
import { type FaultCode, faults } from "@errand/proto";
import type { ExecutionDocument, FailureDocument } from "@errand/proto/rest";

/** Codes that only the SDK itself gives; the rest are those of the fault table. */
type LocalCode =
	| "CAPTURE_REFUSED"
	| "NOT_SERIALIZABLE"
	| "EXECUTOR_CLOSED"
	| "DEPENDENCY_FAILED"
	| "CLOUD_UNREACHABLE"
	| "CLOUD_UNINTELLIGIBLE";

export type ErrorCode = FaultCode | LocalCode;

/** What all errors of the SDK have in common. */
export abstract class ErrandError extends Error {
	readonly code: ErrorCode;

	constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.code = code;
	}
}

/** The cloud refused a request, or could not be reached (`CLOUD_UNREACHABLE`, `httpStatus` 0). */
export class CloudError extends ErrandError {
	override readonly name = "CloudError";
	readonly httpStatus: number;
	/** The cloud's own sentence. */
	readonly detail: string;
	/** Seconds after which the cloud asked to try again. */
	readonly retryAfterS: number | undefined;

	constructor(
		code: ErrorCode,
		detail: string,
		options: { httpStatus: number; retryAfterS?: number | undefined; cause?: unknown },
	) {
		super(code, `${detail} (${code})`, options);
		this.detail = detail;
		this.httpStatus = options.httpStatus;
		this.retryAfterS = options.retryAfterS;
	}
}

/** A function uses something that does not travel with it; thrown by `submit`, before anything is sent. */
export class CaptureError extends ErrandError {
	override readonly name = "CaptureError";
	/** Names that the function uses and that are neither its own nor the worker's. */
	readonly variables: readonly string[];

	constructor(message: string, variables: readonly string[] = [], cause?: unknown) {
		super("CAPTURE_REFUSED", message, { cause });
		this.variables = variables;
	}
}

/** A value cannot travel: an argument (thrown by `submit`), or a result that this end cannot read. */
export class SerializationError extends ErrandError {
	override readonly name = "SerializationError";
	/** Where in the value, as JavaScript would say it: `arguments[0].when`. Empty when it is the whole. */
	readonly path: string;

	constructor(message: string, path = "", options: { cause?: unknown; code?: ErrorCode } = {}) {
		super(options.code ?? "NOT_SERIALIZABLE", message, options);
		this.path = path;
	}
}

/** The executor was closed before this task ended. The task goes on: `Executor.reload` finds it again. */
export class ClosedError extends ErrandError {
	override readonly name = "ClosedError";

	constructor(message: string) {
		super("EXECUTOR_CLOSED", message);
	}
}

/** A future that was given as an argument came to nothing, so this task was never sent. `cause` is that future's error. */
export class DependencyError extends ErrandError {
	override readonly name = "DependencyError";
	/** Id of the task that failed; undefined when it was never accepted itself. */
	readonly dependencyTaskId: string | undefined;
	/** Name of the function that failed; undefined after a reload. */
	readonly dependencyName: string | undefined;

	constructor(
		message: string,
		dependency: { taskId: string | undefined; functionName: string | undefined },
		cause: unknown,
	) {
		super("DEPENDENCY_FAILED", message, { cause });
		this.dependencyTaskId = dependency.taskId;
		this.dependencyName = dependency.functionName;
	}
}

/** What a task left behind when it did not succeed. */
export interface FailureContext {
	taskId: string;
	functionName: string | undefined;
	failure: FailureDocument;
	execution: ExecutionDocument | undefined;
}

/** A task ended without a value. The subclasses say whose doing it was. */
export abstract class TaskError extends ErrandError {
	readonly taskId: string;
	/** The function's name as it was submitted; undefined after a reload. */
	readonly functionName: string | undefined;
	/** The name of the exception class in the function's own language. */
	readonly remoteName: string;
	/** The exception's message, as it was thrown. */
	readonly remoteMessage: string;
	/** The remote stack trace or traceback, whole. */
	readonly remoteStack: string;
	/** The machine the task ran on; empty when it never ran. */
	readonly host: string;
	/** Exit code of the worker process; 0 when it did not exit. */
	readonly exitCode: number;
	/** Signal that ended the worker process; empty when none did. */
	readonly signal: string;
	/** The last lines of standard error, when they help. */
	readonly stderrTail: string;

	constructor(context: FailureContext) {
		const { failure } = context;
		super(failure.code, sentence(context));
		this.taskId = context.taskId;
		this.functionName = context.functionName;
		this.remoteName = failure.name;
		this.remoteMessage = failure.message;
		this.remoteStack = failure.stack;
		this.host = context.execution?.host ?? "";
		this.exitCode = failure.exit_code;
		this.signal = failure.signal;
		this.stderrTail = failure.stderr_tail;
		if (failure.stack !== "") {
			const where = this.host === "" ? "the endpoint" : this.host;
			this.stack = `${this.stack ?? this.message}\n    ── on ${where}, task ${this.taskId} ──\n${failure.stack}`;
		}
	}
}

/** The function failed: it threw, its result cannot travel, it ended its process, it could not be loaded. */
export class RemoteError extends TaskError {
	override readonly name = "RemoteError";
}

/** The machine under the task died, more often than the task may be run again. */
export class LostError extends TaskError {
	override readonly name = "LostError";
}

/** Somebody cancelled the task. */
export class CancelledError extends TaskError {
	override readonly name = "CancelledError";
}

/** The task ran longer than its walltime. */
export class TimeoutError extends TaskError {
	override readonly name = "TimeoutError";
}

type TaskErrorClass = new (context: FailureContext) => TaskError;

/** Codes whose class is not what {@link byBlame} says. */
const byCode: Partial<Record<FaultCode, TaskErrorClass>> = {
	CANCELLED: CancelledError,
	WALLTIME_EXCEEDED: TimeoutError,
};

const byBlame = {
	caller: RemoteError,
	function: RemoteError,
	machine: LostError,
	service: LostError,
} as const satisfies Record<(typeof faults)[FaultCode]["blame"], TaskErrorClass>;

/** The error for a task that failed, by the code of its failure. */
export function taskError(context: FailureContext): TaskError {
	const { code } = context.failure;
	return new (byCode[code] ?? byBlame[faults[code].blame])(context);
}

/** A failure that the SDK states itself, for a task that never left or whose end is told without a document. */
export function localFailure(code: FaultCode, name: string, message: string): FailureDocument {
	return { code, name, message, stack: "", exit_code: 0, signal: "", stderr_tail: "" };
}

function sentence({ failure, functionName }: FailureContext): string {
	const what = functionName === undefined ? "" : `${functionName}: `;
	const thrown = failure.code === "FUNCTION_FAILED" && failure.name !== "" ? `${failure.name}: ` : "";
	return `${what}${thrown}${failure.message}`;
}
