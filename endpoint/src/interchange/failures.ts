/** Results that the interchange makes itself, and the judgement on those that managers send. */
import { type FaultCode, faults, idToBytes, isFaultCode, type TaskId } from "@errand/proto";
import { create, ExecutionSchema, type Failure, type Result, ResultSchema } from "@errand/proto/wire";
import { type Demand, describeAmounts, type NodeShape } from "./demand.ts";
import type { HeldTask } from "./held-task.ts";

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

export function unavailableResult(id: TaskId, demand: Demand, shapes: Iterable<NodeShape>): Result {
	const offers = [...shapes].map(describeAmounts).join("; or ");
	return failed(
		id,
		"RESOURCES_UNAVAILABLE",
		"ResourcesUnavailable",
		`The task asks for ${describeAmounts(demand)} on one node; this endpoint's nodes have ${offers}. ` +
			"Ask for less, or use an endpoint with larger nodes.",
		0,
	);
}
