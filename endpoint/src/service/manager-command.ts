/** How a manager is started on a node: program, environment, and what it is told of the node. */
import { hostname, networkInterfaces } from "node:os";
import { basename, join } from "node:path";
import type { EndpointConfig } from "../config/config.ts";
import type { QueueConfig } from "../config/queue.ts";
import type { BlockTokens } from "../link/block-token.ts";
import type { BlockSpec } from "../scheduler/scheduler.ts";
import { linkAddresses } from "./link-addresses.ts";

export interface ManagerPlace {
	readonly directory: string;
	readonly config: EndpointConfig;
	readonly tokens: BlockTokens;
	/** PEM. */
	readonly certificate: string;
	readonly linkPort: number;
	/** The manager's main file. */
	readonly program: string;
}

/** Beside the running main file: the bundle in a package, the source in a clone. `ERRAND_MANAGER_MAIN` overrides. */
export function managerProgram(mainFile: string, environment: NodeJS.ProcessEnv): string {
	const folder = join(mainFile, "..");
	return (
		environment.ERRAND_MANAGER_MAIN ??
		(mainFile.endsWith(".ts") ? join(folder, "manager", "main.ts") : join(folder, "manager.mjs"))
	);
}

/** Node-local scratch of a block's managers. */
export const managerDirectory = (directory: string, blockId: string): string => join(directory, "managers", blockId);

/** "errand-polaris-0192f0c1": schedulers that know it in their lists show it whole. */
function jobName(directory: string, blockId: string): string {
	return `errand-${basename(directory).replaceAll(/[^A-Za-z0-9-]/g, "-")}-${blockId.slice(-8)}`;
}

export function managerSpec(place: ManagerPlace, blockId: string, queue: QueueConfig): BlockSpec {
	const { config, directory } = place;
	return {
		blockId,
		jobName: jobName(directory, blockId),
		queue,
		command: [process.execPath, place.program],
		environment: {
			...config.environment,
			ERRAND_LINK_ADDRESS: linkAddresses(config, place.linkPort, hostname(), networkInterfaces()),
			ERRAND_LINK_CERTIFICATE: Buffer.from(place.certificate).toString("base64"),
			ERRAND_BLOCK_TOKEN: place.tokens.issue(blockId),
			ERRAND_BLOCK_ID: blockId,
			ERRAND_MANAGER_DIRECTORY: managerDirectory(directory, blockId),
			ERRAND_MANAGER_OPTIONS: JSON.stringify({
				maxWorkers: queue.workersPerNode,
				cores: queue.coresPerNode,
				memoryBytes: queue.memoryPerNodeBytes,
				gpuIds: queue.gpuIds,
				named: queue.resourcesPerNode,
				cpuAffinity: queue.cpuAffinity,
				launcher: queue.launcher,
				mpiLauncher: queue.mpiLauncher,
				mpiLauncherOptions: queue.mpiLauncherOptions,
				container: queue.container,
				python: config.python,
				environment: config.environment,
				outputLimitBytes: config.outputLimitBytes,
				sandboxRoot: config.workingDirectory,
				sandbox: config.sandbox,
				orphanLimitMs: config.orphanLimitMs,
			}),
		},
		workerInit: queue.workerInit,
		nodes: queue.nodesPerBlock,
		logPath: join(directory, "logs", `block-${blockId}.log`),
	};
}
