#!/usr/bin/env node
/**
 * The cloud, put together: the only file that knows which adapters there are. It listens first, so that a taken port is
 * told before anything is started, and answers 503 until everything behind it is ready.
 */
import { mkdir } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import { join } from "node:path";
import { Fault, toProblem } from "@errand/proto";
import packageDocument from "../package.json" with { type: "json" };
import type { BlobStore } from "./blobs/blobs.ts";
import { openBlobDirectory } from "./blobs/directory.ts";
import { openS3 } from "./blobs/s3.ts";
import type { Broker } from "./broker/broker.ts";
import { openConnection } from "./broker/connection.ts";
import { openEmbeddedBroker } from "./broker/embedded/embedded.ts";
import { openRabbitmq } from "./broker/rabbitmq.ts";
import { type CloudConfig, ConfigError, readConfig } from "./config.ts";
import { openDispatch } from "./dispatch.ts";
import { createApp } from "./http/app.ts";
import { openIdentity } from "./identity/identity.ts";
import { CloudEventBus } from "./observe/events.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics } from "./observe/metrics.ts";
import { createOperations } from "./operations/create-operations.ts";
import { openSweeper } from "./operations/sweep.ts";
import { openElsewhere } from "./results/elsewhere.ts";
import { openIntake } from "./results/intake.ts";
import { openRecorder } from "./results/recorder.ts";
import { openEmbeddedPostgres } from "./store/embedded-postgres.ts";
import { FunctionCache } from "./store/function-cache.ts";
import { migrate, readMigrations } from "./store/migrate.ts";
import { openPool } from "./store/pool.ts";
import { openHub } from "./stream/hub.ts";
import { openStream } from "./stream/websocket.ts";

const { version } = packageDocument;

/** Exit statuses: the configuration cannot be used; the cloud could not start. */
const exitStatus = { misconfigured: 2, failed: 1 } as const;

const starting: RequestListener = (_request, response) => {
	const problem = toProblem(new Fault("NOT_READY", "The cloud is starting: try again in a second."));
	response.writeHead(problem.http_status_code, { "content-type": "application/json", "retry-after": "1" });
	response.end(JSON.stringify(problem));
};

function listen(server: Server, config: CloudConfig): Promise<number> {
	return new Promise((resolve, reject) => {
		server.once("error", (cause: NodeJS.ErrnoException) =>
			reject(
				cause.code === "EADDRINUSE"
					? new Error(`port ${config.port} of ${config.host} is taken: stop who has it, or set ERRAND_CLOUD_PORT`, { cause })
					: cause,
			),
		);
		server.listen(config.port, config.host, () => {
			const address = server.address();
			resolve(typeof address === "object" && address !== null ? address.port : config.port);
		});
	});
}

function openBroker(config: CloudConfig, log: Log): Promise<Broker> | Broker {
	const { broker } = config;
	const publicUrl = broker.publicUrl === undefined ? {} : { publicUrl: broker.publicUrl };
	if (broker.kind === "rabbitmq")
		return openRabbitmq({ amqpUrl: broker.url, managementUrl: broker.managementUrl, ...publicUrl });
	const { host, port } = broker;
	return openEmbeddedBroker({ directory: join(config.stateDirectory, "broker"), host, port, log, ...publicUrl });
}

function openBlobs({ blobs }: CloudConfig): Promise<BlobStore> | BlobStore {
	return blobs.kind === "s3" ? openS3(blobs) : openBlobDirectory({ directory: blobs.directory });
}

/** Resolves when the cloud takes requests; `close` ends everything in the reverse order. */
async function open(config: CloudConfig, log: Log): Promise<{ url: string; close(): Promise<void> }> {
	await using stack = new AsyncDisposableStack();
	await mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
	let handle: RequestListener = starting;
	const server = createServer((request, response) => handle(request, response));
	const port = await listen(server, config);
	stack.defer(() => closeServer(server));
	const url = config.publicUrl ?? `http://localhost:${port}`;

	let databaseUrl = config.databaseUrl;
	const alone = databaseUrl === undefined;
	if (databaseUrl === undefined) {
		const postgres = await openEmbeddedPostgres({ directory: join(config.stateDirectory, "postgres"), log });
		stack.defer(() => postgres.close());
		databaseUrl = postgres.url;
	}
	const database = openPool({ url: databaseUrl, log });
	stack.defer(() => database.close());
	await migrate(database, await readMigrations(), log);

	const identity = await openIdentity({
		db: database,
		issuerUrl: url,
		stateDirectory: config.stateDirectory,
		log,
		version,
		...(config.accessTokenS === undefined ? {} : { lifetimes: { accessTokenS: config.accessTokenS } }),
		...(config.outsideIssuer === undefined ? {} : { outsideIssuer: config.outsideIssuer }),
	});
	stack.defer(() => identity.close());
	const blobs = await openBlobs(config);
	const broker = await openBroker(config, log);
	stack.defer(() => broker.close());
	await broker.setUp();

	const events = new CloudEventBus();
	const metrics = createMetrics(events);
	stack.defer(() => metrics.close());
	const connect = (name: string) => {
		const connection = openConnection({
			url: broker.serviceUrl,
			log,
			name,
			onState: (state, reason) =>
				state === "connected" ? events.emit("broker:connected") : events.emit("broker:lost", { reason: reason ?? "" }),
		});
		stack.defer(() => connection.close());
		return connection;
	};
	// Apart, because a broker that holds back publishers stops their whole connection.
	const [outgoing, incoming] = [connect("errand cloud, outgoing"), connect("errand cloud, incoming")];
	const publisher = outgoing.publisher();
	const functions = new FunctionCache(database);
	const dispatch = await openDispatch({ database, publisher, functions, events, log, alone });
	stack.defer(() => dispatch.close());
	const elsewhere = await openElsewhere({ database, events, log, processes: () => dispatch.processes });
	stack.defer(() => elsewhere.close());
	const tellOthers = elsewhere.tellOthers.bind(elsewhere);
	const recorder = openRecorder({ database, publisher, blobs, events, log, tellOthers });
	stack.defer(() => recorder.idle());
	const ports = { database, broker, blobs, dispatch, recorder, publisher, functions, events, log };
	const operations = createOperations({ ...ports, keys: identity.accounts, tokenEndpoint: `${url}/v2/oauth2/token` });
	const sweeper = openSweeper(ports, config.retentionMs);
	stack.defer(() => sweeper.close());
	const intake = await openIntake({ database, source: incoming, recorder, events, log });
	stack.defer(() => intake.close());

	const { verifier } = identity;
	const app = createApp({
		operations,
		verifier,
		identityRouter: identity.router,
		log,
		metrics,
		config,
		publicUrl: url,
		version,
	});
	const hub = openHub({ events, resultsAfter: operations.resultsAfter, log, alone });
	stack.defer(() => hub.close());
	const stream = openStream({ app, hub, operations, verifier, log });
	stack.defer(() => stream.close());
	server.on("upgrade", stream.upgrade);
	handle = app.handle;
	const ready = stack.move();
	return { url, close: () => ready.disposeAsync() };
}

/** No new requests; those under way are answered, idle connections end at once. */
async function closeServer(server: Server): Promise<void> {
	const closed = new Promise((resolve) => server.close(resolve));
	server.closeIdleConnections();
	const patience = setTimeout(() => server.closeAllConnections(), 3_000);
	await closed;
	clearTimeout(patience);
}

async function main(): Promise<void> {
	let config: CloudConfig;
	try {
		config = readConfig(process.env);
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		process.stderr.write(`${error.message}\n`);
		process.exitCode = exitStatus.misconfigured;
		return;
	}
	const log = createLog({ level: config.logLevel });
	for (const warning of config.warnings) log.warn({ warning }, "the configuration is unwise");
	const stop = new AbortController();
	for (const signal of ["SIGTERM", "SIGINT"] as const)
		process.on(signal, () => {
			log.info({ signal }, "the cloud is stopping");
			stop.abort();
		});
	try {
		const cloud = await open(config, log);
		log.info({ url: cloud.url, stateDirectory: config.stateDirectory, version }, "the cloud is ready");
		if (!stop.signal.aborted) await new Promise((resolve) => stop.signal.addEventListener("abort", resolve));
		await cloud.close();
		log.info({}, "the cloud has stopped");
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		log.error({ reason, ...(config.logLevel === "debug" && { err: error }) }, "the cloud cannot start");
		process.stderr.write(`errand-cloud: ${reason}\n`);
		process.exitCode = exitStatus.failed;
	}
}

await main();
