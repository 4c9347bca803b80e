import { newId } from "@errand/proto";
import { expect, test } from "vitest";
import { CloudEventBus } from "./events.ts";
import { createMetrics } from "./metrics.ts";

test("what happens in the cloud is counted from its events, and no longer after closing", async () => {
	const events = new CloudEventBus();
	const metrics = createMetrics(events);
	const group = newId<never>();
	const result = { task_id: newId<never>(), state: "success", stdout_bytes: 0, stderr_bytes: 0 } as const;
	events.emit("tasks:submitted", { group, endpoint: newId(), count: 7 });
	events.emit("results:recorded", { group, cursors: [1n, 2n], results: [result, { ...result, state: "failed" }] });
	events.emit("broker:connected");
	events.emit("broker:lost", { reason: "closed" });
	events.emit("message:rejected", { queue: "results", reason: "no protobuf", endpoint: "e" });
	metrics.request("GET", "/v1/tasks", 200, 0.003);
	metrics.gauge("errand_queue_depth", "Rows that wait", () => 42);
	const { text } = await metrics.expose();
	for (const line of [
		"errand_tasks_submitted_total 7",
		'errand_tasks_finished_total{state="success"} 1',
		'errand_tasks_finished_total{state="failed"} 1',
		'errand_tasks_finished_total{state="cancelled"} 0',
		"errand_broker_connected 0",
		"errand_broker_lost_total 1",
		'errand_messages_rejected_total{queue="results"} 1',
		'errand_http_request_seconds_bucket{le="0.005",method="GET",route="/v1/tasks",status="200"} 1',
		"errand_queue_depth 42",
		"nodejs_eventloop_lag_seconds",
	]) {
		expect(text).toContain(line);
	}
	metrics.close();
	expect(events.eventNames()).toEqual([]);
});
