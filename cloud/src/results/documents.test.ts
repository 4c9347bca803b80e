import { decodeMessage, type EndpointId, encodeMessage, newId, type TaskId } from "@errand/proto";
import type { ExecutionDocument, StreamResult } from "@errand/proto/rest";
import { expect, test } from "vitest";
import { publicResultMessage, versionsOf } from "./documents.ts";

const endpoint = newId<EndpointId>();
const success: StreamResult = { task_id: newId<TaskId>(), state: "success", stdout_bytes: 0, stderr_bytes: 0 };
const ranOn = (runtime_version: string): ExecutionDocument => ({
	host: "n1",
	block_id: "",
	manager_id: "",
	worker_pid: 1,
	runtime_version,
	started_at_ms: 1,
	finished_at_ms: 2,
	losses: 0,
});

test("a value too large for a message of the public interface is told as a failure, with the way to the value", () => {
	const reference = { sha256: "ab".repeat(32), size_bytes: 20_000_000 };
	const message = publicResultMessage({ ...success, value_reference: reference }, endpoint, undefined);
	expect(message.error_details?.code).toBe("MaxResultSizeExceeded");
	expect(message.data).toContain(`20000000 bytes`);
	expect(message.data).toContain(`/v1/blobs/${reference.sha256}`);
	expect(decodeMessage("result", encodeMessage("result", message)).task_id).toBe(success.task_id);
});

test.each([
	["Python 3.11.7", { python_version: "3.11.7" }],
	["Python 3.11.7, dill 0.3.9", { python_version: "3.11.7", dill_version: "0.3.9" }],
	[
		"Python 3.8.1, dill 0.3.9, globus-compute-sdk 4.19.0",
		{ python_version: "3.8.1", dill_version: "0.3.9", globus_compute_sdk_version: "4.19.0" },
	],
	["Node.js 24.21.0", {}],
	["", {}],
])("GC-6: clients of the public interface are told what ran %j, to compare with their own", (runtime, versions) => {
	expect(versionsOf(ranOn(runtime))).toEqual(versions);
	const message = publicResultMessage({ ...success, execution: ranOn(runtime) }, endpoint, "11\n1");
	expect(message.details).toEqual({ endpoint_id: endpoint, ...versions });
	expect(message.error_details).toBeNull();
});
