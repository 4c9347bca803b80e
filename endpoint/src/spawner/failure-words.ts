/** What is said of a start that failed, to who asked for it, and of an end, to the log. */
import { hostname } from "node:os";
import { Fault, faults } from "@errand/proto";
import { ConfigFault } from "../config/config.ts";
import type { ChildRecord } from "./child-record.ts";
import type { Ended } from "./launch.ts";

/** Ours are written for the submitter; anything else may hold what is not theirs to know. */
export function wordsFor(error: unknown): string {
	if (error instanceof Fault) return error.message;
	if (error instanceof ConfigFault)
		return `the files of this endpoint on ${hostname()} have a fault, which its log names: ask its administrator`;
	return `this endpoint on ${hostname()} could not start a process for you, and its log says why: ask its administrator`;
}

/**
 * Whether another try may succeed with nothing changed by who asks. Our refusals have it in the table of faults; a file of
 * the manager's with a fault is its administrator's to mend, and what the system has too little of now it may have later.
 */
export const mayPass = (error: unknown): boolean => !(error instanceof Fault) || faults[error.code].retry;

export const endWords = ({ status, signal }: Ended): string =>
	signal !== null ? `ended by ${signal}` : status === null ? "ended" : `ended with status ${status}`;

/**
 * @param reason what it said itself, or why we ended it
 * @param early what it said before its log was open
 */
export function failureOf(
	{ reason, early }: { readonly reason: string | undefined; readonly early: string },
	how: Ended,
	{ account, name }: Pick<ChildRecord, "account" | "name">,
): Fault {
	const message =
		reason ??
		`your endpoint, as ${account} on ${hostname()}, ${endWords(how)} before it could run (${
			early === "" ? `its log is ~/.errand/endpoints/${name}/endpoint.log` : early
		}): ask the endpoint's administrator if this is not yours to mend`;
	return new Fault("SEMANTICALLY_INVALID", message);
}
