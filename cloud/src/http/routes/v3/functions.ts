import { Fault, functionLimitBytes } from "@errand/proto";
import { functionRegistered, functionRegistration } from "@errand/proto/rest";
import type { Operations } from "../../../operations/operations.ts";
import type { BodyLimit } from "../../body.ts";
import { type Route, route } from "../../route.ts";

/** JSON may write each character of the code as six. */
export const functionBodyLimit: BodyLimit = { bytes: functionLimitBytes * 2, code: "FUNCTION_TOO_LARGE" };

/** Throws FUNCTION_TOO_LARGE. */
export function checkCodeSize(code: string): void {
	const size = Buffer.byteLength(code);
	if (size <= functionLimitBytes) return;
	throw new Fault(
		"FUNCTION_TOO_LARGE",
		`A function's code has at most ${functionLimitBytes} bytes, this has ${size}: load large data from a file or pass it as an argument.`,
		{ args: [String(functionLimitBytes), String(size)] },
	);
}

export const functions = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v3/functions",
		summary: "Registers a function",
		body: functionRegistration,
		bodyLimit: functionBodyLimit,
		opaque: "function_code",
		reply: functionRegistered,
		faults: ["FUNCTION_TOO_LARGE", "AUTH_GROUP_NOT_FOUND"],
		handle: async (caller, { body }) => {
			checkCodeSize(body.function_code);
			return { function_uuid: await operations.registerFunction(caller, body) };
		},
	}),
];
