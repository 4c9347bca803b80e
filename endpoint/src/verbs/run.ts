/** Serves the endpoint until a signal, the cloud, or a failure that it cannot survive ends it. */
import { mkdirSync } from "node:fs";
import pino from "pino";
import { readConfig } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import { openDaemon } from "../service/daemon.ts";
import { exitStatus, exitStatusOf } from "../service/exit-status.ts";
import { removeProcessRecord, writeProcessRecord } from "../service/process-record.ts";
import { openCloudClient } from "../uplink/cloud-client.ts";
import type { Place } from "./place.ts";

export async function run({
	directory,
	version,
	managerProgram,
	transferProgram,
	openScheduler,
}: Place): Promise<number> {
	const config = readConfig(directory);
	const credentials = readCredentials(directory);
	mkdirSync(config.workingDirectory, { recursive: true, mode: 0o700 });
	const log = pino({ level: config.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
	const scheduler = openScheduler(config, directory, log);
	writeProcessRecord(directory, new Date());
	const asked = Promise.withResolvers<undefined>();
	const stopping = new AbortController();
	const starting = openDaemon({
		directory,
		endpointId: credentials.endpointId,
		config,
		version,
		cloud: openCloudClient(credentials, Date.now, log),
		scheduler,
		managerProgram,
		transferProgram,
		log,
		signal: stopping.signal,
	});
	let signals = 0;
	for (const signal of ["SIGTERM", "SIGINT"] as const)
		process.on(signal, () => {
			log.info({ signal }, "asked to stop");
			if (++signals > 1) process.exit(exitStatus.internal);
			stopping.abort(new Error(`stopped by ${signal}`));
			asked.resolve(undefined);
		});
	try {
		const daemon = await starting;
		const error = await Promise.race([daemon.ending, asked.promise]);
		if (error) log.error({ err: error }, "the endpoint cannot go on");
		await daemon.stop();
		if (!error) return exitStatus.ok;
		process.stderr.write(`errand-endpoint: ${error.message}\n`);
		return exitStatusOf(error);
	} catch (error) {
		if (signals > 0) return exitStatus.ok;
		throw error;
	} finally {
		removeProcessRecord(directory);
	}
}
