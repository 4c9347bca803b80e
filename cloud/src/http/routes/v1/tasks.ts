import { Fault, type TaskId } from "@errand/proto";
import {
	cancellation,
	cancelled,
	explanation,
	page,
	taskDocument,
	taskOutput,
	taskState,
	taskSummary,
} from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { endpointId, functionId, given, pageQuery, taskGroupId, taskId } from "../ids.ts";

const byId = z.object({ task_id: taskId });
const moment = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

/** `state=failed&state=running`, or `state=failed,running`. */
const states = z
	.union([z.string(), z.array(z.string())])
	.transform((value): string[] => (Array.isArray(value) ? value : [value]).flatMap((text) => text.split(",")))
	.pipe(z.array(taskState));

const taskQuery = pageQuery.extend({
	state: states.optional(),
	endpoint: endpointId.optional(),
	function: functionId.optional(),
	group: taskGroupId.optional(),
	since: moment.optional(),
	until: moment.optional(),
	id_prefix: z
		.string()
		.regex(/^[0-9a-fA-F-]{4,36}$/, "is not the beginning of an id: at least 4 of its characters")
		.transform((text) => text.toLowerCase())
		.optional(),
});

const outputQuery = z.strictObject({
	stream: z.enum(["stdout", "stderr"]).default("stdout"),
	offset: z
		.string()
		.regex(/^\d{1,15}$/, "is not a whole number of bytes")
		.transform(Number)
		.default(0),
});

export const tasks = (operations: Operations): Route[] => [
	route({
		method: "GET",
		path: "/v1/tasks",
		summary: "The caller's tasks, newest first",
		query: taskQuery,
		reply: page(taskSummary),
		handle: (caller, { query }) => {
			const { state, id_prefix, ...others } = query;
			return operations.listTasks(caller, given({ ...others, states: state, idPrefix: id_prefix }));
		},
	}),
	route({
		method: "POST",
		path: "/v1/tasks/cancel",
		summary: "Cancels tasks, a whole task group, or all on an endpoint that the caller looks after",
		body: cancellation,
		reply: cancelled,
		faults: ["TASK_GROUP_NOT_FOUND", "TASK_GROUP_ACCESS_FORBIDDEN", "ENDPOINT_NOT_FOUND", "ENDPOINT_ACCESS_FORBIDDEN"],
		handle: (caller, { body }) => {
			if (body.task_ids === undefined && body.task_group_id === undefined && body.endpoint_id === undefined) {
				throw new Fault(
					"SEMANTICALLY_INVALID",
					"Say which tasks to cancel: task_ids, or task_group_id, or endpoint_id.",
				);
			}
			const ids = body.task_ids?.map((id) => id.toLowerCase() as TaskId);
			const group = body.task_group_id === undefined ? undefined : taskGroupId.parse(body.task_group_id);
			const endpoint = body.endpoint_id === undefined ? undefined : endpointId.parse(body.endpoint_id);
			return operations.cancelTasks(caller, given({ taskIds: ids, group, endpoint }));
		},
	}),
	route({
		method: "GET",
		path: "/v1/tasks/{task_id}",
		summary: "One task, with its history and result",
		params: byId,
		reply: taskDocument,
		faults: ["TASK_NOT_FOUND"],
		handle: (caller, { params }) => operations.getTask(caller, params.task_id),
	}),
	route({
		method: "GET",
		path: "/v1/tasks/{task_id}/explanation",
		summary: "What a task waits for, in one word and one sentence",
		params: byId,
		reply: explanation,
		faults: ["TASK_NOT_FOUND"],
		handle: (caller, { params }) => operations.explainTask(caller, params.task_id),
	}),
	route({
		method: "POST",
		path: "/v1/tasks/{task_id}/cancel",
		summary: "Cancels one task, waiting or running",
		params: byId,
		reply: cancelled,
		faults: ["TASK_NOT_FOUND"],
		handle: async (caller, { params }) => {
			const outcome = await operations.cancelTasks(caller, { taskIds: [params.task_id] });
			if (outcome.not_found.length > 0) {
				throw new Fault("TASK_NOT_FOUND", `There is no task ${params.task_id} that you may see.`, {
					args: [params.task_id],
				});
			}
			return outcome;
		},
	}),
	route({
		method: "POST",
		path: "/v1/tasks/{task_id}/retry",
		summary: "Runs a finished task again, as a new task of the same group",
		params: byId,
		reply: z.object({ task_id: z.uuid() }),
		faults: ["TASK_NOT_FOUND", "ILLEGAL_TRANSITION", "AUTHENTICATION_POLICY_NOT_MET"],
		handle: async (caller, { params }) => ({ task_id: await operations.retryTask(caller, params.task_id) }),
	}),
	route({
		method: "GET",
		path: "/v1/tasks/{task_id}/output",
		summary: "What a task has printed, from an offset in bytes",
		params: byId,
		query: outputQuery,
		reply: taskOutput,
		faults: ["TASK_NOT_FOUND"],
		handle: (caller, { params, query }) => operations.taskOutput(caller, params.task_id, query.stream, query.offset),
	}),
];
