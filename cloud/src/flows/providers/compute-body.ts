/** Bodies of compute actions: of the public interface's provider, version 3 and the one before. */
import { type EndpointId, type FunctionId, parseId } from "@errand/proto";
import type { Json } from "@errand/proto/flow";
import { submission } from "@errand/proto/rest";
import * as z from "zod";

export interface ComputeTask {
	readonly function: FunctionId;
	readonly args: readonly Json[];
	readonly kwargs: { readonly [name: string]: Json };
}

type Settings = Pick<
	z.output<typeof submission>,
	"task_group_id" | "user_endpoint_config" | "resource_specification" | "create_queue"
>;

export interface ComputeBody {
	readonly endpoint: EndpointId;
	/** In the order of their results. */
	readonly tasks: readonly ComputeTask[];
	readonly settings: Settings;
}

/** Tasks of one action: their results come back into the run's state together. */
const tasksLimit = 10_000;

const positional = z.array(z.json());
const keyword = z.record(z.string(), z.json());
const settings = submission.pick({
	task_group_id: true,
	user_endpoint_config: true,
	resource_specification: true,
	create_queue: true,
});

/** Arguments as they are, or (the earlier version) as JSON text. */
const asJson = <S extends z.ZodType>(schema: S) =>
	z.preprocess((value, context) => {
		if (typeof value !== "string") return value;
		try {
			return JSON.parse(value) as unknown;
		} catch {
			context.addIssue({ code: "custom", message: "is text that is not JSON" });
			return z.NEVER;
		}
	}, schema);

const version3 = settings.extend({
	endpoint_id: z.uuid(),
	tasks: z
		.array(z.strictObject({ function_id: z.uuid(), args: positional.default([]), kwargs: keyword.default({}) }))
		.min(1)
		.max(tasksLimit),
});

const earlierTask = z.strictObject({
	endpoint: z.uuid().optional(),
	function: z.uuid(),
	args: asJson(z.union([positional, z.json().transform((one) => [one])])).default([]),
	kwargs: asJson(keyword).default({}),
});
const earlier = settings.extend({
	endpoint: z.uuid().optional(),
	function: z.uuid().optional(),
	args: earlierTask.shape.args,
	kwargs: earlierTask.shape.kwargs,
	tasks: z.array(earlierTask).max(tasksLimit).default([]),
});

/** Throws an Error that says what does not fit. */
export function readComputeBody(body: Json): ComputeBody {
	const isEarlier = typeof body === "object" && body !== null && ("endpoint" in body || "function" in body);
	return isEarlier ? fromEarlier(body) : fromVersion3(body);
}

function fromVersion3(body: Json): ComputeBody {
	const { endpoint_id, tasks, ...rest } = parsed(version3, body);
	return {
		endpoint: parseId<EndpointId>(endpoint_id) as EndpointId,
		tasks: tasks.map(({ function_id, args, kwargs }) => taskOf(function_id, args, kwargs)),
		settings: rest,
	};
}

function fromEarlier(body: Json): ComputeBody {
	const { endpoint, function: fn, args, kwargs, tasks, ...rest } = parsed(earlier, body);
	const all = [...(fn === undefined ? [] : [{ endpoint, function: fn, args, kwargs }]), ...tasks];
	const endpoints = new Set(all.map((task) => (task.endpoint ?? endpoint)?.toLowerCase()));
	const [only] = endpoints;
	if (all.length === 0) throw new Error("the action's body has no task: give function, or tasks");
	if (endpoints.size > 1 || only === undefined)
		throw new Error("all tasks of an action go to one endpoint: give it as endpoint");
	return {
		endpoint: only as EndpointId,
		tasks: all.map((task) => taskOf(task.function, task.args, task.kwargs)),
		settings: rest,
	};
}

const taskOf = (fn: string, args: readonly unknown[], kwargs: object): ComputeTask => ({
	function: fn.toLowerCase() as FunctionId,
	args: args as readonly Json[],
	kwargs: kwargs as ComputeTask["kwargs"],
});

function parsed<S extends z.ZodType>(schema: S, body: Json): z.output<S> {
	const outcome = schema.safeParse(body);
	if (outcome.success) return outcome.data;
	const said = outcome.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`);
	throw new Error(`the body of the compute action does not fit: ${said.join("; ")}`);
}
