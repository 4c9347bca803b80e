/** Serves the endpoint of this directory. */
import { mkdirSync } from "node:fs";
import pino from "pino";
import { type EndpointConfig, readConfig } from "../config/config.ts";
import { type Credentials, readCredentials } from "../config/credentials.ts";
import { type DaemonOptions, openDaemon } from "../service/daemon.ts";
import { removeProcessRecord, writeProcessRecord } from "../service/process-record.ts";
import { type Served, type ServeOptions, serve } from "../service/serve.ts";
import { openCloudClient } from "../uplink/cloud-client.ts";
import type { Place } from "./place.ts";

export async function run(place: Place): Promise<number> {
	const config = readConfig(place.directory);
	const credentials = readCredentials(place.directory);
	return await runDaemon(place, config, credentials, { idleShutdownMs: config.idleShutdownMs ?? 0 });
}

/** Resolves to the exit status when it has ended. */
export async function runDaemon(
	{ directory, version, managerProgram, transferProgram, openScheduler }: Place,
	config: EndpointConfig,
	credentials: Credentials,
	more: Pick<DaemonOptions, "audit" | "idleShutdownMs"> & Pick<ServeOptions<Served>, "onRunning" | "onIdle">,
): Promise<number> {
	const { audit, idleShutdownMs, ...told } = more;
	mkdirSync(config.workingDirectory, { recursive: true, mode: 0o700 });
	const log = pino({ level: config.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
	const scheduler = openScheduler(config, directory, log);
	writeProcessRecord(directory, new Date());
	const open = (signal: AbortSignal) =>
		openDaemon({
			directory,
			endpointId: credentials.endpointId,
			config,
			version,
			cloud: openCloudClient(credentials, Date.now, log),
			scheduler,
			managerProgram,
			transferProgram,
			log,
			signal,
			...(audit && { audit }),
			...(idleShutdownMs !== undefined && { idleShutdownMs }),
		});
	try {
		return await serve({ open, log, ...told });
	} finally {
		removeProcessRecord(directory);
	}
}
