/** Where an endpoint takes messages from and leaves them, as replies and commands name it. */
import { commandQueue, type EndpointId, exchanges, routingKey, taskQueue } from "@errand/proto";
import type { EndpointRegistered } from "@errand/proto/rest";

/** Everything that a daemon of ours is told. `url`: with user and password. */
export function registeredAt(id: EndpointId, url: string): EndpointRegistered {
	const publishPlace = (queue: "results" | "heartbeats" | "reports") => ({
		connection_url: url,
		exchange: exchanges[queue],
		queue,
		queue_publish_kwargs: {
			exchange: exchanges[queue],
			routing_key: routingKey(id, queue),
			mandatory: true as const,
			properties: { delivery_mode: 2 as const },
		},
	});
	return {
		endpoint_id: id,
		task_queue_info: { connection_url: url, exchange: exchanges.tasks, queue: taskQueue(id) },
		command_queue_info: { connection_url: url, exchange: exchanges.commands, queue: commandQueue(id) },
		result_queue_info: publishPlace("results"),
		heartbeat_queue_info: publishPlace("heartbeats"),
		report_queue_info: publishPlace("reports"),
		warnings: [],
	};
}

/** What a manager is told of the place of a user endpoint. */
export function credentialsAt(
	id: EndpointId,
	url: string,
): Pick<EndpointRegistered, "endpoint_id" | "task_queue_info" | "result_queue_info" | "heartbeat_queue_info"> {
	const { endpoint_id, task_queue_info, result_queue_info, heartbeat_queue_info } = registeredAt(id, url);
	return { endpoint_id, task_queue_info, result_queue_info, heartbeat_queue_info };
}
