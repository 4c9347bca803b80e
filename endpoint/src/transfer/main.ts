#!/usr/bin/env node
/**
 * The agent that moves files, as a process of its own, so that transfers never slow tasks down. It is told on standard
 * input, in one line of JSON, what it is; further lines renew its token. It ends when that input does.
 */
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import { agentCollection } from "@errand/proto/rest";
import pino from "pino";
import * as z from "zod";
import { readCredentials } from "../config/credentials.ts";
import { loadLinkIdentity } from "../link/certificate.ts";
import { openTokens } from "../uplink/token.ts";
import { openAgent } from "./agent.ts";
import { openControl } from "./control.ts";
import { serveDiskJobs } from "./disk-thread.ts";
import { DiskThreads } from "./disk-threads.ts";
import { openSourceServer } from "./source-server.ts";

const orders = z.strictObject({
	/** The agent's own, for journals and its certificate. */
	directory: z.string(),
	/** The endpoint's, with its credentials; or, of a person's command, what those would say. */
	endpoint_directory: z.string().optional(),
	cloud_url: z.url().optional(),
	agent_id: z.uuid().optional(),
	access_token: z.string().optional(),
	collections: z.array(agentCollection.extend({ path: z.string() })),
	/** Undefined: it does not listen. */
	port: z.int().min(0).max(65_535).optional(),
	host: z.string().default("0.0.0.0"),
	/** Without a port: where others reach this machine. */
	addresses: z.array(z.string()).default([]),
	connections: z.int().min(1).max(64).default(4),
	threads: z.int().min(1).max(64).default(2),
	log_level: z.string().default("info"),
});
export type AgentOrders = z.input<typeof orders>;
const renewal = z.strictObject({ access_token: z.string() });

async function main(): Promise<void> {
	const input = createInterface({ input: process.stdin });
	const lines = input[Symbol.asyncIterator]();
	const first = await lines.next();
	if (first.done === true) return;
	const told = orders.parse(JSON.parse(first.value));
	const log = pino({ level: told.log_level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
	mkdirSync(told.directory, { recursive: true, mode: 0o700 });

	const credentials = told.endpoint_directory === undefined ? undefined : readCredentials(told.endpoint_directory);
	const tokens = credentials && openTokens(credentials, Date.now);
	let ownToken = told.access_token ?? "";
	const cloudUrl = credentials?.cloudUrl ?? told.cloud_url ?? "";
	const control = openControl({
		cloudUrl,
		agentId: credentials?.endpointId ?? told.agent_id ?? "",
		accessToken: (options) => tokens?.accessToken(options) ?? Promise.resolve(ownToken),
	});
	const identity = await loadLinkIdentity(told.directory);
	const roots = new Map(told.collections.map(({ name, path }) => [name, path]));
	const threads = new DiskThreads(fileURLToPath(import.meta.url), told.threads);
	const { port, host, connections } = told;
	const server = await openSourceServer({ port, host, identity, roots, work: threads.work, log, nowMs: Date.now });
	const agent = openAgent({
		directory: told.directory,
		cloudUrl,
		control,
		identity,
		collections: told.collections.map(({ path: _, ...collection }) => collection),
		roots,
		threads,
		server,
		addresses: server.port === 0 ? [] : told.addresses.map((address) => withPort(address, server.port)),
		connections,
		log,
	});

	const asked = Promise.withResolvers<undefined>();
	for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => asked.resolve(undefined));
	void (async () => {
		for (let line = await lines.next(); line.done !== true; line = await lines.next())
			ownToken = renewal.parse(JSON.parse(line.value)).access_token;
		// Whoever started it is gone.
		asked.resolve(undefined);
	})();
	try {
		await Promise.race([agent.ending, asked.promise]);
	} finally {
		await agent.close();
	}
}

const withPort = (address: string, port: number): string =>
	address.includes(":") && !address.startsWith("[") ? `[${address}]:${port}` : `${address}:${port}`;

if (isMainThread)
	main().then(
		() => process.exit(0),
		(error: unknown) => {
			process.stderr.write(`errand transfer agent: ${(error as Error).message}\n`);
			process.exit(1);
		},
	);
else serveDiskJobs();
