/**
 * The port to whatever administers the broker: RabbitMQ's management interface, or the listener inside this process.
 * Messages themselves travel over AMQP 0-9-1 in both cases (`connection.ts`), so they need no port.
 */
import type { AccountId, EndpointId, TaskGroupId } from "@errand/proto";

/** Where and as whom to connect, as an `amqp://` or `amqps://` URL with user, password and virtual host. */
export type ConnectionUrl = string;

export interface Broker {
	/** For the cloud itself: may publish and consume everything. */
	readonly serviceUrl: ConnectionUrl;

	/** Exchanges, the cloud's queues and their bindings. May be repeated. */
	setUp(): Promise<void>;

	/**
	 * A user for this endpoint with a fresh password, and its queues. On success the user may consume only
	 * `<id>.tasks` and `<id>.commands`, and publish only to results, heartbeats and reports with its own routing keys;
	 * connections under an earlier password are closed. May be repeated.
	 * `queueExisted` is false when the task queue had to be made: whatever was in it is gone.
	 */
	provisionEndpoint(id: EndpointId): Promise<{ url: ConnectionUrl; queueExisted: boolean }>;

	/** Ends the endpoint's connections and its user; its queues and what is in them stay. May be repeated. */
	revokeEndpoint(id: EndpointId): Promise<void>;

	/** As revoke, and the queues go too. May be repeated. */
	removeEndpoint(id: EndpointId): Promise<void>;

	/** A user for this account that may only consume queues that start with the account's prefix. May be repeated. */
	provisionReader(id: AccountId): Promise<{ url: ConnectionUrl; queuePrefix: string }>;

	/** The queue of a group's results for clients of the public interface; it expires when nobody uses it for 14 days. May be repeated. */
	declareGroupQueue(account: AccountId, group: TaskGroupId): Promise<void>;

	/** Messages waiting in the endpoint's task queue; one call. */
	taskQueueDepth(id: EndpointId): Promise<number>;

	/** Resolves when the broker answers; rejects with what it said. For `/readyz` and `doctor`. */
	check(): Promise<void>;

	close(): Promise<void>;
}
