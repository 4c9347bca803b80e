import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";

export const taskGroups = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v1/task-groups",
		summary: "A new task group, so that its results can be followed before the first task is submitted",
		reply: z.object({ task_group_id: z.uuid() }),
		handle: async (caller) => ({ task_group_id: await operations.createTaskGroup(caller) }),
	}),
];
