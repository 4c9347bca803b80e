/** The endpoint's uplink against a real broker, with the rights that an endpoint really gets. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandQueue, contentTypes, type EndpointId, exchanges, newId, routingKey, taskQueue } from "@errand/proto";
import { type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openEmbeddedBroker } from "../../cloud/src/broker/embedded/embedded.ts";
import { openUplink, type Places, type Uplink, type UplinkEvents } from "../../endpoint/src/uplink/uplink.ts";
import { randomPort } from "../harness/ports.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
type EmbeddedBroker = Awaited<ReturnType<typeof openEmbeddedBroker>>;

/** Things that come one by one, and can be waited for. */
class Arrivals<T> {
	readonly all: T[] = [];
	#waiting: { count: number; resolve: (all: T[]) => void }[] = [];

	readonly add = (one: T): void => {
		this.all.push(one);
		for (const { count, resolve } of this.#waiting) if (this.all.length >= count) resolve(this.all);
	};

	until(count: number): Promise<T[]> {
		return new Promise((resolve) => {
			if (this.all.length >= count) resolve(this.all);
			else this.#waiting.push({ count, resolve });
		});
	}
}

const id = newId<EndpointId>();
let directory: string;
let port: number;
let broker: EmbeddedBroker;
let cloudSide: ChannelModel;
let channel: ConfirmChannel;
let uplink: Uplink | undefined;
let results: Arrivals<string>;

const openBroker = () => openEmbeddedBroker({ directory, host: "127.0.0.1", port, log: silent });

async function listen(): Promise<void> {
	cloudSide = await connect(broker.serviceUrl, { noDelay: true });
	cloudSide.on("error", () => undefined);
	channel = await cloudSide.createConfirmChannel();
	channel.on("error", () => undefined);
	await channel.consume("results", (message) => {
		if (!message) return;
		channel.ack(message);
		results.add(message.content.toString());
	});
}

async function provision(): Promise<Places> {
	const { url: connection_url } = await broker.provisionEndpoint(id);
	const outgoing = (queue: "results" | "heartbeats" | "reports") => ({
		connection_url,
		exchange: exchanges[queue],
		queue,
		queue_publish_kwargs: {
			exchange: exchanges[queue],
			routing_key: routingKey(id, queue),
			mandatory: true as const,
			properties: { delivery_mode: 2 as const },
		},
	});
	return {
		task_queue_info: { connection_url, exchange: exchanges.tasks, queue: taskQueue(id) },
		command_queue_info: { connection_url, exchange: exchanges.commands, queue: commandQueue(id) },
		result_queue_info: outgoing("results"),
		heartbeat_queue_info: outgoing("heartbeats"),
		report_queue_info: outgoing("reports"),
	};
}

const sendTask = (text: string, contentType: string = contentTypes.taskBatch) =>
	channel.sendToQueue(taskQueue(id), Buffer.from(text), { contentType, persistent: true });

beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), "errand-uplink-"));
	port = await randomPort();
	broker = await openBroker();
	await broker.setUp();
	results = new Arrivals();
	await listen();
});
afterEach(async () => {
	await uplink?.close();
	uplink = undefined;
	await cloudSide.close().catch(() => undefined);
	await broker.close();
	rmSync(directory, { recursive: true, force: true });
});

async function start(events: Partial<UplinkEvents>): Promise<{ connected: Arrivals<true>; renewals: () => number }> {
	const connected = new Arrivals<true>();
	let renewals = 0;
	uplink = openUplink({
		places: await provision(),
		renew: () => {
			renewals++;
			return provision();
		},
		log: silent,
		events: {
			taskBatch: async () => undefined,
			command: async () => undefined,
			disconnected: () => undefined,
			refused: () => undefined,
			connected: () => connected.add(true),
			...events,
		},
	});
	return { connected, renewals: () => renewals };
}

describe("uplink", () => {
	test("tasks and commands come in, results go out and are confirmed", async () => {
		const tasks = new Arrivals<string>();
		const commands = new Arrivals<unknown>();
		await start({
			taskBatch: async (bytes) => tasks.add(Buffer.from(bytes).toString()),
			command: async (command) => commands.add(command),
		});
		sendTask("one");
		const cancel = { command: "cmd_cancel_tasks", kwargs: { task_ids: [newId()], grace_ms: 5 } };
		channel.sendToQueue(commandQueue(id), Buffer.from(JSON.stringify(cancel)), { contentType: contentTypes.json });
		expect(await tasks.until(1)).toEqual(["one"]);
		expect(await commands.until(1)).toEqual([cancel]);
		await uplink?.publishResults(Buffer.from("done"));
		expect(await results.until(1)).toEqual(["done"]);
	});

	test("NEW-7: a batch that is not in the journal yet is delivered again to the next daemon", async () => {
		const first = new Arrivals<string>();
		await start({
			taskBatch: (bytes) => {
				first.add(Buffer.from(bytes).toString());
				return new Promise(() => undefined);
			},
		});
		sendTask("kept");
		await first.until(1);
		await uplink?.close();
		const second = new Arrivals<string>();
		await start({ taskBatch: async (bytes) => second.add(Buffer.from(bytes).toString()) });
		expect(await second.until(1)).toEqual(["kept"]);
	});

	test("what cannot be read is put aside and does not stop what follows", async () => {
		const tasks = new Arrivals<string>();
		await start({ taskBatch: async (bytes) => tasks.add(Buffer.from(bytes).toString()) });
		sendTask("rubbish", "text/plain");
		channel.sendToQueue(commandQueue(id), Buffer.from("{"), {});
		sendTask("good");
		expect(await tasks.until(1)).toEqual(["good"]);
	});

	test("NEW-7: results given while the broker is away arrive after it is back", async () => {
		const { connected } = await start({});
		await connected.until(1);
		await cloudSide.close();
		await broker.close();
		const published = uplink?.publishResults(Buffer.from("late"));
		broker = await openBroker();
		await broker.setUp();
		await listen();
		await published;
		expect(await results.until(1)).toEqual(["late"]);
	});

	test("a result that nobody would get is not taken for delivered", async () => {
		const { connected } = await start({});
		await connected.until(1);
		await channel.unbindQueue("results", exchanges.results, "*.results");
		let settled = false;
		const published = uplink?.publishResults(Buffer.from("astray")).then(() => {
			settled = true;
		});
		await channel.checkQueue("results");
		expect(settled).toBe(false);
		await channel.bindQueue("results", exchanges.results, "*.results");
		await published;
		expect(await results.until(1)).toEqual(["astray"]);
	});

	test("when its credentials are taken away the endpoint registers again", async () => {
		const { connected, renewals } = await start({});
		await connected.until(1);
		await broker.revokeEndpoint(id);
		await connected.until(2);
		expect(renewals()).toBeGreaterThan(0);
		await uplink?.publishResults(Buffer.from("again"));
		expect(await results.until(1)).toEqual(["again"]);
	});
});
