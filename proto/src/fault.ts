/**
 * Every way in which something can go wrong, once: what HTTP says, whether to try again, whose fault it is.
 * Codes of the public interface keep its names. Status codes appear nowhere else in the project.
 */
type Blame = "caller" | "function" | "machine" | "service";

interface FaultRow {
	readonly httpStatus: number;
	/** Whether the same request, unchanged, may succeed later. */
	readonly retry: boolean;
	readonly blame: Blame;
}

const row = (httpStatus: number, blame: Blame, retry = false): FaultRow => ({ httpStatus, retry, blame });

export const faults = {
	// The caller
	REQUEST_MALFORMED: row(400, "caller"),
	INVALID_UUID: row(400, "caller"),
	SEMANTICALLY_INVALID: row(422, "caller"),
	FLOW_INVALID: row(422, "caller"),
	FLOW_INPUT_ERROR: row(400, "caller"),
	USER_UNAUTHENTICATED: row(401, "caller"),
	INVALID_AUTH_TOKEN: row(401, "caller"),
	INSUFFICIENT_AUTH_SCOPE: row(403, "caller"),
	FORBIDDEN: row(403, "caller"),
	ENDPOINT_ACCESS_FORBIDDEN: row(403, "caller"),
	FUNCTION_ACCESS_FORBIDDEN: row(403, "caller"),
	FUNCTION_NOT_PERMITTED: row(403, "caller"),
	COLLECTION_ACCESS_FORBIDDEN: row(403, "caller"),
	// Another login may be what is missing: the body says which (`AuthorizationParameters`).
	AUTHENTICATION_POLICY_NOT_MET: row(403, "caller"),
	TASK_GROUP_ACCESS_FORBIDDEN: row(403, "caller"),
	FLOW_ACCESS_FORBIDDEN: row(403, "caller"),
	RUN_ACCESS_FORBIDDEN: row(403, "caller"),
	// Not 429: clients that wait as they are told would wait until tomorrow.
	QUOTA_EXCEEDED: row(403, "caller"),
	ROUTE_NOT_FOUND: row(404, "caller"),
	FUNCTION_NOT_FOUND: row(404, "caller"),
	ENDPOINT_NOT_FOUND: row(404, "caller"),
	TASK_NOT_FOUND: row(404, "caller"),
	TASK_GROUP_NOT_FOUND: row(404, "caller"),
	ACCOUNT_NOT_FOUND: row(404, "caller"),
	AUTH_GROUP_NOT_FOUND: row(404, "caller"),
	SHARE_NOT_FOUND: row(404, "caller"),
	FLOW_NOT_FOUND: row(404, "caller"),
	RUN_NOT_FOUND: row(404, "caller"),
	POLICY_NOT_FOUND: row(404, "caller"),
	PROJECT_NOT_FOUND: row(404, "caller"),
	BLOB_NOT_FOUND: row(404, "caller"),
	TRANSFER_NOT_FOUND: row(404, "caller"),
	COLLECTION_NOT_FOUND: row(404, "caller"),
	METHOD_NOT_ALLOWED: row(405, "caller"),
	RESOURCE_CONFLICT: row(409, "caller"),
	ILLEGAL_TRANSITION: row(409, "caller"),
	LEASE_HELD: row(409, "caller", true),
	IDEMPOTENCY_KEY_REUSED: row(422, "caller"),
	TASK_PAYLOAD_TOO_LARGE: row(413, "caller"),
	BATCH_RUN_TOO_LARGE: row(413, "caller"),
	FUNCTION_TOO_LARGE: row(413, "caller"),
	FLOW_TOO_LARGE: row(413, "caller"),
	BLOB_TOO_LARGE: row(413, "caller"),
	CHECKSUM_MISMATCH: row(422, "caller"),
	RESOURCE_LOCKED: row(423, "caller", true),
	TOO_MANY_REQUESTS: row(429, "caller", true),
	// The function that ran
	FUNCTION_FAILED: row(200, "function"),
	FUNCTION_NOT_LOADED: row(200, "function"),
	ARGUMENTS_NOT_DECODED: row(200, "function"),
	RESULT_NOT_SERIALIZABLE: row(200, "function"),
	RESULT_TOO_LARGE: row(200, "function"),
	WALLTIME_EXCEEDED: row(200, "function"),
	WORKER_EXITED: row(200, "function"),
	OUT_OF_MEMORY: row(200, "function"),
	RUNTIME_MISSING: row(200, "function"),
	RESOURCES_UNAVAILABLE: row(200, "function"),
	CANCELLED: row(200, "caller"),
	// The machine under it
	LOST: row(200, "machine", true),
	POISON: row(200, "machine"),
	// The service
	INTERNAL_ERROR: row(500, "service", true),
	BLOB_STORE_FAILED: row(503, "service", true),
	NOT_READY: row(503, "service", true),
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof faults;

export function isFaultCode(code: string): code is FaultCode {
	return Object.hasOwn(faults, code);
}

/**
 * Which login a request needs, in the words of the public interface, whose clients act upon them: they log in anew
 * and ask again.
 */
export interface AuthorizationParameters {
	readonly session_message: string;
	/** Ids of the policies that are to be met. */
	readonly session_required_policies: readonly string[];
	/** One of these domains must be the login's. */
	readonly session_required_single_domain?: readonly string[];
	/** The password is asked for even where the browser remembers it. */
	readonly prompt: "login";
}

/**
 * The one error that our own code throws for something a caller must be told. `message` says what, which, the limit
 * and what to do next; `retryAfterS` becomes the Retry-After header.
 */
export class Fault extends Error {
	override readonly name = "Fault";
	readonly code: FaultCode;
	readonly args: readonly string[];
	readonly retryAfterS: number | undefined;
	readonly authorization: AuthorizationParameters | undefined;

	constructor(
		code: FaultCode,
		message: string,
		options: {
			args?: readonly string[];
			retryAfterS?: number;
			authorization?: AuthorizationParameters;
			cause?: unknown;
		} = {},
	) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.code = code;
		this.args = options.args ?? [];
		this.retryAfterS = options.retryAfterS;
		this.authorization = options.authorization;
	}

	get httpStatus(): number {
		return faults[this.code].httpStatus;
	}
}

/** The error body of the public interface; `reason` is its deprecated twin of `detail`. */
export interface Problem {
	status: "Failed";
	code: FaultCode;
	http_status_code: number;
	error_args: readonly string[];
	detail: string;
	reason: string;
	authorization_parameters?: AuthorizationParameters;
}

export function toProblem(fault: Fault): Problem {
	return {
		status: "Failed",
		code: fault.code,
		http_status_code: fault.httpStatus,
		error_args: fault.args,
		detail: fault.message,
		reason: fault.message,
		...(fault.authorization && { authorization_parameters: fault.authorization }),
	};
}
