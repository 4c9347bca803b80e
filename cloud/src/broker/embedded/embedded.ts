/** The broker inside the cloud's own process: an AMQP 0-9-1 listener for unmodified clients, durable in one directory. */
import { chmod, mkdir } from "node:fs/promises";
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { type AccountId, type EndpointId, groupQueuePrefix, type TaskGroupId, taskQueue } from "@errand/proto";
import type { Broker, ConnectionUrl } from "../broker.ts";
import type { Log } from "../logging.ts";
import {
	connectionUrl,
	endpointQueues,
	endpointRights,
	endpointUser,
	groupQueueExpiresMs,
	readerRights,
	readerUser,
	serviceRights,
	setUpPlan,
	urlAt,
} from "../rights.ts";
import { lockDirectory } from "./directory-lock.ts";
import type { QueueDeclaration } from "./message-queue.ts";
import { Refusal } from "./refusal.ts";
import { Session } from "./session.ts";
import { UserStore } from "./users.ts";
import { VirtualHost } from "./virtual-host.ts";

export interface EmbeddedBrokerOptions {
	/** For this broker alone; made if it is missing, mode 0700. */
	directory: string;
	/** Address to listen on. */
	host: string;
	/** 0: any free one. */
	port: number;
	/** The name under which endpoints and clients reach `port`; default `host`. */
	publicHost?: string;
	/** How endpoints and clients reach the broker (`amqps://mq.example.org`), where something stands before it. */
	publicUrl?: string;
	log: Log;
	/** With it, `port` speaks TLS, and the cloud itself uses a second port on the loopback address. */
	tls?: TlsOptions;
	/** Message contents in memory; what comes above stays on disk until it is delivered. Default 256 MiB. */
	memoryBudgetBytes?: number;
	/** Received of messages that are not complete, from all clients together. Default 512 MiB. */
	unfinishedLimitBytes?: number;
	/** Of the broker's 10,000 connections one user may have so many: nobody takes all of them. Default 1,000. */
	userConnectionLimit?: number;
	/** Size of one file of the log. Default 64 MiB. */
	segmentBytes?: number;
	/** For the whole of a client's log-in. Default 10 s, as in RabbitMQ. */
	handshakeTimeoutMs?: number;
	/** Proposed to clients; silence of twice this ends a connection. Default 60 s, as in RabbitMQ. */
	heartbeatS?: number;
}

export interface EmbeddedBroker extends Broker {
	readonly port: number;
	/** For metrics. */
	usage(): { connections: number; memoryBytes: number; diskBytes: number };
}

const connectionLimit = 10_000;
const serviceUser = "errand-cloud";

/** Rejects when another process uses the directory, or the port is taken. */
export async function openEmbeddedBroker(options: EmbeddedBrokerOptions): Promise<EmbeddedBroker> {
	await mkdir(options.directory, { recursive: true, mode: 0o700 });
	await chmod(options.directory, 0o700);
	const undo: (() => Promise<void>)[] = [];
	try {
		const lock = await lockDirectory(options.directory);
		undo.unshift(() => lock.release());
		const users = await UserStore.open(options.directory);
		const host = await VirtualHost.open({
			directory: options.directory,
			log: options.log,
			memoryBudgetBytes: options.memoryBudgetBytes ?? 256 * 1024 * 1024,
			segmentBytes: options.segmentBytes ?? 64 * 1024 * 1024,
		});
		undo.unshift(() => host.close());
		const sessions = new SessionSet(options, users, host);
		undo.unshift(() => sessions.close());
		const main = options.tls ? createTlsServer(options.tls) : createServer();
		const event = options.tls ? "secureConnection" : "connection";
		const port = await sessions.listen(main, event, options.host, options.port);
		const loopback = isWildcard(options.host) || options.tls ? "127.0.0.1" : options.host;
		const servicePort = options.tls ? await sessions.listen(createServer(), "connection", loopback, 0) : port;
		const password = users.putEphemeral(serviceUser, serviceRights);
		options.log.info({ host: options.host, port, tls: options.tls !== undefined }, "embedded broker listens");
		return new Embedded({
			users,
			host,
			sessions,
			port,
			serviceUrl: connectionUrl(false, serviceUser, password, loopback, servicePort),
			publicUrl: publicUrls(options, port),
			close: async () => {
				for (const step of undo) await step();
			},
		});
	} catch (error) {
		for (const step of undo) await step().catch(() => undefined);
		throw error;
	}
}

/** Where endpoints and clients are sent. */
function publicUrls(
	{ host, publicHost, publicUrl, tls }: EmbeddedBrokerOptions,
	port: number,
): (user: string, password: string) => ConnectionUrl {
	if (publicUrl !== undefined) return (user, password) => urlAt(publicUrl, user, password);
	const name = publicHost ?? (isWildcard(host) ? "127.0.0.1" : host);
	return (user, password) => connectionUrl(tls !== undefined, user, password, name, port);
}

const isWildcard = (host: string): boolean => host === "0.0.0.0" || host === "::" || host === "";

/** Listening sockets and the connections that came from them. */
class SessionSet {
	readonly #options: EmbeddedBrokerOptions;
	readonly #users: UserStore;
	readonly #host: VirtualHost;
	readonly #servers: Server[] = [];
	readonly #sessions = new Set<Session>();
	readonly #byUser = new Map<string, Set<Session>>();
	readonly #unfinished: { bytes: number; readonly limitBytes: number };

	constructor(options: EmbeddedBrokerOptions, users: UserStore, host: VirtualHost) {
		this.#options = options;
		this.#users = users;
		this.#host = host;
		this.#unfinished = { bytes: 0, limitBytes: options.unfinishedLimitBytes ?? 512 * 1024 * 1024 };
	}

	get size(): number {
		return this.#sessions.size;
	}

	async listen(server: Server, event: "connection" | "secureConnection", host: string, port: number): Promise<number> {
		server.maxConnections = connectionLimit;
		server.on(event, (socket: Socket) => this.#accept(socket));
		server.on("tlsClientError", (error: Error) => this.#options.log.debug({ err: error }, "amqp tls handshake failed"));
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, host, () => {
				server.off("error", reject);
				resolve();
			});
		});
		server.on("error", (error) => this.#options.log.error({ err: error }, "amqp listener failed"));
		this.#servers.push(server);
		return (server.address() as AddressInfo).port;
	}

	/** Ends the connections of this user; the clients hear why. */
	end(user: string, reason: string): void {
		for (const session of [...(this.#byUser.get(user) ?? [])]) session.close(new Refusal("CONNECTION_FORCED", reason));
	}

	async close(): Promise<void> {
		const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
		for (const session of [...this.#sessions])
			session.close(new Refusal("CONNECTION_FORCED", "broker forced connection closure with reason 'shutdown'"));
		// The close frames leave in this turn; nobody is waited for.
		await new Promise<void>((resolve) => setImmediate(resolve));
		for (const session of [...this.#sessions]) session.destroy();
		await Promise.all(closed);
	}

	#accept(socket: Socket): void {
		const session = new Session({
			socket,
			host: this.#host,
			log: this.#options.log,
			authenticate: (name, password) => this.#users.authenticate(name, password),
			onAuthenticated: (authenticated, { name }) => {
				const sessions = this.#byUser.get(name) ?? new Set();
				if (sessions.size >= (this.#options.userConnectionLimit ?? 1_000) && name !== serviceUser)
					throw new Refusal(
						"NOT_ALLOWED",
						`user '${name}' has ${sessions.size} connections, as many as one may have; close some`,
					);
				this.#byUser.set(name, sessions.add(authenticated));
				socket.once("close", () => {
					sessions.delete(authenticated);
					if (sessions.size === 0 && this.#byUser.get(name) === sessions) this.#byUser.delete(name);
				});
			},
			onClosed: (ended) => this.#sessions.delete(ended),
			unfinished: this.#unfinished,
			handshakeTimeoutMs: this.#options.handshakeTimeoutMs ?? 10_000,
			heartbeatS: this.#options.heartbeatS ?? 60,
			version: "0.1.0",
		});
		this.#sessions.add(session);
	}
}

interface EmbeddedParts {
	users: UserStore;
	host: VirtualHost;
	sessions: SessionSet;
	port: number;
	serviceUrl: ConnectionUrl;
	publicUrl: (user: string, password: string) => ConnectionUrl;
	close: () => Promise<void>;
}

const durableQueue = (name: string, expiresMs?: number): QueueDeclaration => ({
	name,
	durable: true,
	autoDelete: false,
	exclusiveTo: undefined,
	expiresMs,
	arguments: expiresMs === undefined ? {} : { "x-expires": expiresMs },
});

class Embedded implements EmbeddedBroker {
	readonly port: number;
	readonly serviceUrl: ConnectionUrl;
	readonly #parts: EmbeddedParts;
	/** Made by this process, so that asking again gives the same answer. */
	readonly #readers = new Map<AccountId, Promise<ConnectionUrl>>();
	#closed: Promise<void> | undefined;

	constructor(parts: EmbeddedParts) {
		this.#parts = parts;
		this.port = parts.port;
		this.serviceUrl = parts.serviceUrl;
	}

	async setUp(): Promise<void> {
		const { host } = this.#parts;
		for (const { name, type } of setUpPlan.exchanges)
			host.declareExchange({ name, type, durable: true, autoDelete: false, internal: false });
		for (const { name, exchange, key } of setUpPlan.queues) {
			const { queue } = host.declareQueue(durableQueue(name), this);
			host.bind(host.exchange(exchange), key, queue);
		}
		await host.flushed();
	}

	async provisionEndpoint(id: EndpointId): Promise<{ url: ConnectionUrl; queueExisted: boolean }> {
		const { host, users, sessions } = this.#parts;
		let queueExisted = true;
		for (const { name, exchange } of endpointQueues(id)) {
			const { queue, created } = host.declareQueue(durableQueue(name), this);
			if (created && name === taskQueue(id)) queueExisted = false;
			host.bind(host.exchange(exchange), name, queue);
		}
		const user = endpointUser(id);
		const [password] = await Promise.all([users.put(user, endpointRights(id), "end"), host.flushed()]);
		sessions.end(user, "the endpoint was given a new password");
		return { url: this.#parts.publicUrl(user, password), queueExisted };
	}

	async revokeEndpoint(id: EndpointId): Promise<void> {
		const user = endpointUser(id);
		await this.#parts.users.remove(user);
		this.#parts.sessions.end(user, "the endpoint's access was revoked");
	}

	async removeEndpoint(id: EndpointId): Promise<void> {
		await this.revokeEndpoint(id);
		const { host } = this.#parts;
		for (const { name } of endpointQueues(id)) {
			const queue = host.findQueue(name);
			if (queue) host.deleteQueue(queue);
		}
		await host.flushed();
	}

	async provisionReader(id: AccountId): Promise<{ url: ConnectionUrl; queuePrefix: string }> {
		let url = this.#readers.get(id);
		if (!url) {
			const user = readerUser(id);
			url = this.#parts.users
				.put(user, readerRights(id), "stay")
				.then((password) => this.#parts.publicUrl(user, password));
			this.#readers.set(id, url);
			url.catch(() => this.#readers.delete(id));
		}
		return { url: await url, queuePrefix: groupQueuePrefix(id) };
	}

	async declareGroupQueue(account: AccountId, group: TaskGroupId): Promise<void> {
		const { host } = this.#parts;
		const name = `${groupQueuePrefix(account)}${group}`;
		const { created } = host.declareQueue(durableQueue(name, groupQueueExpiresMs), this);
		if (created) await host.flushed();
	}

	async taskQueueDepth(id: EndpointId): Promise<number> {
		return this.#parts.host.findQueue(taskQueue(id))?.depth ?? 0;
	}

	async check(): Promise<void> {
		if (this.#closed !== undefined) throw new Error("the embedded broker is closed");
		await this.#parts.host.flushed();
	}

	usage(): { connections: number; memoryBytes: number; diskBytes: number } {
		const { host, sessions } = this.#parts;
		return { connections: sessions.size, memoryBytes: host.memoryBytes, diskBytes: host.diskBytes };
	}

	close(): Promise<void> {
		this.#closed ??= this.#parts.close();
		return this.#closed;
	}
}
