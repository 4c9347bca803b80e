import * as z from "zod";
import { type FaultCode, faults } from "../fault.ts";
import { taskStates } from "../task-state.ts";
import { waitingWords } from "../waiting.ts";
import { endpointStatusWord } from "./endpoint.ts";
import { checkedSpecification, resourceSpecification } from "./resources.ts";

export const taskState = z.enum(taskStates);

/**
 * `POST /v3/endpoints/{id}/submit`. Header `Idempotency-Key: <uuid>`: a repeat with the same key and body returns the
 * same task ids and runs nothing twice; with another body it is refused.
 */
export const submission = z.object({
	create_queue: z.boolean().optional(),
	/** Function id → packed arguments (`pack([args, kwargs])`, or `packReference`), one string a task. */
	tasks: z.record(z.uuid(), z.array(z.string())),
	task_group_id: z.uuid().nullish(),
	resource_specification: checkedSpecification.nullish(),
	user_endpoint_config: z.record(z.string(), z.unknown()).nullish(),
	user_runtime: z.record(z.string(), z.unknown()).nullish(),
	result_serializers: z.array(z.string()).nullish(),
});
export type Submission = z.input<typeof submission>;

export const submitted = z.object({
	request_id: z.uuid(),
	task_group_id: z.uuid(),
	endpoint_id: z.uuid(),
	tasks: z.record(z.uuid(), z.array(z.uuid())),
	/** What the submitter should know, a sentence each: versions that do not fit. Absent when there is nothing. */
	warnings: z.array(z.string()).optional(),
	/** The same as one text, at the place from which the public interface's client shows it to its user. */
	ha_warning: z.string().optional(),
});
export type Submitted = z.infer<typeof submitted>;

const faultCodes = Object.keys(faults) as [FaultCode, ...FaultCode[]];

/** Why a task did not succeed. */
export const failure = z.object({
	code: z.enum(faultCodes),
	name: z.string(),
	message: z.string(),
	stack: z.string(),
	exit_code: z.int(),
	signal: z.string(),
	stderr_tail: z.string(),
});
export type FailureDocument = z.infer<typeof failure>;

/** Where and when a task ran. Times are Unix milliseconds with fractions. */
export const execution = z.object({
	host: z.string(),
	block_id: z.string(),
	manager_id: z.string(),
	worker_pid: z.int(),
	runtime_version: z.string(),
	started_at_ms: z.number(),
	finished_at_ms: z.number(),
	losses: z.int(),
});
export type ExecutionDocument = z.infer<typeof execution>;

/** One row of `GET /v1/tasks` (filters: state, endpoint, function, group, since, until, limit, cursor); newest first. */
export const taskSummary = z.object({
	id: z.uuid(),
	group_id: z.uuid(),
	endpoint_id: z.uuid(),
	endpoint_name: z.string(),
	function_id: z.uuid(),
	function_name: z.string(),
	state: taskState,
	/** The task was asked to stop and has not yet. */
	cancel_requested: z.boolean(),
	created_at: z.iso.datetime(),
	finished_at: z.iso.datetime().nullable(),
	retry_of: z.uuid().nullable(),
	failure: failure.pick({ code: true, name: true, message: true }).nullable(),
});
export type TaskSummary = z.infer<typeof taskSummary>;

export const transition = z.object({
	state: taskState,
	at: z.iso.datetime(),
	actor: z.string(),
	reason: z.string().optional(),
});

/** `GET /v1/tasks/{id}` */
export const taskDocument = taskSummary.extend({
	resources: resourceSpecification.nullable(),
	/** How the versions at both ends did not fit when it was submitted; null: nothing was found. */
	version_skew: z.string().nullable().default(null),
	transitions: z.array(transition),
	execution: execution.nullable(),
	failure: failure.nullable(),
	/** One serialized buffer; absent while unfinished, failed, or by reference. */
	result: z.string().optional(),
	result_reference: z.object({ sha256: z.string(), size_bytes: z.int() }).optional(),
	stdout_bytes: z.int(),
	stderr_bytes: z.int(),
});
export type TaskDocument = z.infer<typeof taskDocument>;

/** `GET /v1/tasks/{id}/explanation`: what a task waits for, in one word and one sentence. */
export const explanation = z.object({
	task_id: z.uuid(),
	state: taskState,
	/** Null: it does not wait; it runs, or has ended. */
	word: z.enum(waitingWords).nullable(),
	/** For people; with the scheduler's own reason where there is one. */
	sentence: z.string(),
	/** Since when it is so. */
	since: z.iso.datetime(),
	endpoint_id: z.uuid(),
	/** Empty when the endpoint has been deleted. */
	endpoint_name: z.string(),
	endpoint_status: endpointStatusWord,
	/** When the endpoint was last heard of: what it says is as old as this. */
	endpoint_seen_at: z.iso.datetime().nullable(),
	/** What is wrong at the endpoint, in its own words; null when it says that all is well. */
	trouble: z.string().nullable(),
	/** As in the task's document. */
	version_skew: z.string().nullable().default(null),
});
export type Explanation = z.infer<typeof explanation>;

/** `POST /v1/tasks/cancel` and its reply: what became of each. */
export const cancellation = z.object({
	task_ids: z.array(z.uuid()).max(10_000).optional(),
	task_group_id: z.uuid().optional(),
	/** All unfinished tasks on an endpoint that one looks after, also those of its guests. */
	endpoint_id: z.uuid().optional(),
});
export const cancelled = z.object({
	/** Was not with the endpoint: ended here and now. */
	cancelled: z.array(z.uuid()),
	/** The endpoint has been asked; the state tells when it is done. */
	requested: z.array(z.uuid()),
	/** Had already ended. */
	finished: z.array(z.uuid()),
	not_found: z.array(z.uuid()),
});

/** `GET /v1/tasks/{id}/output?stream=stdout|stderr&offset=0`: what is kept, from an offset. */
export const taskOutput = z.object({
	stream: z.enum(["stdout", "stderr"]),
	offset_bytes: z.int(),
	/** Text; bytes that are not UTF-8 are replaced. */
	data: z.string(),
	next_offset_bytes: z.int(),
	truncated: z.boolean(),
	/** The task has ended and nothing will follow. */
	ended: z.boolean(),
});

/** A page of rows. `next_cursor` is null on the last one. */
export const page = <Row extends z.ZodType>(row: Row) =>
	z.object({ items: z.array(row), next_cursor: z.string().nullable() });
export interface Page<Row> {
	items: Row[];
	next_cursor: string | null;
}
