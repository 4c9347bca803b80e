import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { connect as connectSocket, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { type AccountId, type EndpointId, newId, taskQueue } from "@errand/proto";
import { type Channel, type ChannelModel, connect, type GetMessage } from "amqplib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Log } from "../logging.ts";
import { contentHeader, frameOf, loginOf, RawClient } from "../raw-client.test-harness.ts";
import { encodeMethod, methods } from "./codec.ts";
import { type EmbeddedBroker, type EmbeddedBrokerOptions, openEmbeddedBroker } from "./embedded.ts";
import { heartbeatFrame, protocolHeader } from "./frames.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

let directory: string;
const open: { close(): Promise<unknown> }[] = [];

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "errand-embedded-"));
});
afterEach(async () => {
	for (const one of open.splice(0).reverse()) await one.close();
	await rm(directory, { recursive: true });
});

async function start(options: Partial<EmbeddedBrokerOptions> = {}): Promise<EmbeddedBroker> {
	const broker = await openEmbeddedBroker({ directory, host: "127.0.0.1", port: 0, log: silent, ...options });
	await broker.setUp();
	open.push(broker);
	return broker;
}

async function client(url: string): Promise<ChannelModel> {
	const model = await connect(url, { noDelay: true });
	model.on("error", () => undefined);
	open.push({ close: () => model.close().catch(() => undefined) });
	return model;
}

async function drain(channel: Channel, queue: string): Promise<string[]> {
	const texts: string[] = [];
	for (let m = await channel.get(queue, { noAck: true }); m; m = await channel.get(queue, { noAck: true }))
		texts.push(m.content.toString());
	return texts;
}

/** A broker in a process of its own, which can be killed. */
async function startChild(): Promise<{ child: ChildProcess; url: string }> {
	const code = `
		import { openEmbeddedBroker } from ${JSON.stringify(new URL("./embedded.ts", import.meta.url).href)};
		const quiet = () => undefined;
		const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
		const broker = await openEmbeddedBroker({ directory: ${JSON.stringify(directory)}, host: "127.0.0.1", port: 0, log, segmentBytes: 200_000 });
		await broker.setUp();
		console.log(broker.serviceUrl);
	`;
	const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", code], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	open.push({
		close: async () => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			child.kill("SIGKILL");
			await once(child, "exit");
		},
	});
	const [url] = (await once(createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }), "line")) as [
		string,
	];
	return { child, url };
}

describe("the embedded broker keeps what it has confirmed", () => {
	it("over kill -9, five times, while messages are published and acknowledged", async () => {
		const confirmed = new Set<string>();
		const consumed = new Set<string>();
		for (let round = 0; round < 5; round++) {
			const { child, url } = await startChild();
			const model = await client(url);
			const channel = await model.createConfirmChannel();
			channel.on("error", () => undefined);
			await channel.assertQueue("kept", { durable: true });
			const { promise: enough, resolve } = Promise.withResolvers<void>();
			let count = 0;
			for (let i = 0; i < 1500; i++) {
				const text = `${round}-${i}`;
				channel.publish("", "kept", Buffer.from(text.padEnd(500)), { persistent: true }, (error) => {
					if (error) return;
					confirmed.add(text);
					if (++count === 900) resolve();
				});
			}
			await channel.consume("kept", (message) => {
				if (!message || count % 3 !== 0) return;
				consumed.add(message.content.toString().trim());
				channel.ack(message);
			});
			await enough;
			child.kill("SIGKILL");
			await once(child, "exit");
		}
		const { url } = await startChild();
		const channel = await (await client(url)).createChannel();
		const left = new Set((await drain(channel, "kept")).map((text) => text.trim()));
		const lost = [...confirmed].filter((text) => !left.has(text) && !consumed.has(text));
		expect(confirmed.size).toBeGreaterThanOrEqual(4500);
		expect(lost).toEqual([]);
	});

	it("NEW-1: and its queues, bindings and users over a restart", async () => {
		const first = await start();
		const id = newId<EndpointId>();
		const { url } = await first.provisionEndpoint(id);
		const channel = await (await client(first.serviceUrl)).createConfirmChannel();
		channel.publish("tasks", taskQueue(id), Buffer.from("durable"), { persistent: true });
		channel.publish("tasks", taskQueue(id), Buffer.from("transient"), { persistent: false });
		await channel.waitForConfirms();
		await first.close();
		const second = await start({ port: first.port });
		const model = await client(url);
		const again = await model.createChannel();
		const message = (await again.get(taskQueue(id))) as GetMessage;
		expect(message.content.toString()).toBe("durable");
		expect(message.fields).toMatchObject({ exchange: "tasks", routingKey: taskQueue(id), redelivered: true });
		again.ack(message);
		expect(await again.get(taskQueue(id))).toBe(false);
		expect((await second.provisionEndpoint(id)).queueExisted).toBe(true);
	});

	it("HQ-6: queues and users although nothing was left in them and nothing happened since", async () => {
		const first = await start();
		const id = newId<EndpointId>();
		await first.provisionEndpoint(id);
		await first.close();
		for (let restart = 0; restart < 3; restart++) {
			const again = await start();
			// The log has been tidied by then.
			await again.check();
			await again.close();
		}
		const last = await start();
		expect((await last.provisionEndpoint(id)).queueExisted).toBe(true);
	});

	it("HQ-6: when its file is cut at any byte: everything before the cut is there", async () => {
		const broker = await start();
		const channel = await (await client(broker.serviceUrl)).createConfirmChannel();
		await channel.assertQueue("q");
		const ends: number[] = [];
		const file = join(directory, "0000000001.log");
		for (let i = 0; i < 5; i++) {
			channel.sendToQueue("q", Buffer.from(`message ${i}`), { persistent: true });
			await channel.waitForConfirms();
			ends.push((await stat(file)).size);
		}
		await broker.close();
		const whole = (await readFile(file)).length;
		const starts = (ends[0] as number) - 20;
		const copies = join(directory, "copies");
		for (let cut = starts; cut <= whole; cut += 7) {
			const copy = join(copies, String(cut));
			await mkdir(copy, { recursive: true });
			await copyFile(file, join(copy, "0000000001.log"));
			await truncate(join(copy, "0000000001.log"), cut);
			const reopened = await openEmbeddedBroker({ directory: copy, host: "127.0.0.1", port: 0, log: silent });
			const model = await connect(reopened.serviceUrl);
			const there = await drain(await model.createChannel(), "q");
			await model.close();
			await reopened.close();
			expect(there.length).toBe(ends.filter((end) => end <= cut).length);
		}
	});

	it("writes passwords nowhere, and lets nobody else read its files", async () => {
		const broker = await start();
		const { url } = await broker.provisionEndpoint(newId<EndpointId>());
		await broker.close();
		for (const name of await readdir(directory)) {
			const path = join(directory, name);
			expect((await stat(path)).mode & 0o077).toBe(0);
			expect(await readFile(path, "utf8")).not.toContain(new URL(url).password);
		}
		expect((await stat(directory)).mode & 0o077).toBe(0);
	});

	it("tells publishers when the disk does not take a message, and goes on when it does again", async () => {
		const broker = await start({ segmentBytes: 1 });
		const channel = await (await client(broker.serviceUrl)).createConfirmChannel();
		await channel.assertQueue("q");
		const publish = (): Promise<string> =>
			new Promise((resolve) =>
				channel.sendToQueue("q", Buffer.from("x"), { persistent: true }, (error) =>
					resolve(error ? "refused" : "confirmed"),
				),
			);
		const aside = `${directory}-aside`;
		await rename(directory, aside);
		expect(await publish()).toBe("refused");
		await rename(aside, directory);
		expect(await publish()).toBe("confirmed");
	});

	it("and refuses a directory that another process uses", async () => {
		await start();
		await expect(openEmbeddedBroker({ directory, host: "127.0.0.1", port: 0, log: silent })).rejects.toThrow(
			`in use by process ${process.pid}`,
		);
	});
});

describe("the embedded broker stays within its bounds", () => {
	it("keeps bodies above its memory budget on disk, durable or not, and gives them back in order", async () => {
		const broker = await start({ memoryBudgetBytes: 100_000, segmentBytes: 300_000 });
		const channel = await (await client(broker.serviceUrl)).createConfirmChannel();
		await channel.assertQueue("deep");
		for (let i = 0; i < 1000; i++)
			channel.sendToQueue("deep", Buffer.alloc(2000, String(i % 10)), { persistent: i % 2 === 0 });
		await channel.waitForConfirms();
		expect(broker.usage().memoryBytes).toBeLessThan(150_000);
		const seen = await drain(channel, "deep");
		expect(seen.map((text) => text[0])).toEqual(Array.from({ length: 1000 }, (_, i) => String(i % 10)));
		expect(broker.usage().memoryBytes).toBe(0);
	});

	it("gives disk back: files hold no more than twice what is wanted and a few segments", async () => {
		const broker = await start({ segmentBytes: 100_000 });
		const channel = await (await client(broker.serviceUrl)).createConfirmChannel();
		await channel.assertQueue("stays");
		await channel.assertQueue("flows");
		const publish = async (queue: string, text: string): Promise<void> => {
			channel.sendToQueue(queue, Buffer.from(text.padEnd(1000)), { persistent: true });
			await channel.waitForConfirms();
		};
		for (let i = 0; i < 20; i++) {
			await publish("stays", `stays ${i}`);
			for (let k = 0; k < 100; k++) channel.sendToQueue("flows", Buffer.alloc(1000), { persistent: true });
			await channel.waitForConfirms();
			await channel.purgeQueue("flows");
		}
		await broker.check();
		expect(broker.usage().diskBytes).toBeLessThan(900_000);
		await broker.close();
		const again = await start({ segmentBytes: 100_000 });
		const after = await (await client(again.serviceUrl)).createChannel();
		expect((await drain(after, "stays")).map((text) => text.trim())).toEqual(
			Array.from({ length: 20 }, (_, i) => `stays ${i}`),
		);
	});

	it("waits for a consumer that does not read", async () => {
		const broker = await start();
		const publishing = await (await client(broker.serviceUrl)).createConfirmChannel();
		await publishing.assertQueue("slow");
		const slow = await rawClient(broker.serviceUrl);
		slow.write(encodeMethod(methods.channelOpen, 1, { outOfBand: "" }));
		slow.write(encodeMethod(methods.basicConsume, 1, { queue: "slow", consumerTag: "c", noAck: true, arguments: {} }));
		await expect.poll(async () => (await publishing.checkQueue("slow")).consumerCount).toBe(1);
		slow.pause();
		for (let i = 0; i < 300; i++) publishing.sendToQueue("slow", Buffer.alloc(100_000));
		await publishing.waitForConfirms();
		const { messageCount } = await publishing.checkQueue("slow");
		expect(messageCount).toBeGreaterThan(100);
		slow.resume();
		await expect.poll(async () => (await publishing.checkQueue("slow")).messageCount, { timeout: 10_000 }).toBe(0);
		slow.destroy();
	});

	it("sends heartbeats, and ends a client that sends none", async () => {
		const broker = await start();
		const socket = await rawClient(broker.serviceUrl, 1);
		const { promise: pulse, resolve } = Promise.withResolvers<void>();
		socket.on("data", (data) => data.includes(heartbeatFrame) && resolve());
		const closed = once(socket, "close");
		await pulse;
		await closed;
	});

	it("ends a client that does not log in", async () => {
		const broker = await start({ handshakeTimeoutMs: 50 });
		const socket = connectSocket(broker.port, "127.0.0.1");
		await once(socket, "close");
	});

	it("removes a queue that nobody has used for its x-expires, and refuses arguments that it would ignore", async () => {
		const broker = await start();
		const model = await client(broker.serviceUrl);
		const channel = await model.createChannel();
		await channel.assertQueue("short-lived", { expires: 30 });
		const gone = async (): Promise<boolean> => {
			const probe = await model.createChannel();
			probe.on("error", () => undefined);
			return probe.checkQueue("short-lived").then(
				() => false,
				(error: { code?: number }) => error.code === 404,
			);
		};
		await expect.poll(gone).toBe(true);
		channel.on("error", () => undefined);
		await expect(channel.assertQueue("limited", { maxLength: 3 })).rejects.toThrow("406");
	});
});

/** A socket that has logged in; the replies until then are not looked at. */
async function rawClient(url: string, heartbeat = 0): Promise<Socket> {
	const socket = connectSocket(Number(new URL(url).port), "127.0.0.1");
	socket.write(protocolHeader);
	for (const greeting of loginOf(url, { heartbeat, channelMax: 10 })) socket.write(greeting);
	await once(socket, "data");
	return socket;
}

describe("the embedded broker takes whatever comes", () => {
	/** The reply code of the close that the client gets. */
	async function answerTo(socket: Socket, bytes: Buffer): Promise<number | undefined> {
		const pieces: Buffer[] = [];
		socket.on("data", (piece) => pieces.push(piece));
		const closed = once(socket, "close");
		socket.write(bytes);
		const close = (): number => Buffer.concat(pieces).indexOf(Buffer.from([0, 10, 0, 50]));
		while (close() < 0 && !socket.destroyed) await Promise.race([once(socket, "data"), closed]);
		const at = close();
		const code = at < 0 ? undefined : Buffer.concat(pieces).readUInt16BE(at + 4);
		socket.destroy();
		return code;
	}
	it("answers each kind of nonsense with its reply code, and goes on", async () => {
		const broker = await start();
		const openChannel = encodeMethod(methods.channelOpen, 1, { outOfBand: "" });
		const publish = encodeMethod(methods.basicPublish, 1, { exchange: "", routingKey: "q" });
		const cases: Record<string, [Buffer, number]> = {
			"a frame without its end mark": [Buffer.from([1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 50, 0]), 501],
			"a frame above the agreed size": [Buffer.from([1, 0, 0, 0xff, 0xff, 0xff, 0xff]), 501],
			"an unknown type of frame": [frameOf(7, 0, Buffer.alloc(4)), 501],
			"an empty method": [frameOf(1, 0, Buffer.alloc(0)), 501],
			"arguments cut short": [frameOf(1, 1, Buffer.from([0, 50, 0, 10, 0])), 502],
			"a method that does not exist": [frameOf(1, 1, Buffer.from([0, 99, 0, 99])), 540],
			"a method on a channel that is not open": [
				encodeMethod(methods.basicQos, 5, { prefetchSize: 0, prefetchCount: 1 }),
				504,
			],
			"a channel opened twice": [Buffer.concat([openChannel, openChannel]), 504],
			"too many channels": [encodeMethod(methods.channelOpen, 11, { outOfBand: "" }), 530],
			"content that nobody announced": [Buffer.concat([openChannel, frameOf(2, 1, Buffer.alloc(14))]), 505],
			"a body without a header": [Buffer.concat([openChannel, publish, frameOf(3, 1, Buffer.alloc(3))]), 505],
			"a second log-in": [
				encodeMethod(methods.connectionOpen, 0, { virtualHost: "/", capabilities: "", insist: false }),
				503,
			],
			"a transaction": [Buffer.concat([openChannel, frameOf(1, 1, Buffer.from([0, 90, 0, 10]))]), 540],
		};
		const answers: Record<string, number | undefined> = {};
		for (const [what, [bytes]] of Object.entries(cases))
			answers[what] = await answerTo(await rawClient(broker.serviceUrl), bytes);
		expect(answers).toEqual(Object.fromEntries(Object.entries(cases).map(([what, [, code]]) => [what, code])));
		await client(broker.serviceUrl);
	});

	it("refuses a message above its limit at the header, on the channel", async () => {
		const broker = await start();
		const socket = await rawClient(broker.serviceUrl);
		const header = Buffer.alloc(14);
		header.writeUInt16BE(60, 0);
		header.writeUInt32BE(200 * 1024 * 1024, 8);
		const { promise, resolve } = Promise.withResolvers<Buffer>();
		socket.on("data", (data) => data.includes("PRECONDITION_FAILED") && resolve(data));
		socket.write(
			Buffer.concat([
				encodeMethod(methods.channelOpen, 1, { outOfBand: "" }),
				encodeMethod(methods.basicPublish, 1, { exchange: "", routingKey: "q" }),
				frameOf(2, 1, header),
			]),
		);
		expect((await promise).toString()).toContain("larger than configured max size");
		socket.destroy();
	});

	it("bounds what one connection may leave unfinished", async () => {
		const broker = await start();
		const header = Buffer.alloc(14);
		header.writeUInt16BE(60, 0);
		header.writeUInt32BE(100 * 1024 * 1024, 8);
		const unfinished = [1, 2, 3].map((channel) =>
			Buffer.concat([
				encodeMethod(methods.channelOpen, channel, { outOfBand: "" }),
				encodeMethod(methods.basicPublish, channel, { exchange: "", routingKey: "q" }),
				frameOf(2, channel, header),
			]),
		);
		expect(await answerTo(await rawClient(broker.serviceUrl), Buffer.concat(unfinished))).toBe(506);
	});

	it("bounds what all connections together may leave unfinished, and gives back what one has left", async () => {
		const broker = await start({ unfinishedLimitBytes: 100_000 });
		const half = Buffer.concat([
			encodeMethod(methods.basicPublish, 1, { exchange: "", routingKey: "q" }),
			contentHeader(1, 90_000, Buffer.from([0, 0])),
			frameOf(3, 1, Buffer.alloc(60_000)),
		]);
		const [one, two] = [await RawClient.open(broker.serviceUrl), await RawClient.open(broker.serviceUrl)];
		one.write(half);
		one.write(encodeMethod(methods.channelOpen, 2, { outOfBand: "" }));
		await one.until(() => one.methods.filter(({ id }) => id === methods.channelOpenOk).length === 2);
		two.write(half);
		expect(await two.refusal()).toBe(506);
		one.destroy();
		await expect.poll(() => broker.usage().connections).toBeLessThan(2);
		const three = await RawClient.open(broker.serviceUrl);
		three.write(Buffer.concat([half, frameOf(3, 1, Buffer.alloc(30_000))]));
		three.write(encodeMethod(methods.channelOpen, 2, { outOfBand: "" }));
		await three.until(() => three.methods.filter(({ id }) => id === methods.channelOpenOk).length === 2);
		expect(three.closes).toEqual([]);
		three.destroy();
		two.destroy();
	});

	it("lets one user have some connections and no more, and others theirs", async () => {
		const broker = await start({ userConnectionLimit: 2 });
		const { url } = await broker.provisionEndpoint(newId<EndpointId>());
		const { url: others } = await broker.provisionEndpoint(newId<EndpointId>());
		const some = [await client(url), await client(url)];
		await expect(connect(url)).rejects.toThrow("530");
		await client(others);
		await some[0]?.close();
		await expect.poll(() => client(url).catch(() => undefined)).toBeDefined();
	});

	it("survives random bytes before and after log-in", async () => {
		const broken: unknown[] = [];
		const broker = await start({ log: { ...silent, error: (...what: unknown[]) => broken.push(what) } });
		const known = Object.values(methods);
		const nonsense = fc.oneof(
			fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
			fc
				.tuple(fc.constantFrom(...known), fc.integer({ min: 0, max: 3 }), fc.uint8Array({ maxLength: 60 }))
				.map(([id, channel, args]) => {
					const start = Buffer.alloc(4);
					start.writeUInt32BE(id, 0);
					return frameOf(1, channel, Buffer.concat([start, args]));
				}),
		);
		await fc.assert(
			fc.asyncProperty(fc.boolean(), fc.array(nonsense, { minLength: 1, maxLength: 6 }), async (loggedIn, pieces) => {
				const socket = loggedIn ? await rawClient(broker.serviceUrl) : connectSocket(broker.port, "127.0.0.1");
				socket.on("error", () => undefined);
				if (loggedIn) socket.write(encodeMethod(methods.channelOpen, 1, { outOfBand: "" }));
				else socket.write(protocolHeader);
				const closed = once(socket, "close");
				socket.resume();
				socket.end(Buffer.concat(pieces));
				await closed;
			}),
			{ numRuns: 100 },
		);
		expect(broken).toEqual([]);
		const channel = await (await client(broker.serviceUrl)).createChannel();
		await channel.assertQueue("", { exclusive: true });
	});
});
describe("the embedded broker behind something else", () => {
	it("sends endpoints and readers to its public address", async () => {
		const broker = await start({ publicUrl: "amqps://mq.example.org" });
		expect((await broker.provisionEndpoint(newId<EndpointId>())).url).toMatch(/^amqps:.*@mq\.example\.org:5671\/%2F$/);
		expect((await broker.provisionReader(newId<AccountId>())).url).toMatch(/^amqps:.*@mq\.example\.org:5671\/%2F$/);
		await client(broker.serviceUrl);
	});
});
describe("the embedded broker with TLS", () => {
	it("speaks it on its port, and keeps the cloud's own connections on the loopback address", async () => {
		const [key, cert] = [join(directory, "tls.key"), join(directory, "tls.pem")];
		await promisify(execFile)("openssl", [
			...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
			...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
		]);
		const ca = await readFile(cert);
		const broker = await start({ tls: { key: await readFile(key), cert: ca }, host: "localhost" });
		const { url } = await broker.provisionEndpoint(newId<EndpointId>());
		expect(url).toMatch(/^amqps:.*@localhost:/);
		const model = await connect(url, { ca: [ca], noDelay: true });
		await model.close();
		await expect(connect(url)).rejects.toThrow(/self-signed/);
		await client(broker.serviceUrl);
	});

	it("behind a proxy, clients are told the proxy's scheme, host and port", async () => {
		const broker = await start({ publicUrl: "amqps://broker.example.org" });
		const { url } = await broker.provisionEndpoint(newId<EndpointId>());
		expect(url).toMatch(/^amqps:\/\/ep-[^@]*@broker\.example\.org:5671\/%2F$/);
		expect((await broker.provisionReader(newId())).url).toContain("@broker.example.org:5671/");
		await client(broker.serviceUrl);
	});
});
