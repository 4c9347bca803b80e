/** One AMQP channel: its methods, consumers, confirms, and what it has delivered and not heard of again. */
import { randomBytes } from "node:crypto";
import { ChannelConfirms } from "./channel-confirms.ts";
import type { ChannelHome } from "./channel-home.ts";
import { type Fields, methodName, methods } from "./codec.ts";
import type { Content } from "./frames.ts";
import { deliverFrame } from "./frames.ts";
import { IncomingMessage } from "./incoming-message.ts";
import type { Entry } from "./message.ts";
import type { Consumer, MessageQueue } from "./message-queue.ts";
import { readProperties } from "./properties.ts";
import { Refusal } from "./refusal.ts";
import { TopologyMethods } from "./topology-methods.ts";
import { Unacked } from "./unacked.ts";

/** Of one connection; each costs memory, whether or not it gets anything. */
const consumerLimit = 10_000;

class ChannelConsumer implements Consumer {
	readonly tag: string;
	readonly tagBytes: Buffer;
	readonly queue: MessageQueue;
	readonly noAck: boolean;
	readonly limit: number;
	readonly #channel: Channel;
	unacked = 0;

	constructor(channel: Channel, queue: MessageQueue, tag: string, noAck: boolean, limit: number) {
		this.#channel = channel;
		this.queue = queue;
		this.tag = tag;
		this.tagBytes = Buffer.from(tag);
		this.noAck = noAck;
		this.limit = limit;
	}

	canTake(): boolean {
		return this.#channel.canTake(this);
	}

	take(entry: Entry): void {
		this.#channel.deliver(this, entry);
	}

	cancelled(): void {
		this.#channel.consumerCancelled(this);
	}
}

export class Channel {
	readonly number: number;
	readonly #home: ChannelHome;
	readonly #consumers = new Map<string, ChannelConsumer>();
	readonly #unacked = new Unacked();
	readonly #incoming: IncomingMessage;
	#consumerLimit = 0;
	#channelLimit = 0;
	#flowing = true;
	#confirms: ChannelConfirms | undefined;
	readonly #topology: TopologyMethods;
	#closed = false;

	constructor(number: number, home: ChannelHome) {
		this.number = number;
		this.#home = home;
		this.#incoming = new IncomingMessage(home, (...message) => this.#received(...message));
		this.#topology = new TopologyMethods(home, (fields, durable, method, reply) =>
			this.#afterFlush(fields, durable, method, reply),
		);
	}

	/** A method frame. Throws a Refusal. */
	method(id: number, fields: Fields): void {
		if (!this.#incoming.idle)
			throw new Refusal("UNEXPECTED_FRAME", `expected the content of a message, got ${methodName(id)}`);
		const handle = handlers[id];
		if (!handle) throw new Refusal("NOT_IMPLEMENTED", `${methodName(id)} is not something this broker does`);
		handle(this, fields);
	}

	/** A content header frame. Throws a Refusal. */
	header(payload: Buffer): void {
		this.#incoming.header(payload);
	}

	/** A body frame. Throws a Refusal. */
	body(payload: Buffer): void {
		this.#incoming.body(payload);
	}

	canTake(consumer: ChannelConsumer): boolean {
		if (!this.#flowing || !this.#home.writable) return false;
		if (consumer.noAck) return true;
		if (consumer.limit > 0 && consumer.unacked >= consumer.limit) return false;
		return this.#channelLimit === 0 || this.#unacked.size < this.#channelLimit;
	}

	deliver(consumer: ChannelConsumer, entry: Entry): void {
		const { message } = entry;
		const tag = this.#unacked.nextTag();
		let content: Content;
		try {
			content = message.content();
		} catch (error) {
			// Goes back to its queue with the channel.
			this.#unacked.add(tag, entry);
			this.#flowing = false;
			this.#home.fail(new Refusal("INTERNAL_ERROR", "a message could not be read from the disk", { cause: error }));
			return;
		}
		if (consumer.noAck) entry.queue.settle(entry);
		else this.#unacked.add(tag, entry, consumer);
		this.#home.sendContent(
			deliverFrame(this.number, consumer.tagBytes, tag, entry.redelivered, message.exchange, message.routingKey),
			this.number,
			content,
		);
	}

	consumerCancelled(consumer: ChannelConsumer): void {
		if (this.#consumers.delete(consumer.tag)) this.#home.consumers--;
		if (this.#home.cancelNotify)
			this.#home.send(methods.basicCancel, this.number, { consumerTag: consumer.tag, nowait: true });
	}

	/** There is room in the socket again. */
	resume(): void {
		for (const consumer of this.#consumers.values()) consumer.queue.pump();
	}

	/** What it had goes back to its queues. */
	dispose(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#flowing = false;
		this.#confirms?.dispose();
		this.#incoming.drop();
		const consumers = [...this.#consumers.values()];
		this.#consumers.clear();
		this.#home.consumers -= consumers.length;
		for (const consumer of consumers) consumer.queue.removeConsumer(consumer);
		this.#unacked.requeue(this.#unacked.tags);
	}

	#received(fields: Fields, properties: Buffer, body: Buffer): void {
		const { host, user } = this.#home;
		const name = fields.exchange as string;
		const routingKey = fields.routingKey as string;
		const exchange = host.exchange(name);
		if (exchange.declaration.type === "topic") user.mustBeAllowedTopic("write", name, routingKey);
		const read = readProperties(properties);
		if (read.userId !== undefined && read.userId !== user.name)
			throw new Refusal(
				"PRECONDITION_FAILED",
				`user_id property set to '${read.userId}' but authenticated user was '${user.name}'`,
			);
		const content = { properties, body };
		const { routed, durable } = host.publish(exchange, routingKey, read, content);
		if (!routed && fields.mandatory)
			this.#home.sendContent(
				{ id: methods.basicReturn, fields: { replyCode: 312, replyText: "NO_ROUTE", exchange: name, routingKey } },
				this.number,
				content,
			);
		this.#confirms?.published(durable);
	}

	#reply(method: number, fields: Fields = {}): void {
		this.#home.send(method, this.number, fields);
	}

	/** What a consumer has settled makes room, for it or (with a limit of the channel) for its neighbours. */
	#settle(tags: readonly number[], requeue: boolean): void {
		if (requeue) this.#unacked.requeue(tags);
		else this.#unacked.settle(tags);
		this.resume();
	}

	/** Topology that outlives a restart is confirmed when it is on disk. */
	#afterFlush(fields: Fields, durable: boolean, method: number, reply: Fields = {}): void {
		if (fields.nowait) return;
		if (!durable) this.#reply(method, reply);
		else
			this.#home.host.onFlushed((written) => {
				if (this.#closed) return;
				if (written) this.#reply(method, reply);
				else this.#failed(method);
			});
	}

	#failed(method: number): void {
		this.#reply(methods.channelClose, {
			replyCode: 541,
			replyText: "INTERNAL_ERROR - the broker could not write to its disk",
			classId: method >>> 16,
			methodId: (method & 0xffff) - 1,
		});
		this.dispose();
	}

	#basicQos(fields: Fields): void {
		if (fields.prefetchSize !== 0)
			throw new Refusal("NOT_IMPLEMENTED", "prefetch_size: only 0 is possible; use prefetch_count");
		if (fields.global) this.#channelLimit = fields.prefetchCount as number;
		else this.#consumerLimit = fields.prefetchCount as number;
		this.#reply(methods.basicQosOk);
		if (fields.global) this.resume();
	}

	#basicConsume(fields: Fields): void {
		const queue = this.#topology.queue(fields);
		this.#home.user.mustBeAllowed("read", "queue", queue.name);
		const tag = (fields.consumerTag as string) || `amq.ctag-${randomBytes(12).toString("base64url")}`;
		if (this.#consumers.has(tag)) throw new Refusal("NOT_ALLOWED", `attempt to reuse consumer tag '${tag}'`);
		const exclusive = fields.exclusive as boolean;
		if (queue.hasExclusiveConsumer || (exclusive && queue.consumerCount > 0))
			throw new Refusal("ACCESS_REFUSED", `queue '${queue.name}' in vhost '/' in exclusive use`);
		if (this.#home.consumers >= consumerLimit)
			throw new Refusal("NOT_ALLOWED", `more than ${consumerLimit} consumers on one connection`);
		const consumer = new ChannelConsumer(this, queue, tag, fields.noAck as boolean, this.#consumerLimit);
		this.#consumers.set(tag, consumer);
		this.#home.consumers++;
		queue.addConsumer(consumer, exclusive);
		if (!fields.nowait) this.#reply(methods.basicConsumeOk, { consumerTag: tag });
		queue.pump();
	}

	#basicCancel(fields: Fields): void {
		const tag = fields.consumerTag as string;
		const consumer = this.#consumers.get(tag);
		if (this.#consumers.delete(tag)) this.#home.consumers--;
		consumer?.queue.removeConsumer(consumer);
		if (!fields.nowait) this.#reply(methods.basicCancelOk, { consumerTag: tag });
	}

	#basicGet(fields: Fields): void {
		const queue = this.#topology.queue(fields);
		this.#home.user.mustBeAllowed("read", "queue", queue.name);
		const entry = queue.take();
		if (!entry) {
			this.#reply(methods.basicGetEmpty, { clusterId: "" });
			return;
		}
		const { message } = entry;
		const deliveryTag = this.#unacked.nextTag();
		const content = message.content();
		if (fields.noAck) queue.settle(entry);
		else this.#unacked.add(deliveryTag, entry);
		this.#home.sendContent(
			{
				id: methods.basicGetOk,
				fields: {
					deliveryTag,
					redelivered: entry.redelivered,
					exchange: message.exchange.toString(),
					routingKey: message.routingKey.toString(),
					messageCount: queue.depth,
				},
			},
			this.number,
			content,
		);
	}

	#basicPublish(fields: Fields): void {
		const name = fields.exchange as string;
		if (fields.immediate) throw new Refusal("NOT_IMPLEMENTED", "immediate=true");
		const exchange = this.#home.host.exchange(name);
		this.#home.user.mustBeAllowed("write", "exchange", name);
		if (exchange.declaration.internal)
			throw new Refusal("ACCESS_REFUSED", `cannot publish to internal exchange '${name}'`);
		this.#incoming.expect(fields);
	}

	#basicRecover(fields: Fields, reply: boolean): void {
		if (!fields.requeue) throw new Refusal("NOT_IMPLEMENTED", "recover without requeue");
		this.#settle(this.#unacked.tags, true);
		if (reply) this.#reply(methods.basicRecoverOk);
	}

	#confirmSelect(fields: Fields): void {
		this.#confirms ??= new ChannelConfirms(this.#home.host, (method, reply) => this.#reply(method, reply));
		if (!fields.nowait) this.#reply(methods.confirmSelectOk);
	}

	#channelFlow(fields: Fields): void {
		this.#flowing = fields.active as boolean;
		this.#reply(methods.channelFlowOk, { active: this.#flowing });
		this.resume();
	}

	static readonly handlers: Readonly<Record<number, (channel: Channel, fields: Fields) => void>> = {
		[methods.channelFlow]: (channel, fields) => channel.#channelFlow(fields),
		[methods.channelFlowOk]: () => undefined,
		[methods.exchangeDeclare]: (channel, fields) => channel.#topology.exchangeDeclare(fields),
		[methods.exchangeDelete]: (channel, fields) => channel.#topology.exchangeDelete(fields),
		[methods.queueDeclare]: (channel, fields) => channel.#topology.queueDeclare(fields),
		[methods.queueBind]: (channel, fields) => channel.#topology.queueBind(fields, true),
		[methods.queueUnbind]: (channel, fields) => channel.#topology.queueBind(fields, false),
		[methods.queuePurge]: (channel, fields) => channel.#topology.queuePurge(fields),
		[methods.queueDelete]: (channel, fields) => channel.#topology.queueDelete(fields),
		[methods.basicQos]: (channel, fields) => channel.#basicQos(fields),
		[methods.basicConsume]: (channel, fields) => channel.#basicConsume(fields),
		[methods.basicCancel]: (channel, fields) => channel.#basicCancel(fields),
		[methods.basicCancelOk]: () => undefined,
		[methods.basicPublish]: (channel, fields) => channel.#basicPublish(fields),
		[methods.basicGet]: (channel, fields) => channel.#basicGet(fields),
		[methods.basicAck]: (channel, fields) =>
			channel.#settle(channel.#unacked.named(fields.deliveryTag as number, fields.multiple as boolean), false),
		[methods.basicReject]: (channel, fields) =>
			channel.#settle(channel.#unacked.named(fields.deliveryTag as number, false), fields.requeue as boolean),
		[methods.basicNack]: (channel, fields) =>
			channel.#settle(
				channel.#unacked.named(fields.deliveryTag as number, fields.multiple as boolean),
				fields.requeue as boolean,
			),
		[methods.basicRecover]: (channel, fields) => channel.#basicRecover(fields, true),
		[methods.basicRecoverAsync]: (channel, fields) => channel.#basicRecover(fields, false),
		[methods.confirmSelect]: (channel, fields) => channel.#confirmSelect(fields),
	};
}

const handlers = Channel.handlers;
