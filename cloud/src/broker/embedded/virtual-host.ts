/**
 * Exchanges, queues and messages, and what of them is on disk. Knows nothing of connections or users; asked for something
 * that cannot be, it throws a Refusal.
 */
import type { Log } from "../logging.ts";
import { compactOldest } from "./compaction.ts";
import { Exchange, type ExchangeDeclaration } from "./exchange.ts";
import type { Content } from "./frames.ts";
import { Message, type MessageKeeper } from "./message.ts";
import { MessageLog } from "./message-log.ts";
import { MessageQueue, type QueueDeclaration, type QueueEvents } from "./message-queue.ts";
import type { MessageProperties } from "./properties.ts";
import { encodeMessage, encodeTopology } from "./record.ts";
import { Refusal } from "./refusal.ts";
import { replay } from "./replay.ts";
import { SegmentReader } from "./segment-reader.ts";
import type { TopologyChange } from "./topology.ts";

export interface VirtualHostOptions {
	/** Private to this broker, made and locked by the caller. */
	directory: string;
	log: Log;
	/** Message contents in memory; what comes above it stays on disk. */
	memoryBudgetBytes: number;
	/** Size at which a segment of the log is closed. */
	segmentBytes: number;
}

interface Binding {
	readonly exchange: Exchange;
	readonly key: string;
}

/** Exchange names and routing keys kept as bytes. */
const rememberedNames = 10_000;
const predeclared: readonly ExchangeDeclaration[] = (
	[
		["", "direct"],
		["amq.direct", "direct"],
		["amq.topic", "topic"],
		["amq.fanout", "fanout"],
	] as const
).map(([name, type]) => ({ name, type, durable: true, autoDelete: false, internal: false }));

export class VirtualHost implements QueueEvents {
	readonly #options: VirtualHostOptions;
	readonly #exchanges = new Map<string, Exchange>();
	readonly #queues = new Map<string, MessageQueue>();
	readonly #bindings = new Map<MessageQueue, Binding[]>();
	readonly #keeper: MessageKeeper;
	readonly #names = new Map<string, Buffer>();
	#nextMessageId = 1;
	#nextQueueId = 1;
	#compaction: Promise<void> | undefined;
	#closed = false;

	/** Reads what an earlier process left in the directory. */
	static async open(options: VirtualHostOptions): Promise<VirtualHost> {
		const startedMs = performance.now();
		const found = await replay(options.directory, options.log, options.memoryBudgetBytes);
		const host = new VirtualHost(options, found.segments);
		host.#nextMessageId = found.nextMessageId;
		host.#nextQueueId = found.topology.nextQueueId;
		for (const exchange of found.topology.exchanges.values())
			host.#exchanges.set(exchange.name, new Exchange({ ...exchange, durable: true }));
		const byId = new Map<number, MessageQueue>();
		for (const { id, ...stored } of found.topology.queues.values())
			byId.set(id, host.#addQueue(id, { ...stored, durable: true, exclusiveTo: undefined }));
		for (const { exchange, queueId, key } of found.topology.bindings.values()) {
			const queue = byId.get(queueId);
			const from = host.#exchanges.get(exchange);
			if (queue && from) host.#addBinding(from, key, queue);
		}
		for (const stored of found.messages) {
			const queues = [...stored.queueIds].map((id) => byId.get(id)).filter((queue) => queue !== undefined);
			const message = new Message(
				host.#keeper,
				{
					id: stored.id,
					exchange: host.#bytesOf(stored.exchange),
					routingKey: host.#bytesOf(stored.routingKey),
					expiresAtMs: stored.expiresAtMs,
					content: stored.content,
					sizeBytes: stored.contentBytes,
					persistent: true,
				},
				queues,
			);
			message.placed(stored);
			for (const queue of queues) queue.restore(message);
		}
		host.#considerCompaction();
		options.log.info(
			{
				directory: options.directory,
				messages: found.messages.length,
				queues: byId.size,
				elapsedMs: Math.round(performance.now() - startedMs),
			},
			"message log read",
		);
		return host;
	}

	private constructor(options: VirtualHostOptions, segments: ConstructorParameters<typeof MessageLog>[0]["segments"]) {
		this.#options = options;
		this.#keeper = {
			log: new MessageLog({
				directory: options.directory,
				log: options.log,
				segments,
				segmentBytes: options.segmentBytes,
				snapshot: () => this.#snapshot(),
			}),
			reader: new SegmentReader(),
			memory: { usedBytes: 0, budgetBytes: options.memoryBudgetBytes, liveBytes: 0 },
		};
		for (const declaration of predeclared) this.#exchanges.set(declaration.name, new Exchange(declaration));
	}

	/** Content bytes in memory. */
	get memoryBytes(): number {
		return this.#keeper.memory.usedBytes;
	}

	/** Bytes of the log on disk. */
	get diskBytes(): number {
		return this.#keeper.log.sizeBytes;
	}

	/** Published and not yet on disk. */
	get backlogBytes(): number {
		return this.#keeper.log.backlogBytes;
	}

	/** See the log: the flush that takes what is published now. */
	get nextFlush(): object {
		return this.#keeper.log.nextFlush;
	}

	onFlushed(callback: (written: boolean) => void): void {
		this.#keeper.log.onFlushed(callback);
	}

	/** Resolves when every change made so far survives a crash. */
	flushed(): Promise<void> {
		return this.#keeper.log.flushed();
	}

	exchange(name: string): Exchange {
		const exchange = this.#exchanges.get(name);
		if (!exchange) throw new Refusal("NOT_FOUND", `no exchange '${name}' in vhost '/'`);
		return exchange;
	}

	/** `user` is the connection that asks: an exclusive queue is locked to all others. */
	queue(name: string, user: object): MessageQueue {
		const queue = this.#queues.get(name);
		if (!queue) throw new Refusal("NOT_FOUND", `no queue '${name}' in vhost '/'`);
		const { exclusiveTo } = queue.declaration;
		if (exclusiveTo && exclusiveTo !== user)
			throw new Refusal("RESOURCE_LOCKED", `queue '${name}' is exclusive to another connection`);
		return queue;
	}

	findQueue(name: string): MessageQueue | undefined {
		return this.#queues.get(name);
	}

	declareExchange(declaration: ExchangeDeclaration): void {
		const existing = this.#exchanges.get(declaration.name);
		if (existing) {
			for (const key of ["type", "durable", "autoDelete", "internal"] as const)
				if (existing.declaration[key] !== declaration[key])
					throw new Refusal(
						"PRECONDITION_FAILED",
						`inequivalent arg '${key}' for exchange '${declaration.name}': received '${declaration[key]}' but current is '${existing.declaration[key]}'`,
					);
			return;
		}
		if (declaration.name.startsWith("amq."))
			throw new Refusal("ACCESS_REFUSED", `exchange name '${declaration.name}' contains reserved prefix 'amq.*'`);
		this.#exchanges.set(declaration.name, new Exchange(declaration));
		if (declaration.durable) this.#record({ change: "exchange", exchange: declaration });
	}

	deleteExchange(name: string, ifUnused: boolean): void {
		if (predeclared.some((declaration) => declaration.name === name))
			throw new Refusal("ACCESS_REFUSED", `exchange '${name}' is part of the broker`);
		const exchange = this.#exchanges.get(name);
		if (!exchange) return;
		if (ifUnused && exchange.bound) throw new Refusal("PRECONDITION_FAILED", `exchange '${name}' in use`);
		for (const { key, queue } of [...exchange.bindings()]) this.#dropBinding(exchange, key, queue);
		this.#exchanges.delete(name);
		if (exchange.declaration.durable) this.#record({ change: "exchange-gone", name });
	}

	declareQueue(declaration: QueueDeclaration, user: object): { queue: MessageQueue; created: boolean } {
		const existing = this.#queues.get(declaration.name);
		if (existing) {
			const queue = this.queue(declaration.name, user);
			checkEquivalent(existing.declaration, declaration);
			queue.touch();
			return { queue, created: false };
		}
		const queue = this.#addQueue(this.#nextQueueId++, declaration);
		if (this.#onRecord(queue)) this.#record({ change: "queue", queue: stored(queue) });
		return { queue, created: true };
	}

	/** Returns how many messages went with it. */
	deleteQueue(queue: MessageQueue): number {
		if (queue.deleted) return 0;
		const { depth } = queue;
		for (const { exchange, key } of [...(this.#bindings.get(queue) ?? [])]) {
			exchange.unbind(key, queue);
			this.#dropIfAutoDelete(exchange);
		}
		this.#bindings.delete(queue);
		this.#queues.delete(queue.name);
		if (this.#onRecord(queue)) this.#record({ change: "queue-gone", id: queue.id });
		queue.dispose();
		this.#considerCompaction();
		return depth;
	}

	bind(exchange: Exchange, key: string, queue: MessageQueue): void {
		if (exchange.declaration.name === "") throw new Refusal("ACCESS_REFUSED", "the default exchange cannot be bound");
		if (!this.#addBinding(exchange, key, queue)) return;
		if (exchange.declaration.durable && this.#onRecord(queue))
			this.#record({ change: "bind", binding: { exchange: exchange.declaration.name, queueId: queue.id, key } });
	}

	unbind(exchange: Exchange, key: string, queue: MessageQueue): void {
		if (!this.#dropBinding(exchange, key, queue)) return;
		if (exchange.declaration.durable && this.#onRecord(queue))
			this.#record({ change: "unbind", binding: { exchange: exchange.declaration.name, queueId: queue.id, key } });
		this.#dropIfAutoDelete(exchange);
	}

	/** `durable`: the caller has to wait for the disk before it confirms. */
	publish(
		exchange: Exchange,
		routingKey: string,
		properties: MessageProperties,
		content: Content,
	): { routed: boolean; durable: boolean } {
		let queues: readonly MessageQueue[];
		if (exchange.declaration.name === "") {
			const queue = this.#queues.get(routingKey);
			queues = queue ? [queue] : [];
		} else queues = exchange.route(routingKey);
		if (queues.length === 0) return { routed: false, durable: false };
		const memory = this.#keeper.memory;
		const message = new Message(
			this.#keeper,
			{
				id: this.#nextMessageId++,
				exchange: this.#bytesOf(exchange.declaration.name),
				routingKey: this.#bytesOf(routingKey),
				expiresAtMs: properties.expirationMs === undefined ? 0 : Date.now() + properties.expirationMs,
				content,
				sizeBytes: content.body.length + content.properties.length,
				persistent: properties.persistent,
			},
			[...queues],
		);
		const queueIds = properties.persistent ? queues.filter((q) => this.#onRecord(q)).map((q) => q.id) : [];
		const durable = queueIds.length > 0;
		const spill = memory.usedBytes > memory.budgetBytes;
		if (durable || spill)
			this.#keeper.log.append(
				encodeMessage({
					id: message.id,
					queueIds,
					exchange: exchange.declaration.name,
					routingKey,
					expiresAtMs: message.expiresAtMs,
					content,
				}),
				message,
			);
		if (spill) message.spill();
		for (const queue of queues) queue.push(message);
		return { routed: true, durable };
	}

	onSettled(queue: MessageQueue, message: Message): void {
		if (message.persistent && this.#onRecord(queue))
			this.#keeper.log.settle({ queueId: queue.id, messageId: message.id });
		message.leave(queue);
		this.#considerCompaction();
	}

	onAbandoned(queue: MessageQueue): void {
		this.#options.log.info({ queue: queue.name }, "unused queue removed");
		this.deleteQueue(queue);
	}

	/** Resolves when everything is on disk. */
	async close(): Promise<void> {
		this.#closed = true;
		for (const queue of this.#queues.values()) queue.stop();
		await this.#compaction;
		await this.#keeper.log.close();
		this.#keeper.reader.close();
	}

	/** One copy of each name, and none in Node's buffer pool: there it would keep the bodies beside it in memory. */
	#bytesOf(name: string): Buffer {
		let bytes = this.#names.get(name);
		if (!bytes) {
			bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(name));
			bytes.write(name);
			if (this.#names.size >= rememberedNames) this.#names.clear();
			this.#names.set(name, bytes);
		}
		return bytes;
	}

	#addQueue(id: number, declaration: QueueDeclaration): MessageQueue {
		const queue = new MessageQueue(id, declaration, this);
		this.#queues.set(queue.name, queue);
		this.#bindings.set(queue, []);
		return queue;
	}

	#addBinding(exchange: Exchange, key: string, queue: MessageQueue): boolean {
		if (!exchange.bind(key, queue)) return false;
		this.#bindings.get(queue)?.push({ exchange, key });
		return true;
	}

	#dropBinding(exchange: Exchange, key: string, queue: MessageQueue): boolean {
		if (!exchange.unbind(key, queue)) return false;
		const bindings = this.#bindings.get(queue);
		const at = bindings?.findIndex((binding) => binding.exchange === exchange && binding.key === key) ?? -1;
		if (at >= 0) bindings?.splice(at, 1);
		return true;
	}

	#dropIfAutoDelete(exchange: Exchange): void {
		if (exchange.declaration.autoDelete && !exchange.bound) this.deleteExchange(exchange.declaration.name, false);
	}

	#onRecord(queue: MessageQueue): boolean {
		return queue.declaration.durable && queue.declaration.exclusiveTo === undefined;
	}

	#record(change: TopologyChange): void {
		this.#keeper.log.append(encodeTopology(change));
	}

	#snapshot(): TopologyChange {
		const queues = [...this.#queues.values()].filter((queue) => this.#onRecord(queue));
		return {
			change: "snapshot",
			exchanges: [...this.#exchanges.values()]
				.map((e) => e.declaration)
				.filter((e) => e.durable && !predeclared.includes(e)),
			queues: queues.map(stored),
			bindings: queues.flatMap((queue) =>
				(this.#bindings.get(queue) ?? [])
					.filter(({ exchange }) => exchange.declaration.durable)
					.map(({ exchange, key }) => ({ exchange: exchange.declaration.name, queueId: queue.id, key })),
			),
			nextQueueId: this.#nextQueueId,
			nextMessageId: this.#nextMessageId,
		};
	}

	/** The disk holds at most twice what is wanted, and a few segments. */
	#considerCompaction(): void {
		if (this.#compaction || this.#closed) return;
		const { log, memory } = this.#keeper;
		const { oldest } = log;
		if (!oldest) return;
		if (oldest.live.size > 0 && log.sizeBytes <= 2 * memory.liveBytes + 4 * this.#options.segmentBytes) return;
		this.#compaction = compactOldest(this.#keeper, (queue) => this.#onRecord(queue)).then(
			() => {
				this.#compaction = undefined;
				this.#considerCompaction();
			},
			(error: unknown) => {
				this.#compaction = undefined;
				this.#options.log.error({ err: error, directory: this.#options.directory }, "message log not compacted");
			},
		);
	}
}

const stored = (queue: MessageQueue): Extract<TopologyChange, { change: "queue" }>["queue"] => {
	const { name, autoDelete, expiresMs, arguments: given } = queue.declaration;
	return { id: queue.id, name, autoDelete, expiresMs, arguments: given };
};

function checkEquivalent(current: QueueDeclaration, asked: QueueDeclaration): void {
	const compared = [
		["durable", current.durable, asked.durable],
		["auto_delete", current.autoDelete, asked.autoDelete],
		["exclusive", current.exclusiveTo !== undefined, asked.exclusiveTo !== undefined],
		["arguments", JSON.stringify(current.arguments), JSON.stringify(asked.arguments)],
	] as const;
	for (const [name, has, wants] of compared)
		if (has !== wants)
			throw new Refusal(
				"PRECONDITION_FAILED",
				`inequivalent arg '${name}' for queue '${current.name}' in vhost '/': received '${wants}' but current is '${has}'`,
			);
}
