/** Errors of the SDK, the system and the unknown → what the person is told. */
import { isFaultCode } from "@errand/proto";
import { Complaint } from "./complaint.ts";
import { type ExitName, exitOfFault } from "./exit-code.ts";

const nextByExit: Partial<Record<ExitName, string>> = { unreachable: "errand cloud status" };
const nextByCode: Readonly<Record<string, string>> = {
	ENDPOINT_NOT_FOUND: "errand endpoint list",
	FUNCTION_NOT_FOUND: "errand function list",
	TASK_NOT_FOUND: "errand task list",
	NOT_LOGGED_IN: "errand login",
	AUTHENTICATION_POLICY_NOT_MET: "errand login --fresh",
	POLICY_NOT_FOUND: "errand policy list",
};
const nextByStatus: Readonly<Record<number, string>> = { 401: "errand login" };

/** The SDK's own codes, which are not in the table of faults. */
const exitByLocalCode: Readonly<Record<string, ExitName>> = {
	CAPTURE_REFUSED: "usage",
	NOT_SERIALIZABLE: "usage",
	NOT_LOGGED_IN: "forbidden",
	CLOUD_UNREACHABLE: "unreachable",
	CLOUD_UNINTELLIGIBLE: "unreachable",
};

/** Recognized by their shape and not by their class: the SDK is loaded only by verbs that need it. */
export function complaintOf(error: unknown): Complaint {
	if (error instanceof Complaint) return error;
	if (!(error instanceof Error)) return new Complaint("internal", String(error));
	const { code, httpStatus, detail, retryAfterS } = error as Error & {
		code?: unknown;
		httpStatus?: unknown;
		detail?: unknown;
		retryAfterS?: unknown;
	};
	const message = typeof detail === "string" ? detail : error.message;
	if (typeof code === "string") {
		const exit = isFaultCode(code) ? exitOfFault(code) : exitByLocalCode[code];
		if (exit) {
			const next =
				typeof retryAfterS === "number"
					? `try again in ${Math.ceil(retryAfterS)} s`
					: ((typeof httpStatus === "number" ? nextByStatus[httpStatus] : undefined) ??
						nextByCode[code] ??
						nextByExit[exit]);
			return new Complaint(exit, message, { ...(next && { next }), cause: error });
		}
		if (systemCodes.has(code)) return new Complaint("failed", message, { cause: error });
	}
	return new Complaint("internal", message, {
		next: "type the command again with --debug and report what it says",
		cause: error,
	});
}

/** What the operating system refuses: the message names the path already. */
const systemCodes = new Set(["EACCES", "EPERM", "ENOSPC", "EROFS", "ENOTDIR", "EISDIR", "EMFILE", "ENOENT"]);
