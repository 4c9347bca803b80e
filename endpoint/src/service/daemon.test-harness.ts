/** The cloud and the broker as one double at the daemon's ports, and batches of tasks as the broker delivers them. */
import {
	decodeMessage,
	Fault,
	type FunctionId,
	idFromBytes,
	idToBytes,
	joinBuffer,
	newId,
	pack,
	serializations,
	type TaskId,
} from "@errand/proto";
import {
	create,
	FunctionSchema,
	fromBinary,
	type Resources,
	ResourcesSchema,
	type Result,
	ResultBatchSchema,
	Runtime,
	TaskBatchSchema,
	toBinary,
} from "@errand/proto/wire";
import type { CloudClient } from "../uplink/cloud-client.ts";
import type { Uplink, UplinkEvents, UplinkOptions } from "../uplink/uplink.ts";

const encoder = new TextEncoder();

/** What is confirmed is kept, what is not is lost. */
export class FakeCloud {
	events: UplinkEvents | undefined;
	readonly results = new Map<TaskId, Result>();
	recordedTwice = 0;
	/** False: nothing is confirmed, as without a network. */
	confirms = true;
	heartbeats: Record<string, unknown>[] = [];
	leaseHolder: string | undefined;
	/** The endpoint is not there any more. */
	deleted = false;

	readonly client: CloudClient = {
		takeLease: async (request) => {
			if (this.deleted) throw new Fault("ENDPOINT_NOT_FOUND", "deleted");
			if (
				this.leaseHolder !== undefined &&
				this.leaseHolder !== request.holder_id &&
				this.leaseHolder !== request.replaces_holder_id
			)
				throw new Fault("LEASE_HELD", "held by node7 (process 42)");
			this.leaseHolder = request.holder_id;
			const { holder_id, host, pid } = request;
			return { epoch: 1, holder_id, host, pid, expires_at: new Date().toISOString(), ttl_ms: 300 };
		},
		releaseLease: async () => {
			this.leaseHolder = undefined;
		},
		register: async () => {
			const place = { connection_url: "", exchange: "", queue: "" };
			const publish = {
				...place,
				queue_publish_kwargs: {
					exchange: "",
					routing_key: "",
					mandatory: true as const,
					properties: { delivery_mode: 2 as const },
				},
			};
			return {
				endpoint_id: newId(),
				task_queue_info: place,
				command_queue_info: place,
				result_queue_info: publish,
				heartbeat_queue_info: publish,
				report_queue_info: publish,
				warnings: [],
			};
		},
		ownerId: async () => newId(),
		version: async () => ({}),
		blobs: {
			download: () => Promise.reject(new Fault("BLOB_NOT_FOUND", "no blobs here")),
			upload: async () => undefined,
		},
	};

	connect = ({ events }: UplinkOptions): Uplink => {
		this.events = events;
		setImmediate(() => events.connected());
		return {
			connected: true,
			publishResults: async (bytes) => {
				if (!this.confirms) return new Promise(() => undefined);
				for (const result of fromBinary(ResultBatchSchema, bytes).results) {
					const id = idFromBytes<TaskId>(result.taskId);
					if (this.results.has(id)) this.recordedTwice++;
					this.results.set(id, result);
				}
			},
			publishReports: () => undefined,
			heartbeat: async (body) => {
				this.heartbeats.push(decodeMessage("ep_status_report", body).global_state);
			},
			close: async () => undefined,
		};
	};
}

const functionId = newId<FunctionId>();

export function batchOf(
	source: string,
	argumentLists: readonly unknown[][],
	resources: Partial<Resources> = {},
): { bytes: Uint8Array; ids: TaskId[] } {
	const ids = argumentLists.map(() => newId<TaskId>());
	const bytes = toBinary(
		TaskBatchSchema,
		create(TaskBatchSchema, {
			functions: [
				create(FunctionSchema, {
					id: idToBytes(functionId),
					runtime: Runtime.JAVASCRIPT,
					name: "f",
					code: encoder.encode(pack([joinBuffer(serializations.javascriptSource, `f:${source}`)])),
				}),
			],
			tasks: argumentLists.map((list, at) => ({
				id: idToBytes(ids[at] as TaskId),
				functionId: idToBytes(functionId),
				groupId: idToBytes(newId()),
				payload: encoder.encode(pack([joinBuffer("11", JSON.stringify(list)), joinBuffer("11", "{}")])),
				resources: create(ResourcesSchema, resources as Resources),
			})),
		}),
	);
	return { bytes, ids };
}

/** The value that a result carries; of a failure the failure itself. */
export const returnedBy = (result: Result | undefined): unknown => {
	const outcome = result?.outcome;
	return outcome?.case === "value" ? JSON.parse(new TextDecoder().decode(outcome.value).slice(3)) : outcome?.value;
};
