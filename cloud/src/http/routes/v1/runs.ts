/** Runs of flows; the paths are those of the public interface's flow service. */
import {
	runBatch,
	runChange,
	runDefinition,
	runDocument,
	runLogPage,
	runPage,
	runStatuses,
	runVisits,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { flowId, given, runId } from "../ids.ts";
import { marked, markedQuery, toMarked } from "../marked-page.ts";

const byId = z.object({ run_id: runId });
const byFlow = z.object({ flow_id: flowId });
const refused = ["RUN_NOT_FOUND", "RUN_ACCESS_FORBIDDEN"] as const;

/** `a,b`, as the public interface writes lists. */
const listOf = <Output>(item: z.ZodType<Output, string>) =>
	z
		.string()
		.transform((text) => text.split(",").map((one) => one.trim()))
		.pipe(z.array(item));

const runFilters = {
	filter_flow_id: listOf(flowId).optional(),
	filter_status: listOf(z.enum(runStatuses)).optional(),
	filter_label: z.string().max(64).optional(),
};
const truth = z.enum(["true", "false", "True", "False"]).transform((text) => text.toLowerCase() === "true");

export const runs = (operations: Operations): Route[] => [
	route({
		method: "GET",
		path: "/v1/runs",
		summary: "The runs that the caller may see, newest first",
		query: markedQuery(runFilters),
		reply: runPage,
		handle: async (caller, { query }) => {
			const { filter_flow_id: flows, filter_status: statuses, filter_label: text } = query;
			const page = await operations.listRuns(caller, { ...marked(query), ...given({ flows, statuses, text }) });
			return toMarked("runs", page, query.limit);
		},
	}),
	route({
		method: "GET",
		path: "/v1/flows/{flow_id}/runs",
		summary: "Of a flow, the runs that the caller may see",
		params: byFlow,
		query: markedQuery(runFilters),
		reply: runPage,
		handle: async (caller, { params, query }) => {
			const { filter_status: statuses, filter_label: text } = query;
			const filter = { ...marked(query), flows: [params.flow_id], ...given({ statuses, text }) };
			return toMarked("runs", await operations.listRuns(caller, filter), query.limit);
		},
	}),
	route({
		method: "GET",
		path: "/v1/runs/{run_id}",
		summary: "A run",
		params: byId,
		query: z.strictObject({ include_flow_description: truth.optional() }),
		reply: runDocument,
		faults: ["RUN_NOT_FOUND"],
		handle: (caller, { params }) => operations.getRun(caller, params.run_id),
	}),
	route({
		method: "PUT",
		path: "/v1/runs/{run_id}",
		summary: "Changes a run's label, tags and people",
		params: byId,
		body: runChange,
		reply: runDocument,
		faults: refused,
		handle: (caller, { params, body }) => operations.updateRun(caller, params.run_id, body),
	}),
	route({
		method: "GET",
		path: "/v1/runs/{run_id}/definition",
		summary: "The definition that the run began with",
		params: byId,
		reply: runDefinition,
		faults: ["RUN_NOT_FOUND"],
		handle: (caller, { params }) => operations.runDefinition(caller, params.run_id),
	}),
	route({
		method: "GET",
		path: "/v1/runs/{run_id}/log",
		summary: "What happened in a run",
		params: byId,
		query: markedQuery({ reverse_order: truth.optional() }, 100, 10),
		reply: runLogPage,
		faults: ["RUN_NOT_FOUND"],
		handle: async (caller, { params, query }) => {
			const request = { ...marked(query), reverse: query.reverse_order === true };
			const page = await operations.runLog(caller, params.run_id, request);
			return { ...toMarked("entries", page, query.limit), end_marker: page.end_cursor };
		},
	}),
	route({
		method: "GET",
		path: "/v1/runs/{run_id}/states",
		summary: "The states that a run went through, each with its input and output",
		params: byId,
		reply: runVisits,
		faults: ["RUN_NOT_FOUND"],
		handle: (caller, { params }) => operations.runVisits(caller, params.run_id),
	}),
	route({
		method: "POST",
		path: "/v1/runs/{run_id}/cancel",
		summary: "Ends a run; its actions are asked to end",
		params: byId,
		reply: runDocument,
		faults: refused,
		handle: (caller, { params }) => operations.cancelRun(caller, params.run_id),
	}),
	route({
		method: "POST",
		path: "/v1/runs/{run_id}/resume",
		summary: "Says that what an inactive run waited for has been put right",
		params: byId,
		reply: runDocument,
		faults: refused,
		handle: (caller, { params }) => operations.resumeRun(caller, params.run_id),
	}),
	route({
		method: "POST",
		path: "/v1/runs/{run_id}/rerun",
		summary: "A new run from the states at which this one failed, with what the others came to",
		status: 201,
		params: byId,
		idempotent: true,
		reply: runDocument,
		faults: [...refused, "RESOURCE_CONFLICT", "FLOW_ACCESS_FORBIDDEN"],
		handle: (caller, { params, idempotencyKey }) => operations.rerunRun(caller, params.run_id, idempotencyKey),
	}),
	route({
		method: "POST",
		path: "/v1/runs/{run_id}/release",
		summary: "Forgets a run that has ended",
		params: byId,
		reply: runDocument,
		faults: [...refused, "RESOURCE_CONFLICT"],
		handle: (caller, { params }) => operations.releaseRun(caller, params.run_id),
	}),
	route({
		method: "POST",
		path: "/v1/batch/runs",
		summary: "Changes or cancels several runs",
		status: 202,
		body: runBatch,
		reply: z.object({}),
		faults: refused,
		handle: async (caller, { body }) => {
			await operations.changeRuns(caller, body);
			return {};
		},
	}),
];
