/** Serves a manager endpoint: a directory with a template, of which everybody who may gets endpoints of their own. */
import pino from "pino";
import { readCredentials } from "../config/credentials.ts";
import { removeProcessRecord, writeProcessRecord } from "../service/process-record.ts";
import { serve } from "../service/serve.ts";
import { openCloudClient } from "../uplink/cloud-client.ts";
import type { Place } from "./place.ts";

export async function manage({ directory, version, mainFile }: Place): Promise<number> {
	// A daemon is to stay small: only managers need a template language and JSON Schema.
	const [{ readManagerConfig }, { openManagerEndpoint }] = await Promise.all([
		import("../spawner/manager-config.ts"),
		import("../spawner/manager-endpoint.ts"),
	]);
	const config = readManagerConfig(directory);
	const credentials = readCredentials(directory);
	const log = pino({ level: config.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
	writeProcessRecord(directory, new Date());
	const open = (signal: AbortSignal) =>
		openManagerEndpoint({
			directory,
			endpointId: credentials.endpointId,
			config,
			version,
			program: mainFile,
			cloud: openCloudClient(credentials, Date.now, log),
			log,
			signal,
		});
	try {
		return await serve({ open, log });
	} finally {
		removeProcessRecord(directory);
	}
}
