/** How a task ended, in the shapes that streams, documents and clients of the public interface read. */

import type { EndpointId, Message, TaskId } from "@errand/proto";
import {
	type FaultCode,
	idFromBytes,
	isFaultCode,
	type MessageInput,
	type TaskState,
	taskStateFromWire,
	taskStateToWire,
} from "@errand/proto";
import type { ExecutionDocument, FailureDocument, StreamResult } from "@errand/proto/rest";
import type { Execution, Failure, Result } from "@errand/proto/wire";
import type { Ending, ResultRow } from "../store/results.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

type FinalState = StreamResult["state"];

/** The word for a recorded state's number. */
export function stateWord(state: number): TaskState {
	const word = taskStateFromWire(state);
	if (word === undefined)
		throw new RangeError(`the database holds a task state ${state} that this version does not know`);
	return word;
}

export function failureDocument(
	code: FaultCode,
	message: string,
	rest: Partial<FailureDocument> = {},
): FailureDocument {
	return { code, name: "", message, stack: "", exit_code: 0, signal: "", stderr_tail: "", ...rest };
}

function fromWireFailure(failure: Failure): FailureDocument {
	return {
		code: isFaultCode(failure.code) ? failure.code : "FUNCTION_FAILED",
		name: failure.name,
		message: failure.message,
		stack: failure.stack,
		exit_code: failure.exitCode,
		signal: failure.signal,
		stderr_tail: failure.stderrTail,
	};
}

function fromWireExecution(execution: Execution): ExecutionDocument {
	return {
		host: execution.host,
		block_id: execution.blockId,
		manager_id: execution.managerId,
		worker_pid: execution.workerPid,
		runtime_version: execution.runtimeVersion,
		started_at_ms: timeMs(execution.startedAtUs / 1000),
		finished_at_ms: timeMs(execution.finishedAtUs / 1000),
		losses: execution.losses,
	};
}

/** What a clock can say; 0 for anything else that an endpoint may claim. */
const timeMs = (value: number): number => (Math.abs(value) <= 8.64e15 ? value : 0);

/** A count that can be kept, of whatever a number an endpoint claims. */
const bytesOf = (value: number): number => (value > 0 ? Math.min(Math.trunc(value), Number.MAX_SAFE_INTEGER) : 0);

/** A result of our daemon. Throws a RangeError when the task's id is not one. */
export function endingOfResult(result: Result, endpoint: EndpointId): Ending {
	const { outcome } = result;
	const failure =
		outcome.case === "failure"
			? fromWireFailure(outcome.value)
			: outcome.case === undefined
				? failureDocument("INTERNAL_ERROR", "the endpoint sent a result that says nothing")
				: null;
	const final: FinalState = result.cancelled ? "cancelled" : failure === null ? "success" : "failed";
	return {
		id: idFromBytes<TaskId>(result.taskId),
		endpoint,
		state: taskStateToWire[final],
		value: outcome.case === "value" ? outcome.value : null,
		blob:
			outcome.case === "valueReference"
				? { sha256: outcome.value.sha256, sizeBytes: bytesOf(outcome.value.sizeBytes) }
				: null,
		failure:
			final === "cancelled" && failure === null ? failureDocument("CANCELLED", "the task was cancelled") : failure,
		execution: result.execution === undefined ? null : fromWireExecution(result.execution),
		stdoutBytes: bytesOf(result.stdoutBytes),
		stderrBytes: bytesOf(result.stderrBytes),
		actor: "endpoint",
	};
}

const codesOfPublicInterface: ReadonlyMap<string, FaultCode> = new Map([
	["MaxResultSizeExceeded", "RESULT_TOO_LARGE"],
	["FUNCTION_NOT_ALLOWED", "FUNCTION_NOT_PERMITTED"],
	["CouldNotExecuteUserTaskError", "FUNCTION_NOT_LOADED"],
]);

/** A `result` message of an endpoint that speaks only the public interface. */
export function endingOfMessage(message: Message<"result">, endpoint: EndpointId): Ending {
	const error = message.error_details ?? null;
	const atMs = (state: string): number =>
		timeMs((message.task_statuses?.find((status) => status.state === state)?.timestamp ?? 0) / 1e6);
	const python = message.details?.python_version;
	return {
		id: message.task_id as TaskId,
		endpoint,
		state: taskStateToWire[error === null ? "success" : "failed"],
		value: error === null ? encoder.encode(message.data) : null,
		blob: null,
		failure:
			error === null
				? null
				: failureDocument(codesOfPublicInterface.get(error.code) ?? "FUNCTION_FAILED", error.user_message, {
						name: error.code,
						stack: message.data,
					}),
		execution: {
			host: "",
			block_id: "",
			manager_id: "",
			worker_pid: 0,
			runtime_version: typeof python === "string" ? `Python ${python}` : "",
			started_at_ms: atMs("execution-start"),
			finished_at_ms: atMs("execution-end"),
			losses: 0,
		},
		stdoutBytes: 0,
		stderrBytes: 0,
		actor: "endpoint",
	};
}

/** What ended without the endpoint: cancelled before it was taken. */
export function endingByCloud(id: TaskId, message: string): Ending {
	return {
		id,
		endpoint: null,
		state: taskStateToWire.cancelled,
		value: null,
		blob: null,
		failure: failureDocument("CANCELLED", message),
		execution: null,
		stdoutBytes: 0,
		stderrBytes: 0,
		actor: "web-service",
	};
}

export function streamResultOfEnding(ending: Ending): StreamResult {
	return {
		task_id: ending.id,
		state: stateWord(ending.state) as FinalState,
		...(ending.value === null ? {} : { value: decoder.decode(ending.value) }),
		...(ending.blob === null ? {} : { value_reference: toReference(ending.blob.sha256, ending.blob.sizeBytes) }),
		...(ending.failure === null ? {} : { failure: ending.failure }),
		...(ending.execution === null ? {} : { execution: ending.execution }),
		stdout_bytes: ending.stdoutBytes,
		stderr_bytes: ending.stderrBytes,
	};
}

export function streamResultOfRow(row: ResultRow): StreamResult {
	return {
		task_id: row.id,
		state: stateWord(row.state) as FinalState,
		...(row.result === null ? {} : { value: row.result.toString("utf8") }),
		...(row.result_blob === null ? {} : { value_reference: toReference(row.result_blob, row.result_blob_bytes) }),
		...(row.failure === null ? {} : { failure: row.failure }),
		...(row.execution === null ? {} : { execution: row.execution }),
		stdout_bytes: Number(row.stdout_bytes),
		stderr_bytes: Number(row.stderr_bytes),
	};
}

export function toReference(
	sha256: Uint8Array,
	sizeBytes: number | bigint | null,
): { sha256: string; size_bytes: number } {
	return { sha256: Buffer.from(sha256).toString("hex"), size_bytes: Number(sizeBytes ?? 0) };
}

/** A traceback as people of the public interface know it. */
export function tracebackOf(failure: FailureDocument): string {
	if (failure.stack !== "") return failure.stack;
	const name = failure.name === "" ? failure.code : failure.name;
	return `${name}: ${failure.message}`;
}

/** The message that clients of the public interface take from a group's queue. `value`: the buffer, also of a blob. */
export function publicResultMessage(
	result: StreamResult,
	endpoint: EndpointId,
	value: string | undefined,
): MessageInput<"result"> {
	const { execution } = result;
	const failure = result.failure ?? (value === undefined ? beyondPublicInterface(result) : undefined);
	const ns = (ms: number): number => Math.round(ms * 1e6);
	return {
		task_id: result.task_id,
		data: failure === undefined ? (value ?? "") : tracebackOf(failure),
		details: { endpoint_id: endpoint, ...versionsOf(execution) },
		error_details: failure === undefined ? null : { code: publicCode(failure), user_message: failure.message },
		task_statuses:
			execution === undefined
				? null
				: [
						{ timestamp: ns(execution.started_at_ms), state: "execution-start", actor: "worker" },
						{ timestamp: ns(execution.finished_at_ms), state: "execution-end", actor: "worker" },
					],
	};
}

function publicCode(failure: FailureDocument): string {
	return failure.code === "RESULT_TOO_LARGE" ? "MaxResultSizeExceeded" : "RemoteExecutionError";
}

/** What clients of the public interface are told of a value that is too large for its messages and documents. */
export function beyondPublicInterface({ value_reference }: Pick<StreamResult, "value_reference">): FailureDocument {
	const message =
		value_reference === undefined
			? "the result has no value"
			: `the result has ${value_reference.size_bytes} bytes, too many for this interface; read it from /v1/blobs/${value_reference.sha256}`;
	return failureDocument("RESULT_TOO_LARGE", message, { name: "MaxResultSizeExceeded" });
}

/** Names of the public interface for the packages that our Python worker names beside its own version. */
const packageKeys = { dill: "dill_version", "globus-compute-sdk": "globus_compute_sdk_version" } as const;

/**
 * Of "Python 3.11.7, dill 0.3.9, globus-compute-sdk 4.15.0": what clients of the public interface compare with their own,
 * and warn their user. Empty when it was not Python.
 */
export function versionsOf(execution: Pick<ExecutionDocument, "runtime_version"> | undefined | null): {
	python_version?: string;
	dill_version?: string;
	globus_compute_sdk_version?: string;
} {
	const [python, ...packages] = (execution?.runtime_version ?? "").split(", ");
	const version = /^Python (\S+)/.exec(python ?? "")?.[1];
	if (version === undefined) return {};
	const told = Object.entries(packageKeys).flatMap(([name, key]) => {
		const found = packages.find((one) => one.startsWith(`${name} `));
		return found === undefined ? [] : [[key, found.slice(name.length + 1)]];
	});
	return { python_version: version, ...Object.fromEntries(told) };
}
