/** Every error becomes a Fault, and every Fault the one error body. */
import type { ServerResponse } from "node:http";
import { Fault, type FaultCode, toProblem } from "@errand/proto";
import type * as z from "zod";
import { sendJson } from "./send.ts";

/** Said when a fault that will pass does not say how long that takes. */
const retryAfterDefaultS: { readonly [Code in FaultCode]?: number } = { TOO_MANY_REQUESTS: 1, NOT_READY: 5 };

/** An issue list can be as long as the request; people read the first few. */
const issuesShown = 5;

/** Answers with the error body; headers that were already set stay. */
export function sendFault(response: ServerResponse, fault: Fault): void {
	if (response.headersSent) {
		response.destroy();
		return;
	}
	const retryAfterS = fault.retryAfterS ?? retryAfterDefaultS[fault.code];
	if (retryAfterS !== undefined) response.setHeader("Retry-After", String(Math.max(1, Math.ceil(retryAfterS))));
	if (fault.code === "USER_UNAUTHENTICATED") response.setHeader("WWW-Authenticate", 'Bearer realm="errand"');
	if (fault.code === "INVALID_AUTH_TOKEN") {
		response.setHeader("WWW-Authenticate", 'Bearer realm="errand", error="invalid_token"');
	}
	sendJson(response, fault.httpStatus, toProblem(fault));
}

/** What the parsers of Express and of the identity provider call their errors. */
const foreignTypes: { readonly [type: string]: readonly [FaultCode, string] } = {
	"entity.parse.failed": ["REQUEST_MALFORMED", "The body cannot be parsed: send what its Content-Type says."],
	"entity.too.large": ["TASK_PAYLOAD_TOO_LARGE", "The body is larger than this route takes."],
	"encoding.unsupported": ["REQUEST_MALFORMED", "The body's Content-Encoding is not supported: send it unencoded."],
	"charset.unsupported": ["REQUEST_MALFORMED", "The body's charset is not supported: send UTF-8."],
	"request.aborted": ["REQUEST_MALFORMED", "The request ended before its body did."],
};

/** Any thrown thing as a Fault; what is not known becomes INTERNAL_ERROR, whose message tells nothing of the inside. */
export function toFault(error: unknown, requestId: string): Fault {
	if (error instanceof Fault) return error;
	if (error instanceof URIError) {
		return new Fault("REQUEST_MALFORMED", "The path has a percent sign that no two hexadecimal digits follow.", {
			cause: error,
		});
	}
	const type = typeof error === "object" && error !== null && "type" in error ? error.type : undefined;
	const known = typeof type === "string" && Object.hasOwn(foreignTypes, type) ? foreignTypes[type] : undefined;
	if (known !== undefined) return new Fault(known[0], known[1], { cause: error });
	return new Fault(
		"INTERNAL_ERROR",
		`The service failed at this request. Try again; if it stays, tell the operator the request id ${requestId}.`,
		{ args: [requestId], cause: error },
	);
}

/** A path as people write it: `tasks["…"][0]`. */
function writePath(path: readonly PropertyKey[]): string {
	let text = "";
	for (const part of path) {
		if (typeof part === "number") text += `[${part}]`;
		else if (/^[A-Za-z_]\w*$/.test(String(part))) text += text === "" ? String(part) : `.${String(part)}`;
		else text += `[${JSON.stringify(String(part).slice(0, 64))}]`;
	}
	return text;
}

/** What a schema found wrong with one part of a request. A bad id in the path or query is `INVALID_UUID`. */
export function faultOfIssues(where: "path" | "query" | "body", error: z.ZodError): Fault {
	const issues = error.issues;
	const badId = where !== "body" && issues.some((issue) => issue.code === "invalid_format" && issue.format === "uuid");
	const said = issues.slice(0, issuesShown).map((issue) => {
		const path = writePath(issue.path);
		return path === "" ? issue.message : `${path}: ${issue.message}`;
	});
	const more = issues.length > issuesShown ? ` (and ${issues.length - issuesShown} more)` : "";
	return new Fault(
		badId ? "INVALID_UUID" : "SEMANTICALLY_INVALID",
		`The request's ${where} does not fit: ${said.join("; ")}${more}.`,
		{ args: issues.slice(0, issuesShown).map((issue) => writePath([where, ...issue.path])) },
	);
}
