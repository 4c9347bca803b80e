/** GC-9: user endpoints of a manager of ours. The manager is played by the test; cloud, broker, SDK and daemons are real. */
import { contentTypes, encodeMessage, type StartUserEndpointCommand, startUserEndpointCommand } from "@errand/proto";
import { type Client, CloudError, Executor } from "@errand/sdk";
import { type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";

let cloud: TestCloud;
let owner: Client;
let bob: Client;
let manager: PlayedManager;
const daemons: TestEndpoint[] = [];

/** Registers, sends heartbeats and takes commands; starts nothing by itself. */
class PlayedManager {
	readonly id: string;
	readonly commands: StartUserEndpointCommand[] = [];
	readonly #connection: ChannelModel;
	readonly #channel: ConfirmChannel;
	#onCommand: () => void = () => undefined;

	private constructor(id: string, connection: ChannelModel, channel: ConfirmChannel) {
		this.id = id;
		this.#connection = connection;
		this.#channel = channel;
	}

	static async start(client: Client): Promise<PlayedManager> {
		const places = await client.registerEndpoint({
			endpoint_name: "cluster",
			multi_user: true,
			metadata: { errand_protocol: 1, errand_manager: true, user_config_template: "max_blocks: 1" },
		});
		const connection = await connect(places.command_queue_info.connection_url, { noDelay: true });
		connection.on("error", () => undefined);
		const channel = await connection.createConfirmChannel();
		channel.on("error", () => undefined);
		const played = new PlayedManager(places.endpoint_id, connection, channel);
		await channel.consume(places.command_queue_info.queue, (message) => {
			if (message === null) return;
			channel.ack(message);
			played.commands.push(startUserEndpointCommand.parse(JSON.parse(message.content.toString())));
			played.#onCommand();
		});
		await played.say(played.id, { heartbeat_period: 60 });
		return played;
	}

	/** A heartbeat over the manager's own connection. */
	async say(about: string, state: Record<string, unknown>): Promise<void> {
		const body = encodeMessage("ep_status_report", { endpoint_id: about, global_state: state, task_statuses: {} });
		this.#channel.publish("heartbeats", `${this.id}.heartbeats`, Buffer.from(body), { contentType: contentTypes.json });
		await this.#channel.waitForConfirms();
	}

	/** The first command that matches, of those that came and will come. */
	async asked(matches: (command: StartUserEndpointCommand) => boolean): Promise<StartUserEndpointCommand> {
		for (;;) {
			const found = this.commands.find(matches);
			if (found !== undefined) return found;
			await new Promise<void>((resolve) => {
				this.#onCommand = resolve;
			});
		}
	}

	async close(): Promise<void> {
		await this.#connection.close().catch(() => undefined);
	}
}

beforeAll(async () => {
	cloud = await TestCloud.start();
	owner = (await cloud.login("ada")).client;
	bob = (await cloud.login("bob")).client;
	manager = await PlayedManager.start(owner);
}, 60_000);

afterAll(async () => {
	for (const daemon of daemons) {
		await daemon.stop().catch(() => undefined);
		// Of a daemon that was shut out the manager is left, for whoever comes next.
		for (const pid of daemon.managerPids()) process.kill(pid);
	}
	await manager?.close();
	await cloud?.stop();
});

/** Starts the daemon of the user endpoint that is asked for with this configuration. */
async function startAsked(n: number): Promise<TestEndpoint> {
	const { kwargs } = await manager.asked(({ kwargs: { user_opts } }) => user_opts.n === n);
	const { cloud_url: _same, ...key } = kwargs.errand;
	const credentials = { endpoint_id: kwargs.amqp_creds.endpoint_id, ...key };
	const daemon = await TestEndpoint.of(cloud, credentials, { name: kwargs.name });
	daemons.push(daemon);
	await daemon.start();
	return daemon;
}

const executorOf = (client: Client, n: number): Executor =>
	new Executor({ client, endpoint: manager.id, userEndpointConfig: { n } });

test("GC-9: a daemon with the key of the command is the user endpoint: it runs what was submitted, large values too", async () => {
	await using executor = executorOf(bob, 1);
	const text = "x".repeat(300 * 1024);
	const length = executor.submit((value: string) => value + value.length, text);
	const daemon = await startAsked(1);
	expect(await length).toBe(`${text}${text.length}`);
	const { items } = await bob.listUserEndpoints(manager.id);
	expect(items).toMatchObject([{ id: daemon.id, config: { n: 1 }, status: "online", unfinished_tasks: 0 }]);
	expect((await bob.listEndpoints()).items).toEqual([]);
	expect((await owner.listUserEndpoints(manager.id)).items).toMatchObject([{ owner: { username: "bob" } }]);

	const sleeper = executor.submit(async () => {
		console.log("up");
		await new Promise((resolve) => setTimeout(resolve, 600_000));
	});
	for await (const line of sleeper.stdout()) {
		expect(line).toContain("up");
		break;
	}
	await sleeper.cancel();
	await expect(sleeper).rejects.toMatchObject({ name: "CancelledError" });
}, 60_000);

test("GC-9: what the manager says of a start that failed is the submitter's error", async () => {
	await using executor = executorOf(bob, 2);
	const future = executor.submit(() => 1);
	const { kwargs } = await manager.asked(({ kwargs: { user_opts } }) => user_opts.n === 2);
	await manager.say(kwargs.amqp_creds.endpoint_id, {
		error: "n is 1 at most; ask ops@example.org",
		heartbeat_period: 3,
	});
	const error = await future.then(
		() => undefined,
		(cause: unknown) => cause,
	);
	expect(error).toBeInstanceOf(CloudError);
	expect(error).toMatchObject({
		code: "SEMANTICALLY_INVALID",
		message: expect.stringContaining("n is 1 at most; ask ops@example.org"),
	});
}, 60_000);

test("GC-9: a daemon whose manager is locked loses its key and its broker user, and ends by itself", async () => {
	const daemon = daemons[0] as TestEndpoint;
	const reply = await fetch(`${cloud.url}/v3/endpoints/${manager.id}/lock`, {
		method: "POST",
		headers: { authorization: `Bearer ${await owner.accessToken()}` },
	});
	expect(reply.status).toBe(200);
	expect(await daemon.process.exit()).not.toBe(0);
	expect(daemon.process.output).toMatch(/does not accept this endpoint's key|This user endpoint has ended/);
	expect((await bob.listUserEndpoints(manager.id)).items.map(({ status }) => status)).toEqual(["failed", "offline"]);
}, 60_000);
