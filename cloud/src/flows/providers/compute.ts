/**
 * The built-in provider that runs functions on endpoints, in the run owner's name and with the owner's rights. Its bodies
 * and answers are those of the public interface's own provider, in both its versions. Results tell when it has ended.
 */
import {
	type EndpointId,
	Fault,
	joinBuffer,
	pack,
	serializations,
	splitBuffer,
	type TaskGroupId,
	type TaskId,
} from "@errand/proto";
import type { Json, JsonObject } from "@errand/proto/flow";
import type { FailureDocument, StreamResult, submission } from "@errand/proto/rest";
import { jsonObstacle, parseStructured } from "@errand/proto/structured-value";
import type * as z from "zod";
import type { Operations } from "../../operations/operations.ts";
import { streamResultOfRow } from "../../results/documents.ts";
import type { Database } from "../../store/pool.ts";
import { endedAmong } from "../../store/results.ts";
import { type ComputeBody, type ComputeTask, readComputeBody } from "./compute-body.ts";
import { ownerOf, translated } from "./owner.ts";
import { type Answer, type Ask, type Provider, Refusal } from "./provider.ts";

/** Results tell; this is for what no process was there to hear. */
const safetyMs = 20_000;
/** Results come as JSON: a flow can read nothing else. */
const resultSerializers = ["globus_compute_sdk.serialize.concretes.JSONData"];

type Submission = z.output<typeof submission>;

export function computeProvider(ports: {
	database: Database;
	operations: Pick<Operations, "submit" | "cancelTasks">;
}): Provider {
	const { database, operations } = ports;

	async function run(ask: Ask): Promise<Answer> {
		const { endpoint, input, tasks } = bodyOf(ask);
		const submitted = await translated(async () =>
			operations.submit(await ownerOf(database, ask), endpoint, input, ask.requestId).catch(loginWanted),
		);
		if ("wanted" in submitted) return wantsLogin(ask, submitted.wanted);
		// A list of each function's tasks, in the order of the body.
		const left = new Map(Object.entries(submitted.tasks).map(([fn, ids]) => [fn, [...ids]]));
		const ids = tasks.map((task) => left.get(task.function)?.shift() as TaskId);
		return answer(ask, "ACTIVE", submitted.task_group_id as TaskGroupId, ids, { tasks: ids.length, ended: 0 });
	}

	async function status(ask: Ask): Promise<Answer> {
		const { group, ids } = begunOf(ask);
		const rows = await endedAmong(database, ids);
		if (rows.length < ids.length) return answer(ask, "ACTIVE", group, ids, { tasks: ids.length, ended: rows.length });
		const byId = new Map(rows.map((row) => [row.id, streamResultOfRow(row)]));
		const results = ids.map((id) => resultOf(byId.get(id) as StreamResult));
		const bad = results.filter((one) => "error" in one);
		if (bad.length === 0)
			return answer(ask, "SUCCEEDED", group, ids, { result: results.map((one) => one.output as Json), results });
		const first = bad[0]?.error as { [key: string]: Json };
		const description =
			ids.length === 1
				? String(first.message)
				: `${bad.length} of ${ids.length} tasks failed; the first: ${String(first.message)}`;
		return answer(ask, "FAILED", group, ids, { description, error: first.code as Json, results });
	}

	return {
		run,
		status,
		resume: status,
		async cancel(ask) {
			const { ids } = begunOf(ask);
			await translated(async () => operations.cancelTasks(await ownerOf(database, ask), { taskIds: ids }));
			return status(ask);
		},
	};
}

function bodyOf(ask: Ask): { endpoint: EndpointId; input: Submission; tasks: readonly ComputeTask[] } {
	let body: ComputeBody;
	try {
		body = readComputeBody(ask.body);
	} catch (cause) {
		throw new Refusal((cause as Error).message);
	}
	const tasks: Record<string, string[]> = {};
	for (const task of body.tasks) {
		const packed = pack([
			joinBuffer(serializations.json, JSON.stringify(task.args)),
			joinBuffer(serializations.json, JSON.stringify(task.kwargs)),
		]);
		tasks[task.function] = [...(tasks[task.function] ?? []), packed];
	}
	const input: Submission = { tasks, result_serializers: resultSerializers, ...body.settings };
	return { endpoint: body.endpoint, input, tasks: body.tasks };
}

/** The endpoint asks for another login than the owner's: for the owner to give, and no end of the action. */
function loginWanted(cause: unknown): { wanted: Fault } {
	if (cause instanceof Fault && cause.code === "AUTHENTICATION_POLICY_NOT_MET") return { wanted: cause };
	throw cause;
}

function wantsLogin(ask: Ask, { code, message, authorization }: Fault): Answer {
	const description = `${message}; log in so, then resume the run`;
	const details = {
		code,
		description,
		...(authorization && { authorization_parameters: { ...authorization } as JsonObject }),
	};
	const creator_id = `urn:globus:auth:identity:${ask.owner}`;
	const document = { action_id: null, status: "INACTIVE", display_status: "INACTIVE", creator_id, details };
	return { status: "INACTIVE", actionId: null, document, askAgainMs: safetyMs };
}

/** Of an action that was begun: its document says which tasks it has. */
function begunOf(ask: Ask): { group: TaskGroupId; ids: TaskId[] } {
	const { task_group_id, task_ids } = ask.document as { task_group_id: TaskGroupId; task_ids: TaskId[] };
	return { group: task_group_id, ids: task_ids };
}

function answer(
	ask: Ask,
	status: Answer["status"],
	group: TaskGroupId,
	ids: readonly TaskId[],
	details: { readonly [key: string]: Json },
): Answer {
	const actionId = `tg_${group}`;
	const before = (ask.document ?? {}) as { start_time?: string };
	const now = new Date().toISOString();
	return {
		status,
		actionId,
		askAgainMs: safetyMs,
		newsOf: group,
		document: {
			action_id: actionId,
			status,
			display_status: status,
			creator_id: `urn:globus:auth:identity:${ask.owner}`,
			label: ask.label,
			start_time: before.start_time ?? now,
			completion_time: status === "ACTIVE" ? null : now,
			release_after: null,
			monitor_by: [],
			manage_by: [],
			task_group_id: group,
			task_ids: ids,
			details,
		},
	};
}

type TaskResult = { readonly [key: string]: Json };

function resultOf(result: StreamResult): TaskResult {
	const { task_id, failure } = result;
	const failed = (error: { readonly [key: string]: Json }): TaskResult => ({ task_id, output: null, error });
	if (failure !== undefined) return failed(errorOf(failure));
	// Too large for the run's state: what reads it takes it from the blob store.
	if (result.value_reference !== undefined) return { task_id, output: { reference: { ...result.value_reference } } };
	try {
		const output = readValue(result.value ?? "");
		const code = returnCodeOf(output);
		if (code === undefined || code === 0) return { task_id, output };
		return {
			task_id,
			output,
			error: { code: "FUNCTION_FAILED", message: `the command ended with return code ${code}` },
		};
	} catch (cause) {
		return failed({ code: "RESULT_NOT_SERIALIZABLE", message: (cause as Error).message });
	}
}

const errorOf = ({ code, name, message, stack }: FailureDocument): { readonly [key: string]: Json } => ({
	code,
	name,
	message: name === "" ? message : `${name}: ${message}`,
	stack,
});

/** Throws an Error in words when the value is not JSON. */
function readValue(buffer: string): Json {
	const { id, content } = splitBuffer(buffer);
	if (id === serializations.json) return JSON.parse(content) as Json;
	if (id !== serializations.structured)
		throw new Error(
			`the result is serialized as "${id}", which a flow cannot read: let the function return JSON values`,
		);
	const value = parseStructured(content) ?? null;
	const obstacle = jsonObstacle(value);
	if (obstacle !== undefined) throw new Error(`${obstacle.message}; let the function return JSON values`);
	return JSON.parse(JSON.stringify(value)) as Json;
}

/** Of what a command's worker returns. */
function returnCodeOf(output: Json): number | undefined {
	if (typeof output !== "object" || output === null || Array.isArray(output)) return undefined;
	const keys = Object.keys(output).sort().join();
	const { returncode } = output as { returncode?: Json };
	return keys === "cmd,exception_name,returncode,stderr,stdout" && typeof returncode === "number"
		? returncode
		: undefined;
}
