import { functionDocument, functionRegistered, functionRegistration } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { functionId } from "../ids.ts";
import { checkCodeSize, functionBodyLimit } from "../v3/functions.ts";

const byId = z.object({ function_id: functionId });

/** What clients before version 3 send: `metadata` for `meta`. */
const earlierRegistration = functionRegistration
	.omit({ meta: true })
	.extend({ metadata: functionRegistration.shape.meta });

/** What the public interface answers when something was deleted. */
export const deleted = z.object({ result: z.literal(302) });

export const functions = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v2/functions",
		summary: "Registers a function; the earlier form",
		body: earlierRegistration,
		bodyLimit: functionBodyLimit,
		opaque: "function_code",
		reply: functionRegistered,
		faults: ["FUNCTION_TOO_LARGE", "AUTH_GROUP_NOT_FOUND"],
		handle: async (caller, { body }) => {
			const { metadata, ...registration } = body;
			checkCodeSize(body.function_code);
			return { function_uuid: await operations.registerFunction(caller, { ...registration, meta: metadata }) };
		},
	}),
	route({
		method: "GET",
		path: "/v2/functions/{function_id}",
		summary: "A function and its code",
		params: byId,
		reply: functionDocument,
		faults: ["FUNCTION_NOT_FOUND", "FUNCTION_ACCESS_FORBIDDEN"],
		handle: (caller, { params }) => operations.getFunction(caller, params.function_id),
	}),
	route({
		method: "DELETE",
		path: "/v2/functions/{function_id}",
		summary: "Deletes a function",
		params: byId,
		reply: deleted,
		faults: ["FUNCTION_NOT_FOUND", "FUNCTION_ACCESS_FORBIDDEN"],
		handle: async (caller, { params }) => {
			await operations.deleteFunction(caller, params.function_id);
			return { result: 302 as const };
		},
	}),
];
