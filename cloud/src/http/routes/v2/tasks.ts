import type { TaskId } from "@errand/proto";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { taskGroupId, taskId } from "../ids.ts";

/** A task's document in the public interface: what it does not have is left out, never null. */
const publicTask = z.looseObject({
	task_id: z.uuid(),
	status: z.string(),
	result: z.string().optional(),
	exception: z.string().optional(),
	completion_t: z.string().optional(),
	reason: z.string().optional(),
});
type PublicTask = z.infer<typeof publicTask>;

/** As many as one submit may have made. */
const batchLimitIds = 20_000;

export const tasks = (operations: Operations): Route[] => [
	route({
		method: "GET",
		path: "/v2/tasks/{task_id}",
		summary: "Status and result of a task",
		hot: true,
		params: z.object({ task_id: taskId }),
		reply: publicTask,
		faults: ["TASK_NOT_FOUND"],
		handle: async (caller, { params }) => (await operations.getPublicTask(caller, params.task_id)) as PublicTask,
	}),
	route({
		method: "POST",
		path: "/v2/batch_status",
		summary: "Status and result of many tasks",
		hot: true,
		body: z.object({ task_ids: z.array(z.uuid()).max(batchLimitIds) }),
		reply: z.object({ response: z.literal("batch"), results: z.record(z.string(), publicTask) }),
		handle: async (caller, { body }) => {
			const ids = body.task_ids.map((id) => id.toLowerCase() as TaskId);
			return {
				response: "batch" as const,
				results: (await operations.getPublicTasks(caller, ids)) as Record<TaskId, PublicTask>,
			};
		},
	}),
	route({
		method: "GET",
		path: "/v2/taskgroup/{task_group_id}",
		summary: "The tasks of a group",
		params: z.object({ task_group_id: taskGroupId }),
		reply: z.looseObject({ taskgroup_id: z.uuid(), tasks: z.array(z.looseObject({ id: z.uuid() })) }),
		faults: ["TASK_GROUP_NOT_FOUND", "TASK_GROUP_ACCESS_FORBIDDEN"],
		handle: async (caller, { params }) =>
			(await operations.getPublicTaskGroup(caller, params.task_group_id)) as {
				taskgroup_id: string;
				tasks: { id: string }[];
			},
	}),
	route({
		method: "GET",
		path: "/v2/get_amqp_result_connection_url",
		summary: "Where results of groups with a queue can be consumed",
		reply: z.object({ queue_prefix: z.string(), connection_url: z.string() }),
		handle: (caller) => operations.resultConnection(caller),
	}),
];
