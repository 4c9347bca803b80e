/**
 * A cloud for tests: real database, real blobs, and at the broker's port a fake that keeps queues in memory and lets a
 * test play the endpoint.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	type AccountId,
	commandQueue,
	contentTypes,
	type EndpointCommand,
	type EndpointId,
	encodeMessage,
	exchanges,
	type FunctionId,
	idToBytes,
	joinBuffer,
	newId,
	pack,
	routingKey,
	type TaskId,
	taskQueue,
} from "@errand/proto";
import {
	create,
	fromBinary,
	ReportBatchSchema,
	type ReportSchema,
	ResultBatchSchema,
	type ResultSchema,
	type Task,
	type TaskBatch,
	TaskBatchSchema,
	toBinary,
} from "@errand/proto/wire";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { openBlobDirectory } from "../blobs/directory.ts";
import type { Broker } from "../broker/broker.ts";
import { openDispatch } from "../dispatch.ts";
import { openProviders } from "../flows/providers/providers.ts";
import { CloudEventBus } from "../observe/events.ts";
import type { MessagePublisher } from "../outlet.ts";
import type { Caller } from "../policy/caller.ts";
import { openElsewhere } from "../results/elsewhere.ts";
import { type Delivery, type MessageSource, openIntake } from "../results/intake.ts";
import { openRecorder } from "../results/recorder.ts";
import { openEmbeddedPostgres } from "../store/embedded-postgres.ts";
import { FunctionCache } from "../store/function-cache.ts";
import { migrate, readMigrations } from "../store/migrate.ts";
import { type Database, openPool } from "../store/pool.ts";
import { removePostgresHome } from "../store/postgres-home.ts";
import { Capabilities } from "../transfers/capability.ts";
import { createOperations } from "./create-operations.ts";
import type { Operations } from "./operations.ts";
import { openSweeper } from "./sweep.ts";
import { openUserEndpoints } from "./user-endpoints.ts";

export type ResultInit = NonNullable<Parameters<typeof create<typeof ResultSchema>>[1]>;
export type ReportInit = NonNullable<Parameters<typeof create<typeof ReportSchema>>[1]>;

const quiet = pino({ level: process.env.TEST_LOG ?? "silent" });

export interface Message {
	readonly exchange: string;
	readonly routingKey: string;
	readonly body: Uint8Array;
	readonly properties: { contentType: string; headers?: Readonly<Record<string, unknown>> };
}

/** Queues in memory. A queue keeps everything it ever got in `sent`, for tests to read. */
export class FakeBus implements MessagePublisher, MessageSource {
	readonly sent: Message[] = [];
	readonly #consumers = new Map<string, (delivery: Delivery) => void>();
	readonly #waiting = new Map<string, Message[]>();
	#watchers: { matches: () => boolean; done: () => void }[] = [];
	/** Set: nothing is confirmed any more, as when the broker is away. */
	stalled = false;
	readonly #taken = new Set<Message>();
	readonly outcomes: ("ack" | "requeue" | "drop")[] = [];

	async publish(exchange: string, key: string, body: Uint8Array, properties: Message["properties"]): Promise<void> {
		if (this.stalled) return await new Promise<void>(() => undefined);
		const message = { exchange, routingKey: key, body, properties };
		this.sent.push(message);
		const queue = exchange === exchanges.tasks || exchange === exchanges.commands || exchange === "" ? key : exchange;
		this.#deliver(queue, message, false);
		this.#notice();
	}

	async consume(queue: string, options: { onMessage: (delivery: Delivery) => void }) {
		this.#consumers.set(queue, options.onMessage);
		for (const message of this.#waiting.get(queue) ?? []) this.#deliver(queue, message, false);
		this.#waiting.delete(queue);
		return { close: async () => void this.#consumers.delete(queue) };
	}

	/** Resolves when `matches` holds; it is looked at after each message and each acknowledgement. */
	until(matches: () => boolean): Promise<void> {
		if (matches()) return Promise.resolve();
		return new Promise((done) => this.#watchers.push({ matches, done }));
	}

	/** Resolves when the cloud has acknowledged or refused this message. */
	taken(message: Message): Promise<void> {
		return this.until(() => this.#taken.has(message));
	}

	/** As a broker does after a lost connection: the message comes once more. */
	redeliver(queue: string, message: Message): void {
		this.#deliver(queue, message, true);
	}

	#deliver(queue: string, message: Message, redelivered: boolean): void {
		const consumer = this.#consumers.get(queue);
		if (consumer === undefined) {
			this.#waiting.set(queue, [...(this.#waiting.get(queue) ?? []), message]);
			return;
		}
		const settle = (outcome: "ack" | "requeue" | "drop"): void => {
			this.outcomes.push(outcome);
			this.#taken.add(message);
			if (outcome === "requeue") this.#deliver(queue, message, true);
			this.#notice();
		};
		setImmediate(() =>
			consumer({
				body: message.body,
				routingKey: message.routingKey,
				redelivered,
				properties: message.properties,
				ack: () => settle("ack"),
				reject: (requeue) => settle(requeue ? "requeue" : "drop"),
			}),
		);
	}

	#notice(): void {
		const ready = this.#watchers.filter((watcher) => watcher.matches());
		this.#watchers = this.#watchers.filter((watcher) => !ready.includes(watcher));
		for (const watcher of ready) watcher.done();
	}

	batches(endpoint: EndpointId): TaskBatch[] {
		return this.sent
			.filter((message) => message.routingKey === taskQueue(endpoint))
			.map((message) => fromBinary(TaskBatchSchema, message.body));
	}

	tasks(endpoint: EndpointId): Task[] {
		return this.batches(endpoint).flatMap((batch) => batch.tasks);
	}

	commands(endpoint: EndpointId): EndpointCommand[] {
		return this.sent
			.filter((message) => message.routingKey === commandQueue(endpoint))
			.map((message) => JSON.parse(Buffer.from(message.body).toString()) as EndpointCommand);
	}

	async results(endpoint: EndpointId, results: ResultInit[]): Promise<Message> {
		const body = toBinary(ResultBatchSchema, create(ResultBatchSchema, { results }));
		await this.publish(exchanges.results, routingKey(endpoint, "results"), body, {
			contentType: contentTypes.resultBatch,
		});
		return this.sent.at(-1) as Message;
	}

	/** Resolves when the cloud has taken it. */
	async reports(endpoint: EndpointId, reports: ReportInit[]): Promise<void> {
		const body = toBinary(ReportBatchSchema, create(ReportBatchSchema, { reports }));
		await this.publish(exchanges.reports, routingKey(endpoint, "reports"), body, {
			contentType: contentTypes.reportBatch,
		});
		await this.taken(this.sent.at(-1) as Message);
	}

	/** `about`: whom it is about, when that is not the sender. Resolves when the cloud has taken or refused it. */
	async heartbeat(endpoint: EndpointId, state: Record<string, unknown>, about = endpoint): Promise<void> {
		const body = encodeMessage("ep_status_report", { endpoint_id: about, global_state: state, task_statuses: {} });
		await this.publish(exchanges.heartbeats, routingKey(endpoint, "heartbeats"), body, {
			contentType: contentTypes.json,
		});
		await this.taken(this.sent.at(-1) as Message);
	}
}

export class FakeBroker implements Broker {
	readonly serviceUrl = "amqp://service@localhost";
	readonly queues = new Set<EndpointId>();
	readonly calls: string[] = [];

	async setUp(): Promise<void> {}
	async provisionEndpoint(id: EndpointId): Promise<{ url: string; queueExisted: boolean }> {
		this.calls.push(`provision ${id}`);
		const queueExisted = this.queues.has(id);
		this.queues.add(id);
		return { url: `amqp://ep-${id}:secret@localhost:5672/`, queueExisted };
	}
	async revokeEndpoint(id: EndpointId): Promise<void> {
		this.calls.push(`revoke ${id}`);
	}
	async removeEndpoint(id: EndpointId): Promise<void> {
		this.calls.push(`remove ${id}`);
		this.queues.delete(id);
	}
	async provisionReader(id: AccountId): Promise<{ url: string; queuePrefix: string }> {
		return { url: `amqp://acct-${id}:secret@localhost:5672/`, queuePrefix: `group.${id}.` };
	}
	async declareGroupQueue(account: AccountId, group: string): Promise<void> {
		this.calls.push(`declare ${account} ${group}`);
	}
	async taskQueueDepth(): Promise<number> {
		return 0;
	}
	async check(): Promise<void> {}
	async close(): Promise<void> {}
}

/** One key each, as identity has them. */
class FakeKeys {
	readonly clientIds = new Map<EndpointId, string>();

	async createEndpointKey(endpoint: EndpointId): Promise<{ clientId: string; clientSecret: string }> {
		const clientId = newId<AccountId>();
		this.clientIds.set(endpoint, clientId);
		return { clientId, clientSecret: "once" };
	}
	async deleteEndpointKey(endpoint: EndpointId): Promise<void> {
		this.clientIds.delete(endpoint);
	}
}

export interface TestDatabase {
	readonly url: string;
	readonly directory: string;
	readonly pid: () => number | undefined;
	close(): Promise<void>;
}

export async function openTestDatabase(): Promise<TestDatabase> {
	const directory = await mkdtemp(join(tmpdir(), "errand-store-"));
	const server = await openEmbeddedPostgres({ directory, log: quiet });
	const pool = openPool({ url: server.url, log: quiet });
	await migrate(pool, await readMigrations(), quiet);
	await pool.close();
	return {
		url: server.url,
		directory,
		pid: () => server.pid,
		async close() {
			await server.close();
			await removePostgresHome(directory);
		},
	};
}

export interface TestCloud {
	readonly operations: Operations;
	readonly bus: FakeBus;
	readonly broker: FakeBroker;
	readonly keys: FakeKeys;
	readonly events: CloudEventBus;
	readonly database: Database;
	readonly sweep: (now: Date) => Promise<void>;
	readonly processes: () => number;
	/** Ends without a word, as kill -9 does. */
	abandon(): Promise<void>;
	close(): Promise<void>;
}

export async function openTestCloud(
	from: TestDatabase,
	options: { alone?: boolean; bus?: FakeBus; broker?: FakeBroker; actionProviders?: readonly string[] } = {},
): Promise<TestCloud> {
	const { bus = new FakeBus(), broker = new FakeBroker() } = options;
	const database = openPool({ url: from.url, log: quiet });
	const events = new CloudEventBus();
	const functions = new FunctionCache(database);
	const blobs = await openBlobDirectory({ directory: join(from.directory, "blobs") });
	const common = { database, events, log: quiet, publisher: bus, functions, blobs };
	const dispatch = await openDispatch({ ...common, alone: options.alone ?? false });
	const elsewhere = await openElsewhere({ ...common, processes: () => dispatch.processes });
	const recorder = openRecorder({ ...common, tellOthers: (groups) => elsewhere.tellOthers(groups) });
	const intake = await openIntake({ ...common, source: bus, recorder });
	const keys = new FakeKeys();
	const behind = {
		...common,
		capabilities: new Capabilities(Buffer.alloc(32, 1)),
		broker,
		dispatch,
		recorder,
		providerObstacle: openProviders(options.actionProviders ?? []).obstacle,
		keys,
		cloudUrl: "http://localhost:5000",
		tokenEndpoint: "http://localhost:5000/v2/oauth2/token",
	};
	const userEndpoints = openUserEndpoints(behind);
	const ports = { ...behind, userEndpoints };
	const sweeper = openSweeper(ports);
	return {
		operations: createOperations(ports),
		bus,
		broker,
		keys,
		events,
		database,
		sweep: (now) => sweeper.sweep(now),
		processes: () => dispatch.processes,
		async abandon() {
			await elsewhere.close();
			await database.close();
		},
		async close() {
			await sweeper.close();
			await userEndpoints.close();
			await intake.close();
			await recorder.idle();
			await dispatch.close();
			await elsewhere.close();
			await database.close();
		},
	};
}

export function account(over: Partial<Caller> = {}): Caller {
	return {
		kind: "account",
		accountId: newId<AccountId>(),
		username: "somebody",
		admin: false,
		operator: false,
		scopes: new Set(),
		tokenExpiresAtMs: Number.MAX_SAFE_INTEGER,
		...over,
	};
}

export const endpointKeyOf = (owner: Caller, endpointId: EndpointId): Caller =>
	account({ kind: "endpoint", accountId: owner.accountId, endpointId });

export const packedArguments = (...values: unknown[]): string =>
	pack([joinBuffer("11", JSON.stringify(values)), joinBuffer("11", "{}")]);

/** A function and an endpoint of a fresh account. */
export async function settle(
	cloud: TestCloud,
	caller: Caller = account(),
): Promise<{ caller: Caller; endpoint: EndpointId; fn: FunctionId }> {
	const fn = await cloud.operations.registerFunction(caller, {
		function_name: "double",
		function_code: pack([joinBuffer("ej", "default:export default (x) => 2 * x")]),
	});
	const registered = await cloud.operations.registerEndpoint(caller, undefined, {
		endpoint_name: `local-${fn.slice(0, 8)}`,
		metadata: { errand_protocol: 1, errand_journal_id: newId<TaskId>() },
	});
	return { caller, endpoint: registered.endpoint_id as EndpointId, fn };
}

/** A successful result of a task. */
export function success(id: string, text: string): ResultInit {
	return { taskId: idToBytes(id), outcome: { case: "value", value: Buffer.from(text) } };
}

/** Each test of the calling file gets a cloud of its own, on one database server for all of them. */
export function cloudEachTest(use: (cloud: TestCloud) => void): void {
	let server: TestDatabase;
	let cloud: TestCloud;
	beforeAll(async () => {
		server = await openTestDatabase();
	});
	beforeEach(async () => {
		cloud = await openTestCloud(server);
		use(cloud);
	});
	afterEach(() => cloud.close());
	afterAll(() => server?.close());
}
