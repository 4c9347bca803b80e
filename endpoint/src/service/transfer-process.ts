/** The agent that moves files, a child of the daemon: started again when it ends, ended with the daemon. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { hostname } from "node:os";
import { join } from "node:path";
import type { EndpointConfig } from "../config/config.ts";
import type { AgentOrders } from "../transfer/main.ts";
import { BackOff, pause } from "../uplink/back-off.ts";
import type { Logger } from "./logger.ts";

const firstWaitMs = 500;
const longestWaitMs = 30_000;
/** It tells the cloud that it goes; after this it is killed. */
const stopGraceMs = 5_000;

export interface TransferProcess {
	close(): Promise<void>;
}

/** Beside the running main file: the bundle in a package, the source in a clone. `ERRAND_TRANSFER_MAIN` overrides. */
export function transferProgram(mainFile: string, environment: NodeJS.ProcessEnv): string {
	const folder = join(mainFile, "..");
	return (
		environment.ERRAND_TRANSFER_MAIN ??
		(mainFile.endsWith(".ts") ? join(folder, "transfer", "main.ts") : join(folder, "transfer.mjs"))
	);
}

/** Undefined when the endpoint has no collections: then nothing is moved. */
export function openTransferProcess(
	program: string,
	directory: string,
	config: EndpointConfig,
	log: Logger,
): TransferProcess | undefined {
	if (config.collections.length === 0) return undefined;
	const { transfer } = config;
	const orders: AgentOrders = {
		directory: join(directory, "transfer"),
		endpoint_directory: directory,
		collections: config.collections.map(({ name, path, readOnly, guests }) => ({
			name,
			path,
			read_only: readOnly,
			guests,
		})),
		...(transfer.port !== undefined && { port: transfer.port }),
		host: transfer.host,
		addresses: transfer.addresses.length > 0 ? [...transfer.addresses] : [hostname()],
		connections: transfer.connections,
		log_level: config.logLevel,
	};
	const ending = new AbortController();
	let child: ChildProcess | undefined;

	async function keep(): Promise<void> {
		const backOff = new BackOff(firstWaitMs, longestWaitMs);
		for (;;) {
			ending.signal.throwIfAborted();
			const beganMs = performance.now();
			// Its log is part of ours; its input tells it when we are gone.
			child = spawn(process.execPath, [program], { stdio: ["pipe", "inherit", "inherit"] });
			child.on("error", (error) => log.error({ err: error }, "transfer: the agent cannot be started"));
			child.stdin?.on("error", () => undefined);
			child.stdin?.write(`${JSON.stringify(orders)}\n`);
			const [code, signal] = await once(child, "close").catch(() => [null, null]);
			ending.signal.throwIfAborted();
			if (performance.now() - beganMs > longestWaitMs) backOff.reset();
			const waitMs = backOff.nextMs();
			log.warn(
				{ code, signal, waitMs: Math.round(waitMs) },
				"transfer: the agent has ended, waiting to start it again",
			);
			await pause(waitMs, ending.signal);
		}
	}

	const running = keep().catch(() => undefined);
	return {
		async close() {
			ending.abort(new Error("the endpoint is stopping"));
			child?.kill("SIGTERM");
			const force = setTimeout(() => child?.kill("SIGKILL"), stopGraceMs);
			await running;
			clearTimeout(force);
		},
	};
}
