/** How clients before version 3 submit: each task names its endpoint. */
import type { EndpointId, FunctionId, TaskGroupId } from "@errand/proto";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { endpointId, functionId, taskGroupId } from "../ids.ts";
import { checkTaskCount, submitBodyLimit, submitFaults } from "../v3/submit.ts";

const earlierSubmission = z.object({
	task_group_id: taskGroupId.nullish(),
	create_websocket_queue: z.boolean().optional(),
	tasks: z.array(z.tuple([functionId, endpointId, z.string()])),
});
const earlierSubmitted = z.object({
	response: z.literal("success"),
	task_group_id: z.uuid(),
	results: z.array(z.object({ status: z.literal("success"), task_uuid: z.uuid(), http_status_code: z.literal(200) })),
});

interface Share {
	readonly tasks: Record<FunctionId, string[]>;
	/** Of each function's tasks: their places in the request. */
	readonly places: Map<FunctionId, number[]>;
}

function shareByEndpoint(tasks: readonly (readonly [FunctionId, EndpointId, string])[]): Map<EndpointId, Share> {
	const shares = new Map<EndpointId, Share>();
	tasks.forEach(([fn, endpoint, payload], place) => {
		let share = shares.get(endpoint);
		if (share === undefined) {
			share = { tasks: {}, places: new Map() };
			shares.set(endpoint, share);
		}
		const places = share.places.get(fn);
		if (places === undefined) {
			share.tasks[fn] = [payload];
			share.places.set(fn, [place]);
		} else {
			share.tasks[fn]?.push(payload);
			places.push(place);
		}
	});
	return shares;
}

export const submit = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v2/submit",
		summary: "Submits tasks to endpoints; the earlier form",
		body: earlierSubmission,
		bodyLimit: submitBodyLimit,
		opaque: "tasks",
		reply: earlierSubmitted,
		faults: submitFaults,
		handle: async (caller, { body }) => {
			checkTaskCount(body.tasks.length);
			const group: TaskGroupId = body.task_group_id ?? (await operations.createTaskGroup(caller));
			const ids: string[] = new Array(body.tasks.length);
			for (const [endpoint, share] of shareByEndpoint(body.tasks)) {
				const input = { tasks: share.tasks, task_group_id: group, create_queue: body.create_websocket_queue ?? false };
				const reply = await operations.submit(caller, endpoint, input, undefined);
				for (const [fn, places] of share.places) {
					places.forEach((place, i) => {
						ids[place] = reply.tasks[fn]?.[i] as string;
					});
				}
			}
			return {
				response: "success" as const,
				task_group_id: group,
				results: ids.map((task_uuid) => ({ status: "success" as const, task_uuid, http_status_code: 200 as const })),
			};
		},
	}),
];
