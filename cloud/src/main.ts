#!/usr/bin/env node
/**
 * The cloud, put together: the only file that knows which adapters there are. It listens first, so that a taken port is
 * told before anything is started, and answers 503 until everything behind it is ready.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import packageDocument from "../package.json" with { type: "json" };
import type { BlobStore } from "./blobs/blobs.ts";
import { openBlobDirectory } from "./blobs/directory.ts";
import { openS3Blobs } from "./blobs/s3.ts";
import type { Broker } from "./broker/broker.ts";
import { openConnection } from "./broker/connection.ts";
import { openEmbeddedBroker } from "./broker/embedded/embedded.ts";
import { openRabbitmq } from "./broker/rabbitmq.ts";
import { type CloudConfig, ConfigError, isLoopback, readConfig } from "./config.ts";
import { openDispatch } from "./dispatch.ts";
import { readDefinition } from "./flows/definition.ts";
import { openEngine } from "./flows/engine.ts";
import { openProviders } from "./flows/providers/providers.ts";
import { createApp } from "./http/app.ts";
import { openHttpServer } from "./http/server.ts";
import { openIdentity } from "./identity/identity.ts";
import { CloudEventBus } from "./observe/events.ts";
import { createLog, type Log } from "./observe/log.ts";
import { createMetrics } from "./observe/metrics.ts";
import { createOperations } from "./operations/create-operations.ts";
import { openSweeper } from "./operations/sweep.ts";
import { openTransferWatch } from "./operations/transfer-agents.ts";
import { openUserEndpoints } from "./operations/user-endpoints.ts";
import { openElsewhere } from "./results/elsewhere.ts";
import { openIntake } from "./results/intake.ts";
import { openRecorder } from "./results/recorder.ts";
import { FunctionCache } from "./store/function-cache.ts";
import { keepSecret } from "./store/identity.ts";
import { openStore } from "./store/open-store.ts";
import { openHub } from "./stream/hub.ts";
import { openStream } from "./stream/websocket.ts";
import { Capabilities } from "./transfers/capability.ts";
import { openRelay } from "./transfers/relay.ts";

const { version } = packageDocument;

/** Exit statuses: the configuration cannot be used; the cloud could not start. */
const exitStatus = { misconfigured: 2, failed: 1 } as const;

async function openBroker(config: CloudConfig, url: string, log: Log): Promise<Broker> {
	const { broker } = config;
	const publicUrl = broker.publicUrl === undefined ? {} : { publicUrl: broker.publicUrl };
	if (broker.kind === "rabbitmq")
		return openRabbitmq({ amqpUrl: broker.url, managementUrl: broker.managementUrl, ...publicUrl });
	const { host, port, tls } = broker;
	return openEmbeddedBroker({
		directory: join(config.stateDirectory, "broker"),
		host,
		port,
		log,
		// Whoever can reach the cloud from elsewhere by a name reaches its broker by the same.
		...(!isLoopback(host) && { publicHost: new URL(url).hostname }),
		...publicUrl,
		...(tls && { tls: { cert: await readFile(tls.certificateFile), key: await readFile(tls.keyFile) } }),
	});
}

/**
 * Where to connect, asked before each attempt: a broker that comes back without its disk has lost exchanges and queues,
 * and is given them again. (Endpoints find their own queues gone, register again, and get everything unfinished.)
 */
function placeOf(broker: Broker, log: Log): () => Promise<string> {
	let underWay: Promise<void> | undefined;
	return async () => {
		underWay ??= broker
			.setUp()
			// It may administer itself later than it takes connections: what is missing then shows, and this comes again.
			.catch((cause: unknown) => log.warn({ reason: String(cause) }, "could not set up the broker again yet"))
			.finally(() => {
				underWay = undefined;
			});
		await underWay;
		return broker.serviceUrl;
	};
}

function openBlobs({ blobs, stateDirectory }: CloudConfig): Promise<BlobStore> {
	return blobs.kind === "s3"
		? openS3Blobs({ ...blobs, spoolDirectory: join(stateDirectory, "spool") })
		: openBlobDirectory({ directory: blobs.directory });
}

/** Resolves when the cloud takes requests; `close` ends everything in the reverse order. */
async function open(config: CloudConfig, log: Log): Promise<{ url: string; close(): Promise<void> }> {
	await using stack = new AsyncDisposableStack();
	await mkdir(config.stateDirectory, { recursive: true, mode: 0o700 });
	const server = await openHttpServer({ host: config.host, port: config.port, log });
	stack.defer(() => server.close());
	const url = config.publicUrl ?? `http://localhost:${server.port}`;

	const store = await openStore({ url: config.databaseUrl, directory: join(config.stateDirectory, "postgres"), log });
	stack.defer(() => store.close());
	const { database } = store;
	// Nobody else can use a database of our own.
	const alone = store.embedded !== undefined;

	const identity = await openIdentity({
		db: database,
		issuerUrl: url,
		stateDirectory: config.stateDirectory,
		log,
		version,
		lifetimes: { accessTokenS: config.accessTokenS },
		webOrigins: config.corsOrigins,
		...(config.outsideIssuer && { outsideIssuer: config.outsideIssuer }),
	});
	stack.defer(() => identity.close());
	const blobs = await openBlobs(config);
	const broker = await openBroker(config, url, log);
	stack.defer(() => broker.close());
	await broker.setUp();

	const events = new CloudEventBus();
	const metrics = createMetrics(events);
	stack.defer(() => metrics.close());
	const place = placeOf(broker, log);
	const connect = (name: string) => {
		const connection = openConnection({
			url: place,
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
	const dispatch = await openDispatch({ database, publisher, functions, blobs, events, log, alone });
	stack.defer(() => dispatch.close());
	const elsewhere = await openElsewhere({ database, events, log, processes: () => dispatch.processes });
	stack.defer(() => elsewhere.close());
	const tellOthers = elsewhere.tellOthers.bind(elsewhere);
	const recorder = openRecorder({ database, publisher, blobs, events, log, tellOthers });
	stack.defer(() => recorder.idle());
	const keys = { keys: identity.accounts, cloudUrl: url, tokenEndpoint: `${url}/v2/oauth2/token` };
	const behind = { database, broker, blobs, dispatch, recorder, publisher, functions, events, log, ...keys };
	const userEndpoints = openUserEndpoints(behind);
	stack.defer(() => userEndpoints.close());
	const providers = openProviders(config.actionProviders);
	const capabilities = new Capabilities(await keepSecret(database, "transfers", randomBytes(32)));
	const ports = { ...behind, userEndpoints, capabilities, providerObstacle: providers.obstacle };
	const operations = createOperations(ports);
	const sweeper = openSweeper(ports, config.retentionMs);
	stack.defer(() => sweeper.close());
	const watch = openTransferWatch(ports);
	stack.defer(() => watch.close());
	const intake = await openIntake({ database, source: incoming, recorder, events, log });
	stack.defer(() => intake.close());

	const engine = await openEngine({
		database,
		events,
		log,
		alone,
		parse: (document) => readDefinition(document).definition,
		providerOf: providers.serving({ database, operations }),
	});
	stack.defer(() => engine.close());

	const { verifier, authVerifier } = identity;
	const app = createApp({
		operations,
		verifier,
		authVerifier,
		identityRouter: identity.router,
		log,
		metrics,
		config,
		publicUrl: url,
		version,
	});
	const hub = openHub({ events, resultsAfter: operations.resultsAfter, log, alone });
	stack.defer(() => hub.close());
	const stream = openStream({ app, hub, operations, verifier, log, metrics });
	stack.defer(() => stream.close());
	const relay = openRelay({ capabilities, metrics, log });
	stack.defer(() => relay.close());
	stack.defer(() => void events.emit("cloud:stopping"));
	server.serve({
		handle: app.handle,
		upgrade(request, socket, head) {
			if (!relay.upgrade(request, socket, head)) stream.upgrade(request, socket, head);
		},
	});
	const ready = stack.move();
	return { url, close: () => ready.disposeAsync() };
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
