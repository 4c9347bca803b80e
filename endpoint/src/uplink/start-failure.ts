/** Tells the cloud, under a user endpoint's own name, that it could not be started: one message on a connection of its own. */
import { contentTypes, encodeMessage, type StartError, type StartUserEndpointCommand } from "@errand/proto";
import { connect } from "amqplib";

const timeoutMs = 10_000;
/** Seconds; what the field's managers say. */
const heartbeatPeriod = 3;
/** It is for people, and kept by the cloud. */
const wordsLimitCharacters = 6_000;

type Place = StartUserEndpointCommand["kwargs"]["amqp_creds"]["heartbeat_queue_info"];

/** Resolves when the broker has it. */
export async function tellStartFailure(
	place: Place,
	userEndpointId: string,
	{ error, transient }: StartError,
): Promise<void> {
	const connection = await connect(place.connection_url, {
		noDelay: true,
		timeout: timeoutMs,
		clientProperties: { connection_name: "errand manager: a start failed" },
	});
	const lost = Promise.withResolvers<never>();
	lost.promise.catch(() => undefined);
	connection.on("error", (error: Error) => lost.reject(error));
	connection.on("close", () => lost.reject(new Error("the broker closed the connection")));
	const late = setTimeout(() => lost.reject(new Error(`the broker took longer than ${timeoutMs} ms`)), timeoutMs);
	try {
		const channel = await Promise.race([connection.createConfirmChannel(), lost.promise]);
		channel.on("error", (error: Error) => lost.reject(error));
		const global_state = { error: error.slice(0, wordsLimitCharacters), transient, heartbeat_period: heartbeatPeriod };
		const body = encodeMessage("ep_status_report", { endpoint_id: userEndpointId, global_state, task_statuses: {} });
		const { exchange, routing_key: key } = place.queue_publish_kwargs;
		channel.publish(exchange, key, Buffer.from(body), {
			mandatory: true,
			persistent: true,
			contentType: contentTypes.json,
			timestamp: Math.floor(Date.now() / 1000),
		});
		await Promise.race([channel.waitForConfirms(), lost.promise]);
	} finally {
		clearTimeout(late);
		const closing = connection.close().catch(() => undefined);
		await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
	}
}
