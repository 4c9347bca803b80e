/** RabbitMQ as the broker: users, rights, exchanges and queues through its management API. */
import { createHmac, randomBytes } from "node:crypto";
import { type AccountId, type EndpointId, groupQueuePrefix, type TaskGroupId, taskQueue } from "@errand/proto";
import type { Broker, ConnectionUrl } from "./broker.ts";
import {
	endpointQueues,
	endpointRights,
	endpointUser,
	groupQueueExpiresMs,
	type Rights,
	readerRights,
	readerUser,
	setUpPlan,
	urlAt,
} from "./rights.ts";

export interface RabbitmqOptions {
	/** `amqp(s)://user:password@host:port/vhost` of a user who may publish and consume everything: the cloud's own. */
	amqpUrl: string;
	/** `http(s)://user:password@host:15672` of an administrator. */
	managementUrl: string;
	/** What endpoints and clients connect to, when it is another address than the cloud's; user and password are filled in. */
	publicUrl?: string;
}

/** The management interface answered something else than was asked for; `status` 0: it did not answer. */
class RabbitmqError extends Error {
	override readonly name = "RabbitmqError";
	readonly status: number;

	constructor(status: number, message: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.status = status;
	}
}

const requestTimeoutMs = 15_000;
const segment = encodeURIComponent;

/** Opens no connection: every call is one or a few HTTP requests. */
export function openRabbitmq(options: RabbitmqOptions): Broker {
	return new Rabbitmq(options);
}

class Rabbitmq implements Broker {
	readonly serviceUrl: ConnectionUrl;
	readonly #management: URL;
	readonly #login: string;
	readonly #password: string;
	readonly #public: URL;
	readonly #virtualHost: string;
	readonly #closing = new AbortController();
	/** Readers made by this process: their password does not change. */
	readonly #readers = new Map<AccountId, Promise<void>>();

	constructor(options: RabbitmqOptions) {
		this.serviceUrl = options.amqpUrl;
		this.#management = new URL(options.managementUrl);
		const user = decodeURIComponent(this.#management.username);
		this.#password = decodeURIComponent(this.#management.password);
		this.#login = `Basic ${Buffer.from(`${user}:${this.#password}`).toString("base64")}`;
		this.#public = new URL(options.publicUrl ?? options.amqpUrl);
		this.#virtualHost = decodeURIComponent(new URL(options.amqpUrl).pathname.slice(1)) || "/";
	}

	async setUp(): Promise<void> {
		// Whoever sets up again has a broker that may have forgotten them.
		this.#readers.clear();
		const host = segment(this.#virtualHost);
		for (const { name, type } of setUpPlan.exchanges)
			await this.#ask("PUT", `/api/exchanges/${host}/${segment(name)}`, { type, durable: true, auto_delete: false });
		for (const { name, exchange, key } of setUpPlan.queues) {
			await this.#declareQueue(name, {});
			await this.#bind(exchange, name, key);
		}
	}

	async provisionEndpoint(id: EndpointId): Promise<{ url: ConnectionUrl; queueExisted: boolean }> {
		let queueExisted = true;
		for (const { name, exchange } of endpointQueues(id)) {
			const created = await this.#declareQueue(name, {});
			if (created && name === taskQueue(id)) queueExisted = false;
			await this.#bind(exchange, name, name);
		}
		const user = endpointUser(id);
		const password = randomBytes(24).toString("base64url");
		// A changed password leaves connections open; RabbitMQ ends those of a user who is deleted.
		await this.#deleteUser(user);
		await this.#putUser(user, password, endpointRights(id));
		return { url: this.#urlFor(user, password), queueExisted };
	}

	async revokeEndpoint(id: EndpointId): Promise<void> {
		await this.#deleteUser(endpointUser(id));
	}

	async removeEndpoint(id: EndpointId): Promise<void> {
		await this.revokeEndpoint(id);
		for (const { name } of endpointQueues(id))
			await this.#ask("DELETE", `/api/queues/${segment(this.#virtualHost)}/${segment(name)}`, undefined, [404]);
	}

	async provisionReader(id: AccountId): Promise<{ url: ConnectionUrl; queuePrefix: string }> {
		const user = readerUser(id);
		// A user of RabbitMQ has one password, and an account any number of clients, served by any number of clouds: the
		// password is derived from a secret that all clouds have, so that one client's connecting never shuts out another.
		const password = createHmac("sha256", this.#password).update(`errand reader ${user}`).digest("base64url");
		let made = this.#readers.get(id);
		if (!made) {
			made = this.#putUser(user, password, readerRights(id));
			this.#readers.set(id, made);
			made.catch(() => this.#readers.delete(id));
		}
		await made;
		return { url: this.#urlFor(user, password), queuePrefix: groupQueuePrefix(id) };
	}

	async declareGroupQueue(account: AccountId, group: TaskGroupId): Promise<void> {
		await this.#declareQueue(`${groupQueuePrefix(account)}${group}`, { "x-expires": groupQueueExpiresMs });
	}

	async taskQueueDepth(id: EndpointId): Promise<number> {
		const path = `/api/queues/${segment(this.#virtualHost)}/${segment(taskQueue(id))}`;
		const answer = await this.#ask("GET", path, undefined, [404]);
		if (answer.status === 404) return 0;
		const { messages_ready: ready } = (await answer.json()) as { messages_ready?: number };
		return ready ?? 0;
	}

	async check(): Promise<void> {
		const path = `/api/vhosts/${segment(this.#virtualHost)}`;
		await (await this.#ask("GET", path)).arrayBuffer();
	}

	async close(): Promise<void> {
		this.#closing.abort(new Error("the broker's administration is closed"));
	}

	#urlFor(user: string, password: string): ConnectionUrl {
		return urlAt(this.#public, user, password, this.#virtualHost);
	}

	/** True when it was not there. */
	async #declareQueue(name: string, given: Record<string, unknown>): Promise<boolean> {
		const path = `/api/queues/${segment(this.#virtualHost)}/${segment(name)}`;
		const answer = await this.#ask("PUT", path, { durable: true, auto_delete: false, arguments: given });
		return answer.status === 201;
	}

	async #bind(exchange: string, queue: string, key: string): Promise<void> {
		const path = `/api/bindings/${segment(this.#virtualHost)}/e/${segment(exchange)}/q/${segment(queue)}`;
		await this.#ask("POST", path, { routing_key: key, arguments: {} });
	}

	async #putUser(user: string, password: string, rights: Rights): Promise<void> {
		await this.#ask("PUT", `/api/users/${segment(user)}`, { password, tags: "" });
		const topicPath = `/api/topic-permissions/${segment(this.#virtualHost)}/${segment(user)}`;
		// Limits on routing keys before the right to publish: there is no moment without them.
		for (const [exchange, { write, read }] of Object.entries(rights.topics))
			await this.#ask("PUT", topicPath, { exchange, write, read });
		const { configure, write, read } = rights;
		await this.#ask("PUT", `/api/permissions/${segment(this.#virtualHost)}/${segment(user)}`, {
			configure,
			write,
			read,
		});
	}

	/** Its connections end with it. */
	async #deleteUser(user: string): Promise<void> {
		await this.#ask("DELETE", `/api/users/${segment(user)}`, undefined, [404]);
	}

	async #ask(method: string, path: string, body?: unknown, alsoFine: readonly number[] = []): Promise<Response> {
		const url = new URL(this.#management.pathname.replace(/\/$/, "") + path, this.#management.origin);
		let answer: Response;
		try {
			answer = await fetch(url, {
				method,
				headers: {
					authorization: this.#login,
					...(body === undefined ? {} : { "content-type": "application/json" }),
				},
				...(body === undefined ? {} : { body: JSON.stringify(body) }),
				signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(requestTimeoutMs)]),
			});
		} catch (error) {
			throw new RabbitmqError(
				0,
				`RabbitMQ's management interface at ${this.#management.host} did not answer ${method} ${path}; is it running, and is its plugin enabled?`,
				error,
			);
		}
		if (answer.ok) {
			if (method !== "GET") await answer.arrayBuffer();
			return answer;
		}
		const said = (await answer.text()).slice(0, 500);
		if (alsoFine.includes(answer.status)) return answer;
		throw new RabbitmqError(answer.status, `RabbitMQ answered ${answer.status} to ${method} ${path}: ${said}`);
	}
}
