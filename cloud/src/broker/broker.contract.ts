/** What every broker promises the cloud and its clients: at the port, and at the wire with an unmodified client. */
import { once } from "node:events";
import { type AccountId, commandQueue, type EndpointId, newId, type TaskGroupId, taskQueue } from "@errand/proto";
import { type Channel, type ChannelModel, type ConsumeMessage, connect, type GetMessage } from "amqplib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Broker } from "./broker.ts";
import { type Connection, type Delivery, openConnection } from "./connection.ts";
import type { Log } from "./logging.ts";
import { afterPoison } from "./poison.test-harness.ts";
import { UnroutableError } from "./publisher.ts";

export interface BrokerUnderTest {
	/** The broker of the moment: another one after a restart. */
	broker: Broker;
	/** Ends the broker without warning and starts it again with what it had. */
	crash(): Promise<void>;
	stop(): Promise<void>;
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** The reply code with which the broker ended a channel or connection, or the message of another error. */
async function refusalOf(url: string, attempt: (channel: Channel) => Promise<unknown>): Promise<number | string> {
	let model: ChannelModel;
	try {
		model = await connect(url, { noDelay: true });
	} catch (error) {
		return (error as { code?: number }).code ?? String(error);
	}
	model.on("error", () => undefined);
	const channel = await model.createConfirmChannel();
	const refused = new Promise<number | string>((resolve) => {
		channel.on("error", (error: { code?: number }) => resolve(error.code ?? String(error)));
	});
	try {
		return await Promise.race([
			refused,
			attempt(channel).then(
				() => "allowed",
				(error: { code?: number }) => error.code ?? refused,
			),
		]);
	} finally {
		await model.close().catch(() => undefined);
	}
}

export function brokerContract(name: string, start: () => Promise<BrokerUnderTest>): void {
	describe(`${name} as the broker`, () => {
		let test: BrokerUnderTest;
		const open: { close(): Promise<unknown> }[] = [];

		const client = async (url: string = test.broker.serviceUrl): Promise<ChannelModel> => {
			const model = await connect(url, { noDelay: true });
			model.on("error", () => undefined);
			open.push({ close: () => model.close().catch(() => undefined) });
			return model;
		};
		const returning = (url: () => string = () => test.broker.serviceUrl): Connection => {
			const connection = openConnection({ url, log: silent, name: "contract" });
			open.push(connection);
			return connection;
		};
		const endpoint = async (): Promise<{ id: EndpointId; url: string }> => {
			const id = newId<EndpointId>();
			const { url } = await test.broker.provisionEndpoint(id);
			return { id, url };
		};
		const service = async (): Promise<Channel> => (await client()).createChannel();
		const temporary = async (channel: Channel): Promise<string> =>
			(await channel.assertQueue("", { exclusive: true })).queue;

		beforeAll(async () => {
			test = await start();
			await test.broker.setUp();
		});
		afterEach(async () => {
			for (const one of open.splice(0)) await one.close();
		});
		afterAll(async () => {
			await test?.stop();
		});

		describe("at the port", () => {
			it("answers, and sets up again without harm", async () => {
				await test.broker.check();
				await test.broker.setUp();
			});

			it("says whether an endpoint's task queue was there before", async () => {
				const id = newId<EndpointId>();
				expect((await test.broker.provisionEndpoint(id)).queueExisted).toBe(false);
				expect((await test.broker.provisionEndpoint(id)).queueExisted).toBe(true);
			});

			it("lets an endpoint consume its tasks and commands, and publish under its own keys", async () => {
				const { id, url } = await endpoint();
				const cloud = await service();
				cloud.publish("tasks", taskQueue(id), Buffer.from("task"), { persistent: true });
				cloud.publish("commands", commandQueue(id), Buffer.from("command"), { persistent: true });
				const model = await client(url);
				const channel = await model.createConfirmChannel();
				await channel.checkExchange("results");
				await channel.checkQueue("results");
				for (const queue of [taskQueue(id), commandQueue(id)]) {
					const message = await new Promise<ConsumeMessage | null>((resolve) => {
						channel.consume(queue, resolve).catch(() => resolve(null));
					});
					expect(message?.content.toString()).toBe(queue === taskQueue(id) ? "task" : "command");
					if (message) channel.ack(message);
				}
				for (const exchange of ["results", "heartbeats", "reports"])
					channel.publish(exchange, `${id}.${exchange}`, Buffer.from(exchange), { mandatory: true });
				await channel.waitForConfirms();
				for (const queue of ["results", "heartbeats", "reports"]) {
					const message = (await cloud.get(queue, { noAck: true })) as GetMessage;
					expect(message.fields.routingKey).toBe(`${id}.${queue}`);
				}
			});

			it("refuses whatever is not the endpoint's own", async () => {
				const { id, url } = await endpoint();
				const { id: other } = await endpoint();
				const account = newId<AccountId>();
				const group = newId<TaskGroupId>();
				await test.broker.declareGroupQueue(account, group);
				const publish =
					(exchange: string, key: string) =>
					async (channel: Channel): Promise<unknown> => {
						channel.publish(exchange, key, Buffer.from("x"));
						return (channel as Channel & { waitForConfirms(): Promise<void> }).waitForConfirms();
					};
				const consume = (queue: string) => (channel: Channel) => channel.consume(queue, () => undefined);
				const attempts: Record<string, (channel: Channel) => Promise<unknown>> = {
					"consume another's tasks": consume(taskQueue(other)),
					"consume another's commands": consume(commandQueue(other)),
					"get from another's tasks": (channel) => channel.get(taskQueue(other)),
					"consume the cloud's results": consume("results"),
					"consume heartbeats": consume("heartbeats"),
					"consume a client's group": consume(`group.${account}.${group}`),
					"purge another's tasks": (channel) => channel.purgeQueue(taskQueue(other)),
					"purge the results": (channel) => channel.purgeQueue("results"),
					"delete another's queue": (channel) => channel.deleteQueue(taskQueue(other)),
					"delete its own queue": (channel) => channel.deleteQueue(taskQueue(id)),
					"declare a queue": (channel) => channel.assertQueue(`${id}.more`),
					"declare a server-named queue": (channel) => channel.assertQueue("", { exclusive: true }),
					"declare an exchange": (channel) => channel.assertExchange(`${id}.more`, "topic"),
					"delete an exchange": (channel) => channel.deleteExchange("results"),
					"bind its queue to results": (channel) => channel.bindQueue(taskQueue(id), "results", "#"),
					"unbind the results": (channel) => channel.unbindQueue("results", "results", "*.results"),
					"publish a result of another": publish("results", `${other}.results`),
					"publish a heartbeat of another": publish("heartbeats", `${other}.heartbeats`),
					"publish a report of another": publish("reports", `${other}.reports`),
					"publish under a longer key": publish("results", `${id}.results.more`),
					"publish tasks": publish("tasks", taskQueue(other)),
					"publish tasks to itself": publish("tasks", taskQueue(id)),
					"publish commands": publish("commands", commandQueue(other)),
					"publish past the exchanges": publish("", taskQueue(other)),
				};
				const outcome: Record<string, number | string> = {};
				for (const [what, attempt] of Object.entries(attempts)) outcome[what] = await refusalOf(url, attempt);
				expect(outcome).toEqual(Object.fromEntries(Object.keys(attempts).map((what) => [what, 403])));
			});

			it("lets no endpoint stop the cloud with properties that cannot be read", { timeout: 90_000 }, async () => {
				const { outcome, expected } = await afterPoison(test.broker.serviceUrl, await endpoint());
				expect(outcome).toEqual(expected);
			});

			it("ends an endpoint's connections when it gets a new password, and the old password with them", async () => {
				const { id, url } = await endpoint();
				const model = await client(url);
				const closed = once(model, "close");
				const next = await test.broker.provisionEndpoint(id);
				await closed;
				await expect(connect(url)).rejects.toThrow(/ACCESS.REFUSED|403/);
				await client(next.url);
			});

			it("ends an endpoint's connections when it is revoked, and keeps its queues", async () => {
				const { id, url } = await endpoint();
				const cloud = await service();
				cloud.publish("tasks", taskQueue(id), Buffer.from("kept"), { persistent: true });
				const model = await client(url);
				const closed = once(model, "close");
				await test.broker.revokeEndpoint(id);
				await closed;
				await expect(connect(url)).rejects.toThrow(/ACCESS.REFUSED|403/);
				await test.broker.revokeEndpoint(id);
				expect((await test.broker.provisionEndpoint(id)).queueExisted).toBe(true);
				expect(((await cloud.get(taskQueue(id), { noAck: true })) as GetMessage).content.toString()).toBe("kept");
			});

			it("removes an endpoint with its queues, as often as asked", async () => {
				const { id } = await endpoint();
				await test.broker.removeEndpoint(id);
				await test.broker.removeEndpoint(id);
				expect(await refusalOf(test.broker.serviceUrl, (channel) => channel.checkQueue(taskQueue(id)))).toBe(404);
				expect(await test.broker.taskQueueDepth(id)).toBe(0);
			});

			it("lets all clients of an account consume its groups, and nothing else", async () => {
				const account = newId<AccountId>();
				const group = newId<TaskGroupId>();
				const stranger = newId<AccountId>();
				const reader = await test.broker.provisionReader(account);
				const again = await test.broker.provisionReader(account);
				for (const owner of [account, stranger]) await test.broker.declareGroupQueue(owner, group);
				await test.broker.declareGroupQueue(account, group);
				expect(reader.queuePrefix).toBe(again.queuePrefix);
				const queue = `${reader.queuePrefix}${group}`;
				(await service()).sendToQueue(queue, Buffer.from("result"), { persistent: true });
				const [first] = await Promise.all([client(reader.url), client(again.url)]);
				const channel = await first.createChannel();
				const message = await new Promise<ConsumeMessage | null>((resolve) => {
					channel.consume(queue, resolve, { noAck: true }).catch(() => resolve(null));
				});
				expect(message?.content.toString()).toBe("result");
				const foreign = (await test.broker.provisionReader(stranger)).queuePrefix + group;
				const attempts: ((channel: Channel) => Promise<unknown>)[] = [
					(c) => c.consume(foreign, () => undefined),
					(c) => c.consume("results", () => undefined),
					(c) => c.deleteQueue(queue),
					(c) => c.assertQueue(`${reader.queuePrefix}more`),
					async (c) => {
						c.publish("", queue, Buffer.from("forged"));
						return (c as Channel & { waitForConfirms(): Promise<void> }).waitForConfirms();
					},
				];
				for (const attempt of attempts) expect(await refusalOf(reader.url, attempt)).toBe(403);
			});

			it("counts the tasks that wait", async () => {
				const { id } = await endpoint();
				const publisher = returning().publisher();
				await Promise.all(Array.from({ length: 7 }, () => publisher.publish("tasks", taskQueue(id), Buffer.from("t"))));
				await expect.poll(() => test.broker.taskQueueDepth(id), { timeout: 15_000, interval: 200 }).toBe(7);
			});
		});

		describe("through a connection that comes back", () => {
			it("publishes with confirms and says when nobody takes a message", async () => {
				const { id } = await endpoint();
				const publisher = returning().publisher();
				await publisher.publish("tasks", taskQueue(id), Buffer.from("routed"));
				await expect(publisher.publish("tasks", "nowhere", Buffer.from("lost"))).rejects.toThrow(UnroutableError);
				await expect(
					publisher.publish("tasks", "nowhere", Buffer.from("x"), { mandatory: false }),
				).resolves.toBeUndefined();
			});

			it("delivers what is not acknowledged again to the next consumer", async () => {
				const { id, url } = await endpoint();
				const publisher = returning().publisher();
				await Promise.all(
					Array.from({ length: 10 }, (_, i) => publisher.publish("tasks", taskQueue(id), Buffer.from(String(i)))),
				);
				const first = openConnection({ url, log: silent, name: "first" });
				const seen = await collect(first, taskQueue(id), 10, (delivery, at) => {
					if (at < 4) delivery.ack();
				});
				expect(seen.map(({ redelivered }) => redelivered)).toEqual(Array(10).fill(false));
				await first.close();
				const second = returning(() => url);
				const rest = await collect(second, taskQueue(id), 6, (delivery) => delivery.ack());
				expect(rest.map(({ body }) => body.toString())).toEqual(["4", "5", "6", "7", "8", "9"]);
				expect(rest.every(({ redelivered }) => redelivered)).toBe(true);
			});

			it("NEW-7: loses nothing when the broker is killed under it", async () => {
				const { id } = await endpoint();
				const queue = taskQueue(id);
				const connection = returning();
				const publisher = connection.publisher();
				const total = 400;
				const confirmed: Promise<void>[] = [];
				for (let i = 0; i < total / 2; i++) confirmed.push(publisher.publish("tasks", queue, Buffer.from(String(i))));
				await Promise.all(confirmed.slice(0, 20));
				const crash = test.crash();
				for (let i = total / 2; i < total; i++)
					confirmed.push(publisher.publish("tasks", queue, Buffer.from(String(i))));
				await crash;
				await Promise.all(confirmed);
				const seen = new Set<string>();
				const { promise: all, resolve } = Promise.withResolvers<void>();
				const consumption = await returning().consume(queue, {
					prefetch: 50,
					onMessage: (delivery) => {
						seen.add(delivery.body.toString());
						delivery.ack();
						if (seen.size === total) resolve();
					},
				});
				await all;
				await consumption.close();
			});
		});

		describe("at the wire", () => {
			it("refuses with the reply codes of the protocol", async () => {
				const holder = await (await client()).createChannel();
				const own = await temporary(holder);
				const { id } = await endpoint();
				await holder.consume(taskQueue(id), () => undefined, { exclusive: true });
				const ask = (attempt: (channel: Channel) => Promise<unknown>) => refusalOf(test.broker.serviceUrl, attempt);
				expect({
					"no such queue": await ask((c) => c.checkQueue("nothing")),
					"no such exchange": await ask((c) => c.checkExchange("nothing")),
					"publish to no exchange": await ask(async (c) => {
						c.publish("nothing", "", Buffer.from(""));
						return (c as Channel & { waitForConfirms(): Promise<void> }).waitForConfirms();
					}),
					"another's exclusive queue": await ask((c) => c.consume(own, () => undefined)),
					"a queue declared otherwise": await ask((c) => c.assertQueue(taskQueue(id), { durable: false })),
					"an exchange declared otherwise": await ask((c) => c.assertExchange("results", "fanout")),
					"a second consumer beside an exclusive one": await ask((c) => c.consume(taskQueue(id), () => undefined)),
					"an unknown delivery tag": await ask(async (c) => {
						c.ack({ fields: { deliveryTag: 99 } } as ConsumeMessage);
						return c.checkQueue("results");
					}),
				}).toEqual({
					"no such queue": 404,
					"no such exchange": 404,
					"publish to no exchange": 404,
					"another's exclusive queue": 405,
					"a queue declared otherwise": 406,
					"an exchange declared otherwise": 406,
					"a second consumer beside an exclusive one": 403,
					"an unknown delivery tag": 406,
				});
			});

			it("carries large bodies, empty bodies and headers as they are", async () => {
				const channel = await (await client()).createConfirmChannel();
				const queue = await temporary(channel);
				const large = Buffer.alloc(3_000_000, "0123456789abcdef");
				const headers = { text: "ü", list: [1, "two", true], nested: { deep: { x: 1 } }, bytes: Buffer.from([0, 255]) };
				channel.sendToQueue(queue, large, {
					headers,
					contentType: "application/json",
					timestamp: 1_700_000_000,
					priority: 3,
				});
				channel.sendToQueue(queue, Buffer.alloc(0), { messageId: "empty" });
				await channel.waitForConfirms();
				const first = (await channel.get(queue, { noAck: true })) as GetMessage;
				expect(first.content.equals(large)).toBe(true);
				expect(first.properties).toMatchObject({
					headers,
					contentType: "application/json",
					timestamp: 1_700_000_000,
					priority: 3,
				});
				const second = (await channel.get(queue, { noAck: true })) as GetMessage;
				expect([second.content.length, second.properties.messageId]).toEqual([0, "empty"]);
				expect(await channel.get(queue)).toBe(false);
			});

			it("routes by direct, topic and fanout exchanges, once to each queue", async () => {
				const channel = await (await client()).createConfirmChannel();
				const [a, b] = [await temporary(channel), await temporary(channel)];
				const names = { direct: `d-${a}`, topic: `t-${a}`, fanout: `f-${a}` };
				for (const [type, exchange] of Object.entries(names))
					await channel.assertExchange(exchange, type, { durable: false, autoDelete: true });
				await channel.bindQueue(a, names.direct, "k");
				await channel.bindQueue(a, names.topic, "one.*");
				await channel.bindQueue(a, names.topic, "#.end");
				await channel.bindQueue(b, names.topic, "one.#");
				await channel.bindQueue(b, names.fanout, "ignored");
				for (const [exchange, key] of [
					[names.direct, "k"],
					[names.direct, "other"],
					[names.topic, "one.end"],
					[names.topic, "one"],
					[names.topic, "one.two.three"],
					[names.topic, "two.end"],
					[names.fanout, "whatever"],
				] as const)
					channel.publish(exchange, key, Buffer.from(""));
				await channel.waitForConfirms();
				const keysOf = async (queue: string): Promise<string[]> => {
					const keys: string[] = [];
					for (let m = await channel.get(queue, { noAck: true }); m; m = await channel.get(queue, { noAck: true }))
						keys.push(m.fields.routingKey);
					return keys;
				};
				expect(await keysOf(a)).toEqual(["k", "one.end", "two.end"]);
				expect(await keysOf(b)).toEqual(["one.end", "one", "one.two.three", "whatever"]);
			});

			it("returns a mandatory message that no queue takes, before its confirm", async () => {
				const channel = await (await client()).createConfirmChannel();
				const order: string[] = [];
				channel.on("return", (m) => order.push(`returned ${(m.fields as unknown as { replyCode: number }).replyCode}`));
				channel.publish("tasks", "nowhere", Buffer.from("x"), { mandatory: true }, () => order.push("confirmed"));
				await channel.waitForConfirms();
				expect(order).toEqual(["returned 312", "confirmed"]);
			});

			it("shares a queue fairly between consumers and respects their prefetch", async () => {
				const publishing = await (await client()).createConfirmChannel();
				const { id } = await endpoint();
				const queue = taskQueue(id);
				const held: number[] = [0, 0];
				const { promise: full, resolve } = Promise.withResolvers<void>();
				const channels = await Promise.all(
					[5, 5].map(async (prefetch, at) => {
						const channel = await (await client()).createChannel();
						await channel.prefetch(prefetch);
						await channel.consume(queue, () => {
							held[at] = (held[at] ?? 0) + 1;
							if (held[0] === 5 && held[1] === 5) resolve();
						});
						return channel;
					}),
				);
				for (let i = 0; i < 20; i++) publishing.sendToQueue(queue, Buffer.from(String(i)));
				await publishing.waitForConfirms();
				await full;
				expect((await publishing.checkQueue(queue)).messageCount).toBe(10);
				expect(held).toEqual([5, 5]);
				const third = Promise.withResolvers<void>();
				await channels[0]?.close();
				await publishing.consume(queue, () => third.resolve(), { noAck: true });
				await third.promise;
			});

			it("limits a whole channel where the limit is global, and gives back what a channel recovers", async () => {
				const model = await client();
				const [channel, consuming] = [await model.createConfirmChannel(), await model.createChannel()];
				const queue = await temporary(channel);
				for (let i = 0; i < 8; i++) channel.sendToQueue(queue, Buffer.from(String(i)));
				await channel.waitForConfirms();
				const texts: string[] = [];
				const { promise: recovered, resolve } = Promise.withResolvers<void>();
				await consuming.prefetch(3, true);
				for (const consumerTag of ["first", "second"])
					await consuming.consume(
						queue,
						(message) => {
							texts.push(message?.content.toString() ?? "");
							if (texts.length === 6) resolve();
						},
						{ consumerTag },
					);
				expect((await channel.checkQueue(queue)).messageCount).toBe(5);
				await consuming.recover();
				await recovered;
				expect(texts.toSorted()).toEqual(["0", "0", "1", "1", "2", "2"]);
			});

			it("gives back what is nacked, in its old place, and acknowledges many at once", async () => {
				const channel = await (await client()).createConfirmChannel();
				const queue = await temporary(channel);
				for (const text of ["a", "b", "c", "d"]) channel.sendToQueue(queue, Buffer.from(text));
				await channel.waitForConfirms();
				const take = async (): Promise<GetMessage> => (await channel.get(queue)) as GetMessage;
				const [a, b, c] = [await take(), await take(), await take()];
				channel.nack(b as GetMessage, true, true);
				const again = [await take(), await take()];
				expect(again.map((m) => m.content.toString())).toEqual(["a", "b"]);
				expect(again.map((m) => m.fields.redelivered)).toEqual([true, true]);
				channel.ack(again[1] as GetMessage, true);
				expect(a.fields.deliveryTag).toBe(1);
				expect(c.fields.deliveryTag).toBe(3);
				const d = await take();
				expect(d.content.toString()).toBe("d");
				channel.reject(d, false);
				expect(await channel.get(queue)).toBe(false);
			});

			it("tells a consumer when its queue is deleted", async () => {
				const { id } = await endpoint();
				const channel = await service();
				const cancelled = new Promise<ConsumeMessage | null>((resolve) => {
					channel.consume(taskQueue(id), resolve).catch(() => undefined);
				});
				await channel.checkQueue(taskQueue(id));
				await test.broker.removeEndpoint(id);
				expect(await cancelled).toBeNull();
			});
		});
	});
}

/** The first `count` deliveries; the consumption stays open until the connection is closed. */
async function collect(
	connection: Connection,
	queue: string,
	count: number,
	onDelivery: (delivery: Delivery, at: number) => void,
): Promise<Delivery[]> {
	const seen: Delivery[] = [];
	const { promise, resolve } = Promise.withResolvers<void>();
	await connection.consume(queue, {
		prefetch: count,
		onMessage: (delivery) => {
			onDelivery(delivery, seen.length);
			seen.push(delivery);
			if (seen.length === count) resolve();
		},
	});
	await promise;
	return seen;
}
