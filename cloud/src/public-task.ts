/** One task as the public interface's endpoints take it: a message of its own, ids and settings in the headers. */
import { contentTypes, encodeMessage, type FunctionId, type TaskId } from "@errand/proto";
import { Runtime } from "@errand/proto/wire";
import { commandInPython } from "./public-command.ts";

export interface PublicTask {
	readonly id: TaskId;
	readonly function: FunctionId;
	/** Packed code. */
	readonly code: string;
	readonly runtime: Runtime;
	/** Packed arguments. */
	readonly payload: string;
	readonly resources: Readonly<Record<string, unknown>> | null;
	readonly resultSerializers: readonly string[] | null;
}

export interface PublicMessage {
	readonly body: Uint8Array;
	readonly properties: {
		readonly contentType: string;
		readonly contentEncoding: string;
		readonly headers: Readonly<Record<string, unknown>>;
	};
}

/** JSON where it can, so that whoever sent JSON can read the answer; else what the endpoint would have chosen itself. */
const answersToJson = ["JSONData", "DillDataBase64", "DillCode"].map(
	(name) => `globus_compute_sdk.serialize.concretes.${name}`,
);

/** Whether the first buffer of packed arguments is JSON. */
function isJson(payload: string): boolean {
	return payload.startsWith("11\n", payload.indexOf("\n") + 1);
}

/** The message for an endpoint's task queue. The code is Python's or a command's. */
export function publicTaskMessage(task: PublicTask): PublicMessage {
	const code = task.runtime === Runtime.COMMAND ? commandInPython(task.code) : task.code;
	const serializers = task.resultSerializers ?? (isJson(task.payload) ? answersToJson : null);
	return {
		body: encodeMessage("task", { task_id: task.id, task_buffer: code + task.payload }),
		properties: {
			contentType: contentTypes.json,
			contentEncoding: "utf-8",
			headers: {
				function_uuid: task.function,
				task_uuid: task.id,
				// Text in the header, not a table.
				...(task.resources !== null && { resource_specification: JSON.stringify(task.resources) }),
				...(serializers !== null && { result_serializers: [...serializers] }),
			},
		},
	};
}
