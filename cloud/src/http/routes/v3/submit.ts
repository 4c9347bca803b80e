import { Fault, type FunctionId, submitLimitBytes, submitLimitTasks } from "@errand/proto";
import { submission, submitted } from "@errand/proto/rest";
import * as z from "zod";
import type { Operations } from "../../../operations/operations.ts";
import type { BodyLimit } from "../../body.ts";
import { type Route, route } from "../../route.ts";
import { endpointId } from "../ids.ts";

export const submitBodyLimit: BodyLimit = { bytes: submitLimitBytes, code: "TASK_PAYLOAD_TOO_LARGE" };

/** Faults that a submit may answer with. */
export const submitFaults = [
	"ENDPOINT_NOT_FOUND",
	"ENDPOINT_ACCESS_FORBIDDEN",
	"FUNCTION_NOT_FOUND",
	"FUNCTION_ACCESS_FORBIDDEN",
	"FUNCTION_NOT_PERMITTED",
	"AUTHENTICATION_POLICY_NOT_MET",
	"TASK_GROUP_NOT_FOUND",
	"TASK_GROUP_ACCESS_FORBIDDEN",
	"QUOTA_EXCEEDED",
	"TASK_PAYLOAD_TOO_LARGE",
	"BATCH_RUN_TOO_LARGE",
	"IDEMPOTENCY_KEY_REUSED",
	"NOT_READY",
] as const;

/** Throws unless there are tasks, and not too many. */
export function checkTaskCount(count: number): void {
	if (count === 0) throw new Fault("SEMANTICALLY_INVALID", "The request's body does not fit: tasks: there is none.");
	if (count > submitLimitTasks) {
		throw new Fault(
			"BATCH_RUN_TOO_LARGE",
			`One request submits at most ${submitLimitTasks} tasks, this has ${count}.`,
			{
				args: [String(submitLimitTasks), String(count)],
			},
		);
	}
}

type Submission = z.output<typeof submission>;

/** Ids in lower case: everything behind compares them as text. */
function canonical(input: Submission): Submission {
	let count = 0;
	let lower = true;
	for (const [id, tasks] of Object.entries(input.tasks)) {
		count += tasks.length;
		if (id !== id.toLowerCase()) lower = false;
	}
	checkTaskCount(count);
	if (!lower) {
		const tasks: Record<FunctionId, string[]> = {};
		for (const [id, list] of Object.entries(input.tasks)) {
			const key = id.toLowerCase() as FunctionId;
			tasks[key] = [...(tasks[key] ?? []), ...list];
		}
		input.tasks = tasks;
	}
	if (typeof input.task_group_id === "string") input.task_group_id = input.task_group_id.toLowerCase();
	return input;
}

export const submit = (operations: Operations): Route[] => [
	route({
		method: "POST",
		path: "/v3/endpoints/{endpoint_id}/submit",
		summary: "Submits tasks to an endpoint; they are durable when it replies",
		hot: true,
		params: z.object({ endpoint_id: endpointId }),
		body: submission,
		bodyLimit: submitBodyLimit,
		opaque: "tasks",
		idempotent: true,
		reply: submitted,
		faults: submitFaults,
		handle: (caller, { params, body, idempotencyKey }) =>
			operations.submit(caller, params.endpoint_id, canonical(body), idempotencyKey),
	}),
];
