/** One AMQP channel: its methods, consumers, confirms, and what it has delivered and not heard of again. */
import { randomBytes } from "node:crypto";
import { ChannelConfirms } from "./channel-confirms.ts";
import type { ChannelHome } from "./channel-home.ts";
import { type Fields, methodName, methods } from "./codec.ts";
import type { Content } from "./frames.ts";
import { deliverFrame } from "./frames.ts";
import type { Entry } from "./message.ts";
import type { Consumer, MessageQueue } from "./message-queue.ts";
import { readProperties } from "./properties.ts";
import { Refusal } from "./refusal.ts";
import { TopologyMethods } from "./topology-methods.ts";

/** As RabbitMQ's default: a larger body is refused at its header. */
const messageLimitBytes = 128 * 1024 * 1024;

/** Half-sent messages of one connection: two of the largest. */
const incomingLimitBytes = 2 * messageLimitBytes;

type Incoming =
	| { state: "idle" }
	| { state: "header"; fields: Fields }
	| { state: "body"; fields: Fields; properties: Buffer; pieces: Buffer[]; sizeBytes: number; leftBytes: number };

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

interface Unacked {
	readonly entry: Entry;
	readonly consumer: ChannelConsumer | undefined;
}

export class Channel {
	readonly number: number;
	readonly #home: ChannelHome;
	readonly #consumers = new Map<string, ChannelConsumer>();
	/** In the order of their tags. */
	readonly #unacked = new Map<number, Unacked>();
	#incoming: Incoming = { state: "idle" };
	#nextDeliveryTag = 1;
	#consumerLimit = 0;
	#channelLimit = 0;
	#flowing = true;
	#confirms: ChannelConfirms | undefined;
	readonly #topology: TopologyMethods;
	#closed = false;

	constructor(number: number, home: ChannelHome) {
		this.number = number;
		this.#home = home;
		this.#topology = new TopologyMethods(home, (fields, durable, method, reply) =>
			this.#afterFlush(fields, durable, method, reply),
		);
	}

	/** A method frame. Throws a Refusal. */
	method(id: number, fields: Fields): void {
		if (this.#incoming.state !== "idle")
			throw new Refusal("UNEXPECTED_FRAME", `expected the content of a message, got ${methodName(id)}`);
		const handle = handlers[id];
		if (!handle) throw new Refusal("NOT_IMPLEMENTED", `${methodName(id)} is not something this broker does`);
		handle(this, fields);
	}

	/** A content header frame. Throws a Refusal. */
	header(payload: Buffer): void {
		if (this.#incoming.state !== "header")
			throw new Refusal("UNEXPECTED_FRAME", "a content header that no publish announced");
		if (payload.length < 14 || payload.readUInt16BE(0) !== 60)
			throw new Refusal("FRAME_ERROR", "a content header that is none");
		const { fields } = this.#incoming;
		const size = payload.readUInt32BE(4) * 2 ** 32 + payload.readUInt32BE(8);
		if (size > messageLimitBytes) {
			this.#incoming = { state: "idle" };
			throw new Refusal(
				"PRECONDITION_FAILED",
				`message size ${size} is larger than configured max size ${messageLimitBytes}`,
			);
		}
		if (this.#home.incomingBytes + size > incomingLimitBytes)
			throw new Refusal(
				"RESOURCE_ERROR",
				`more than ${incomingLimitBytes} bytes of unfinished messages on one connection`,
			);
		this.#home.incomingBytes += size;
		const properties = Buffer.from(payload.subarray(12));
		this.#incoming = { state: "body", fields, properties, pieces: [], sizeBytes: size, leftBytes: size };
		if (size === 0) this.#received(fields, properties, Buffer.alloc(0));
	}

	/** A body frame. Throws a Refusal. */
	body(payload: Buffer): void {
		const incoming = this.#incoming;
		if (incoming.state !== "body") throw new Refusal("UNEXPECTED_FRAME", "a message body that no header announced");
		incoming.leftBytes -= payload.length;
		if (incoming.leftBytes < 0) throw new Refusal("FRAME_ERROR", "a message body that is longer than its header says");
		// A copy: frames are views of the socket's buffers.
		incoming.pieces.push(Buffer.from(payload));
		if (incoming.leftBytes > 0) return;
		const { pieces } = incoming;
		this.#received(
			incoming.fields,
			incoming.properties,
			pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces),
		);
	}

	canTake(consumer: ChannelConsumer): boolean {
		if (!this.#flowing || !this.#home.writable) return false;
		if (consumer.noAck) return true;
		if (consumer.limit > 0 && consumer.unacked >= consumer.limit) return false;
		return this.#channelLimit === 0 || this.#unacked.size < this.#channelLimit;
	}

	deliver(consumer: ChannelConsumer, entry: Entry): void {
		const { message } = entry;
		const tag = this.#nextDeliveryTag++;
		let content: Content;
		try {
			content = message.content();
		} catch (error) {
			// Goes back to its queue with the channel.
			this.#unacked.set(tag, { entry, consumer: undefined });
			this.#flowing = false;
			this.#home.fail(new Refusal("INTERNAL_ERROR", "a message could not be read from the disk", { cause: error }));
			return;
		}
		if (consumer.noAck) entry.queue.settle(entry);
		else {
			consumer.unacked++;
			this.#unacked.set(tag, { entry, consumer });
		}
		this.#home.sendContent(
			deliverFrame(this.number, consumer.tagBytes, tag, entry.redelivered, message.exchange, message.routingKey),
			this.number,
			content,
		);
	}

	consumerCancelled(consumer: ChannelConsumer): void {
		this.#consumers.delete(consumer.tag);
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
		this.#endIncoming();
		const consumers = [...this.#consumers.values()];
		this.#consumers.clear();
		for (const consumer of consumers) consumer.queue.removeConsumer(consumer);
		this.#requeue([...this.#unacked.keys()]);
	}

	#received(fields: Fields, properties: Buffer, body: Buffer): void {
		this.#endIncoming();
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

	#endIncoming(): void {
		if (this.#incoming.state === "body") this.#home.incomingBytes -= this.#incoming.sizeBytes;
		this.#incoming = { state: "idle" };
	}

	#reply(method: number, fields: Fields = {}): void {
		this.#home.send(method, this.number, fields);
	}

	#requeue(tags: number[]): void {
		const byQueue = new Map<MessageQueue, Entry[]>();
		for (const tag of tags) {
			const unacked = this.#forget(tag);
			if (!unacked) continue;
			const entries = byQueue.get(unacked.entry.queue);
			if (entries) entries.push(unacked.entry);
			else byQueue.set(unacked.entry.queue, [unacked.entry]);
		}
		// Newest first: queues take returned messages back from the end.
		for (const [queue, entries] of byQueue) queue.requeue(entries.reverse());
	}

	#forget(tag: number): Unacked | undefined {
		const unacked = this.#unacked.get(tag);
		if (!unacked) return undefined;
		this.#unacked.delete(tag);
		if (unacked.consumer) unacked.consumer.unacked--;
		return unacked;
	}

	#tags(tag: number, multiple: boolean): number[] {
		if (multiple && tag < this.#nextDeliveryTag) {
			const tags: number[] = [];
			for (const known of this.#unacked.keys()) {
				if (tag !== 0 && known > tag) break;
				tags.push(known);
			}
			if (tags.length > 0 || tag === 0) return tags;
		} else if (!multiple && this.#unacked.has(tag)) return [tag];
		throw new Refusal("PRECONDITION_FAILED", `unknown delivery tag ${tag}`);
	}

	/** What a consumer has settled makes room, for it or (with a limit of the channel) for its neighbours. */
	#settle(tags: number[], requeue: boolean): void {
		if (requeue) this.#requeue(tags);
		else
			for (const tag of tags) {
				const unacked = this.#forget(tag);
				unacked?.entry.queue.settle(unacked.entry);
			}
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
		const consumer = new ChannelConsumer(this, queue, tag, fields.noAck as boolean, this.#consumerLimit);
		this.#consumers.set(tag, consumer);
		queue.addConsumer(consumer, exclusive);
		if (!fields.nowait) this.#reply(methods.basicConsumeOk, { consumerTag: tag });
		queue.pump();
	}

	#basicCancel(fields: Fields): void {
		const tag = fields.consumerTag as string;
		const consumer = this.#consumers.get(tag);
		this.#consumers.delete(tag);
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
		const deliveryTag = this.#nextDeliveryTag++;
		const content = message.content();
		if (fields.noAck) queue.settle(entry);
		else this.#unacked.set(deliveryTag, { entry, consumer: undefined });
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
		this.#incoming = { state: "header", fields };
	}

	#basicRecover(fields: Fields, reply: boolean): void {
		if (!fields.requeue) throw new Refusal("NOT_IMPLEMENTED", "recover without requeue");
		this.#settle([...this.#unacked.keys()], true);
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
			channel.#settle(channel.#tags(fields.deliveryTag as number, fields.multiple as boolean), false),
		[methods.basicReject]: (channel, fields) =>
			channel.#settle(channel.#tags(fields.deliveryTag as number, false), fields.requeue as boolean),
		[methods.basicNack]: (channel, fields) =>
			channel.#settle(
				channel.#tags(fields.deliveryTag as number, fields.multiple as boolean),
				fields.requeue as boolean,
			),
		[methods.basicRecover]: (channel, fields) => channel.#basicRecover(fields, true),
		[methods.basicRecoverAsync]: (channel, fields) => channel.#basicRecover(fields, false),
		[methods.confirmSelect]: (channel, fields) => channel.#confirmSelect(fields),
	};
}

const handlers = Channel.handlers;
