/** What every verb of `errand-endpoint` is given. */
import type { EndpointConfig } from "../config/config.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { Logger } from "../service/logger.ts";

export interface Place {
	/** The endpoint's. */
	readonly directory: string;
	readonly version: string;
	/** Of the program that runs now. */
	readonly mainFile: string;
	/** The manager's main file. */
	readonly managerProgram: string;
	/** That of the agent that moves files. */
	readonly transferProgram: string;
	readonly openScheduler: (config: EndpointConfig, directory: string, log: Logger) => Scheduler;
}
