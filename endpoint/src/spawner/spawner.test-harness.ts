/** Start commands as the cloud makes them. */
import { newId, type StartUserEndpointCommand } from "@errand/proto";

export function startCommandFor(
	manager: string,
	user: string,
	{ clientId = newId() }: { clientId?: string } = {},
): StartUserEndpointCommand {
	const ada = "0192f0c1-0000-7000-8000-00000000ada0";
	const url = "amqp://127.0.0.1:1/";
	const publishing = (queue: string) => ({
		connection_url: url,
		exchange: queue,
		queue,
		queue_publish_kwargs: {
			exchange: queue,
			routing_key: `${user}.${queue}`,
			mandatory: true as const,
			properties: { delivery_mode: 2 as const },
		},
	});
	return {
		command: "cmd_start_endpoint",
		args: [],
		kwargs: {
			name: `uep.${manager}.${user}`,
			user_opts: {},
			user_runtime: {},
			amqp_creds: {
				endpoint_id: user,
				task_queue_info: { connection_url: url, exchange: "tasks", queue: `${user}.tasks` },
				result_queue_info: publishing("results"),
				heartbeat_queue_info: publishing("heartbeats"),
			},
			errand: {
				cloud_url: "http://127.0.0.1:1",
				client_id: clientId,
				client_secret: "a secret",
				token_endpoint: "http://127.0.0.1:1/token",
			},
		},
		globus_username: "ada",
		globus_effective_identity: ada,
		globus_identity_set: [{ id: ada, username: "ada", status: "used" }],
	};
}
