/** Flows and runs as clients of the public interface's flow service ask for them, with `…/v1/` as its address. */
import {
	flowChange,
	flowCreation,
	flowDocument,
	flowPage,
	flowValidated,
	flowValidation,
	runDocument,
	runStart,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import type { BodyLimit } from "../../body.ts";
import { type Route, route } from "../../route.ts";
import { flowId } from "../ids.ts";
import { marked, markedQuery, toMarked } from "../marked-page.ts";

const byId = z.object({ flow_id: flowId });
const flowBody: BodyLimit = { bytes: 512 * 1024, code: "FLOW_TOO_LARGE" };
const refused = ["FLOW_NOT_FOUND", "FLOW_ACCESS_FORBIDDEN"] as const;

export const flows = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v1/flows",
		summary: "Makes a flow of a definition, after checking all of it",
		status: 201,
		body: flowCreation,
		bodyLimit: flowBody,
		reply: flowDocument,
		faults: ["FLOW_INVALID", "FLOW_TOO_LARGE"],
		handle: (caller, { body }) => operations.createFlow(caller, body),
	}),
	route({
		method: "GET",
		path: "/v1/flows",
		summary: "The flows that the caller may see, newest first",
		query: markedQuery({ filter_fulltext: z.string().max(256).optional() }),
		reply: flowPage,
		handle: async (caller, { query }) => {
			const page = await operations.listFlows(caller, { ...marked(query), text: query.filter_fulltext });
			return toMarked("flows", page, query.limit);
		},
	}),
	route({
		method: "POST",
		path: "/v1/flows/validate",
		summary: "Checks a definition without keeping it",
		body: flowValidation,
		bodyLimit: flowBody,
		reply: flowValidated,
		faults: ["FLOW_INVALID", "FLOW_TOO_LARGE"],
		handle: (caller, { body }) => operations.validateFlow(caller, body),
	}),
	route({
		method: "GET",
		path: "/v1/flows/{flow_id}",
		summary: "A flow",
		params: byId,
		reply: flowDocument,
		faults: ["FLOW_NOT_FOUND"],
		handle: (caller, { params }) => operations.getFlow(caller, params.flow_id),
	}),
	route({
		method: "PUT",
		path: "/v1/flows/{flow_id}",
		summary: "Changes a flow; runs under way keep the definition that they began with",
		params: byId,
		body: flowChange,
		bodyLimit: flowBody,
		reply: flowDocument,
		faults: [...refused, "FLOW_INVALID", "FLOW_TOO_LARGE"],
		handle: (caller, { params, body }) => operations.updateFlow(caller, params.flow_id, body),
	}),
	route({
		method: "DELETE",
		path: "/v1/flows/{flow_id}",
		summary: "Deletes a flow; its runs stay",
		params: byId,
		reply: flowDocument,
		faults: refused,
		handle: (caller, { params }) => operations.deleteFlow(caller, params.flow_id),
	}),
	route({
		method: "POST",
		path: "/v1/flows/{flow_id}/run",
		summary: "Starts a run",
		status: 201,
		params: byId,
		body: runStart,
		bodyLimit: flowBody,
		idempotent: true,
		reply: runDocument,
		faults: [...refused, "FLOW_INVALID", "FLOW_INPUT_ERROR", "FLOW_TOO_LARGE"],
		handle: (caller, { params, body, idempotencyKey }) =>
			operations.startRun(caller, params.flow_id, body, idempotencyKey),
	}),
	route({
		method: "POST",
		path: "/v1/flows/{flow_id}/validate_run",
		summary: "Checks what a run would begin with",
		params: byId,
		body: runStart,
		bodyLimit: flowBody,
		reply: z.object({ message: z.string() }),
		faults: [...refused, "FLOW_INPUT_ERROR", "FLOW_TOO_LARGE"],
		handle: async (caller, { params, body }) => {
			await operations.checkRun(caller, params.flow_id, body);
			return { message: "validation successful" };
		},
	}),
];
