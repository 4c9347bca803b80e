import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { CloudEventBus, CloudEvents } from "./events.ts";

/** What the cloud counts, for Prometheus. */
export interface Metrics {
	/** One request that has been answered. `route` is the route's template, never the path itself. */
	request(method: string, route: string, status: number, seconds: number): void;
	/** A number that is asked for whenever somebody looks; `read` must be quick. Names begin with `errand_`. */
	gauge(name: string, help: string, read: () => number | Promise<number>): void;
	/** The text of the exposition format, and its content type. */
	expose(): Promise<{ contentType: string; text: string }>;
	close(): void;
}

/** A request is an interactive thing below 10 ms, and broken above 10 s. */
const requestBucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Listens to the cloud's events and counts. Each call has a registry of its own. */
export function createMetrics(events: CloudEventBus): Metrics {
	const registry = new Registry();
	collectDefaultMetrics({ register: registry });
	const registers = [registry];
	const requests = new Histogram({
		name: "errand_http_request_seconds",
		help: "Answered requests by method, route and status",
		labelNames: ["method", "route", "status"],
		buckets: requestBucketsSeconds,
		registers,
	});
	const submitted = new Counter({ name: "errand_tasks_submitted_total", help: "Accepted tasks", registers });
	const finished = new Counter({
		name: "errand_tasks_finished_total",
		help: "Recorded results by outcome",
		labelNames: ["state"],
		registers,
	});
	const reports = new Counter({
		name: "errand_task_reports_total",
		help: "State changes, output and progress told by endpoints",
		labelNames: ["type"],
		registers,
	});
	const heartbeats = new Counter({ name: "errand_endpoint_heartbeats_total", help: "Heartbeats taken", registers });
	const rejected = new Counter({
		name: "errand_messages_rejected_total",
		help: "Messages from endpoints that could not be used",
		labelNames: ["queue"],
		registers,
	});
	const unknown = new Counter({
		name: "errand_results_unknown_total",
		help: "Results for tasks that the endpoint does not have",
		registers,
	});
	const broker = new Gauge({ name: "errand_broker_connected", help: "1 while the broker is connected", registers });
	const losses = new Counter({ name: "errand_broker_lost_total", help: "Lost broker connections", registers });
	for (const state of ["success", "failed", "cancelled"]) finished.inc({ state }, 0);

	const listeners: { [Name in keyof CloudEvents]?: (...args: CloudEvents[Name]) => void } = {
		"tasks:submitted": ({ count }) => submitted.inc(count),
		"results:recorded": ({ results }) => {
			for (const result of results) finished.inc({ state: result.state });
		},
		"task:reported": ({ frame }) => reports.inc({ type: frame.type }),
		"endpoint:heartbeat": () => heartbeats.inc(),
		"message:rejected": ({ queue }) => rejected.inc({ queue }),
		"task:unknown-result": () => unknown.inc(),
		"broker:connected": () => broker.set(1),
		"broker:lost": () => {
			broker.set(0);
			losses.inc();
		},
	};
	const entries = Object.entries(listeners) as [keyof CloudEvents, (...args: unknown[]) => void][];
	for (const [name, listener] of entries) events.on(name, listener as never);

	return {
		request: (method, route, status, seconds) => requests.observe({ method, route, status: String(status) }, seconds),
		gauge(name, help, read) {
			new Gauge({
				name,
				help,
				registers,
				async collect() {
					this.set(await read());
				},
			});
		},
		expose: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
		close() {
			for (const [name, listener] of entries) events.off(name, listener as never);
			registry.clear();
		},
	};
}
