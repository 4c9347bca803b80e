/** The methods of a channel that make, bind and remove exchanges and queues. */
import { randomBytes } from "node:crypto";
import type { ChannelHome } from "./channel-home.ts";
import { type Fields, methods } from "./codec.ts";
import { type ExchangeType, exchangeTypes } from "./exchange.ts";
import type { MessageQueue } from "./message-queue.ts";
import { Refusal } from "./refusal.ts";
import type { User } from "./users.ts";

/** Answers unless the client wants none; `durable`: when the change is on disk. */
type Reply = (fields: Fields, durable: boolean, method: number, reply?: Fields) => void;

export class TopologyMethods {
	readonly #home: ChannelHome;
	readonly #reply: Reply;
	#lastQueue = "";

	constructor(home: ChannelHome, reply: Reply) {
		this.#home = home;
		this.#reply = reply;
	}

	/** The queue that a method names, or the one declared last. Throws a Refusal. */
	queue(fields: Fields): MessageQueue {
		const name = (fields.queue as string) || this.#lastQueue;
		if (name === "") throw new Refusal("NOT_FOUND", "no queue is named, and none was declared on this channel");
		return this.#home.host.queue(name, this.#home);
	}

	/** Throws a Refusal. */
	exchangeDeclare(fields: Fields): void {
		const { host, user } = this.#home;
		const name = fields.exchange as string;
		if (fields.passive) {
			mustKnow(user, name, "exchange");
			host.exchange(name);
		} else {
			if (name === "") throw new Refusal("ACCESS_REFUSED", "the default exchange cannot be declared");
			user.mustBeAllowed("configure", "exchange", name);
			const type = fields.type as ExchangeType;
			if (!exchangeTypes.includes(type))
				throw new Refusal(
					"COMMAND_INVALID",
					`unknown exchange type '${type}'; this broker has ${exchangeTypes.join(", ")}`,
				);
			host.declareExchange({
				name,
				type,
				durable: fields.durable as boolean,
				autoDelete: fields.autoDelete as boolean,
				internal: fields.internal as boolean,
			});
		}
		this.#reply(fields, !fields.passive && (fields.durable as boolean), methods.exchangeDeclareOk);
	}

	/** Throws a Refusal. */
	exchangeDelete(fields: Fields): void {
		this.#home.user.mustBeAllowed("configure", "exchange", fields.exchange as string);
		this.#home.host.deleteExchange(fields.exchange as string, fields.ifUnused as boolean);
		this.#reply(fields, true, methods.exchangeDeleteOk);
	}

	/** Throws a Refusal. */
	queueDeclare(fields: Fields): void {
		const { host, user } = this.#home;
		let name = fields.queue as string;
		let queue: MessageQueue;
		let created = false;
		if (fields.passive) {
			mustKnow(user, name, "queue");
			queue = host.queue(name || this.#lastQueue, this.#home);
			queue.touch();
		} else {
			if (name.startsWith("amq.") && !host.findQueue(name))
				throw new Refusal("ACCESS_REFUSED", `queue name '${name}' contains reserved prefix 'amq.*'`);
			if (name === "") name = `amq.gen-${randomBytes(16).toString("base64url")}`;
			user.mustBeAllowed("configure", "queue", name);
			const given = fields.arguments as Record<string, unknown>;
			({ queue, created } = host.declareQueue(
				{
					name,
					durable: fields.durable as boolean,
					autoDelete: fields.autoDelete as boolean,
					exclusiveTo: fields.exclusive ? this.#home : undefined,
					...queueArguments(given),
				},
				this.#home,
			));
		}
		this.#lastQueue = queue.name;
		this.#reply(fields, created && queue.declaration.durable, methods.queueDeclareOk, {
			queue: queue.name,
			messageCount: queue.depth,
			consumerCount: queue.consumerCount,
		});
	}

	/** Throws a Refusal. */
	queueBind(fields: Fields, bind: boolean): void {
		const { host, user } = this.#home;
		const name = fields.exchange as string;
		const key = fields.routingKey as string;
		const queue = this.queue(fields);
		user.mustBeAllowed("write", "queue", queue.name);
		user.mustBeAllowed("read", "exchange", name);
		const exchange = host.exchange(name);
		if (exchange.declaration.type === "topic") user.mustBeAllowedTopic("read", name, key);
		if (bind) host.bind(exchange, key, queue);
		else host.unbind(exchange, key, queue);
		this.#reply(fields, queue.declaration.durable, bind ? methods.queueBindOk : methods.queueUnbindOk);
	}

	/** Throws a Refusal. */
	queuePurge(fields: Fields): void {
		const queue = this.queue(fields);
		this.#home.user.mustBeAllowed("read", "queue", queue.name);
		const messageCount = queue.purge();
		this.#reply(fields, false, methods.queuePurgeOk, { messageCount });
	}

	/** Throws a Refusal. */
	queueDelete(fields: Fields): void {
		const { host, user } = this.#home;
		const name = (fields.queue as string) || this.#lastQueue;
		user.mustBeAllowed("configure", "queue", name);
		let messageCount = 0;
		if (host.findQueue(name)) {
			const queue = host.queue(name, this.#home);
			if (fields.ifUnused && queue.consumerCount > 0)
				throw new Refusal("PRECONDITION_FAILED", `queue '${name}' in use`);
			if (fields.ifEmpty && queue.depth > 0) throw new Refusal("PRECONDITION_FAILED", `queue '${name}' not empty`);
			messageCount = host.deleteQueue(queue);
		}
		this.#reply(fields, true, methods.queueDeleteOk, { messageCount });
	}
}

/** Whether a name exists is told to those who have some right to it. */
function mustKnow(user: User, name: string, kind: "queue" | "exchange"): void {
	if (!user.may("read", name) && !user.may("write", name)) user.mustBeAllowed("configure", kind, name);
}

/** What an argument of `queue.declare` asks for is done or refused, never ignored. */
function queueArguments(given: Record<string, unknown>): {
	expiresMs: number | undefined;
	arguments: Record<string, unknown>;
} {
	const kept: Record<string, unknown> = {};
	for (const name of Object.keys(given).sort()) {
		const value = given[name];
		if (name === "x-expires" && typeof value === "number" && Number.isInteger(value) && value > 0) kept[name] = value;
		else if (name === "x-queue-type" && value === "classic") kept[name] = value;
		else
			throw new Refusal(
				"PRECONDITION_FAILED",
				`invalid arg '${name}' = ${JSON.stringify(value)}; this broker has x-expires (positive milliseconds) and x-queue-type classic`,
			);
	}
	return { expiresMs: kept["x-expires"] as number | undefined, arguments: kept };
}
