/** What the command's exit status says: the one table, printed by `errand help exit-codes`. */
import { type FaultCode, faults } from "@errand/proto";

export const exitCodes = {
	ok: { status: 0, meaning: "done" },
	failed: { status: 1, meaning: "the task failed, or a check found a fault" },
	usage: { status: 2, meaning: "the command was not understood, or a value in it is not allowed" },
	forbidden: { status: 3, meaning: "not logged in, or not allowed" },
	notFound: { status: 4, meaning: "no such task, function, endpoint or account" },
	unreachable: { status: 5, meaning: "the cloud does not answer, or asks to come back later" },
	timeout: { status: 6, meaning: "the time given with --timeout ran out; what was waited for goes on" },
	conflict: { status: 7, meaning: "something is in the way: already running, already there, port taken" },
	cancelled: { status: 8, meaning: "the task was cancelled" },
	internal: { status: 70, meaning: "a fault in errand itself" },
	interrupted: { status: 130, meaning: "Ctrl-C" },
} as const;

export type ExitName = keyof typeof exitCodes;

const byHttpStatus: Readonly<Record<number, ExitName>> = {
	200: "failed",
	400: "usage",
	401: "forbidden",
	403: "forbidden",
	404: "notFound",
	405: "usage",
	409: "conflict",
	413: "usage",
	422: "usage",
	423: "conflict",
	429: "unreachable",
	503: "unreachable",
};

/** The exit of a fault told by the cloud. */
export function exitOfFault(code: FaultCode): ExitName {
	return byHttpStatus[faults[code].httpStatus] ?? "internal";
}
