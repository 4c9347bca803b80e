/** Results that the interchange makes itself, and the judgement on those that managers send. */
import { type FaultCode, type FunctionId, faults, idToBytes, isFaultCode, type TaskId } from "@errand/proto";
import { create, ExecutionSchema, type Failure, type Result, ResultSchema } from "@errand/proto/wire";
import { describeDemand, describeShape } from "./amounts.ts";
import type { Demand } from "./demand.ts";
import type { HeldTask } from "./held-task.ts";
import type { QueueRecord } from "./queue-record.ts";

/** A worker ended by one of these was ended from outside; by any other it did so itself. */
const outsideSignals: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGHUP", "SIGPWR"]);

/** Whether the machine is to blame for this failure, so that the same task may succeed elsewhere. */
export function isLoss(failure: Failure): boolean {
	if (failure.code === "WORKER_EXITED") return outsideSignals.has(failure.signal);
	return isFaultCode(failure.code) && faults[failure.code].blame === "machine" && faults[failure.code].retry;
}

function failed(id: TaskId, code: FaultCode, name: string, message: string, losses: number, last?: Result): Result {
	const lastFailure = last?.outcome.case === "failure" ? last.outcome.value : undefined;
	return create(ResultSchema, {
		taskId: idToBytes(id),
		cancelled: code === "CANCELLED",
		outcome: {
			case: "failure",
			value: {
				code,
				name,
				message,
				stack: lastFailure?.stack ?? "",
				exitCode: lastFailure?.exitCode ?? 0,
				signal: lastFailure?.signal ?? "",
				stderrTail: lastFailure?.stderrTail ?? "",
			},
		},
		execution: create(ExecutionSchema, last?.execution ? { ...last.execution, losses } : { losses }),
		stdoutBytes: last?.stdoutBytes ?? 0,
		stderrBytes: last?.stderrBytes ?? 0,
	});
}

export function cancelledResult(id: TaskId, where: string): Result {
	return failed(id, "CANCELLED", "CancelledError", `The task was cancelled ${where}.`, 0);
}

/** `POISON` when it ran each time its machine died: then it is the likely cause. */
export function lostResult(task: HeldTask, reason: string, last: Result | undefined): Result {
	const poison = task.losses > 1 && task.lossesWhileRunning === task.losses;
	const times = task.losses === 1 ? "once" : `${task.losses} times`;
	return poison
		? failed(
				task.id,
				"POISON",
				"LostError",
				`The worker under this task died ${times}, each time while the task ran, so it is not run again. Last: ${reason}. ` +
					"Look at its memory use and at what it does to its own process; submit it again when that is mended.",
				task.losses,
				last,
			)
		: failed(
				task.id,
				"LOST",
				"LostError",
				`The machine under this task was lost ${times}, which is all this endpoint tries. Last: ${reason}. Submit it again.`,
				task.losses,
				last,
			);
}

/** In the field's words. */
export function forbiddenResult(id: TaskId, functionId: FunctionId): Result {
	return failed(
		id,
		"FUNCTION_NOT_PERMITTED",
		"FUNCTION_NOT_ALLOWED",
		`Function ${functionId} is not permitted on this endpoint, which runs only the functions that its settings list ` +
			"(allowed_functions). Ask its administrator to add it, or use another endpoint.",
		0,
	);
}

export function unavailableResult(id: TaskId, demand: Demand, queues: readonly QueueRecord[]): Result {
	return failed(
		id,
		"RESOURCES_UNAVAILABLE",
		"ResourcesUnavailable",
		`The task asks for ${describeDemand(demand)}; ${offersOf(queues)}. ` +
			"Ask for less, or use an endpoint with larger nodes.",
		0,
	);
}

/** "nodes of queue a100 have 64 cores, 2 GPUs, in blocks of 4 nodes; nodes of queue cpu have …" */
export function offersOf(queues: readonly QueueRecord[]): string {
	return queues
		.map((queue) => {
			const { name, nodesPerBlock } = queue.settings;
			const shapes = queue.seen ? [...queue.shapes] : [queue.nextShape];
			const blocks = nodesPerBlock > 1 && Number.isFinite(nodesPerBlock) ? `, in blocks of ${nodesPerBlock} nodes` : "";
			return `nodes of queue ${name} have ${shapes.map(describeShape).join(" or ")}${blocks}`;
		})
		.join("; ");
}
