/** Names of exchanges, queues, routing keys and content types. Clients declare nothing; the cloud does. */

export const exchanges = {
	/** Direct; task batches to endpoints. */
	tasks: "tasks",
	/** Direct; commands to endpoints. */
	commands: "commands",
	/** Topic; what endpoints send back. */
	results: "results",
	heartbeats: "heartbeats",
	reports: "reports",
} as const;

export const exchangeTypes: { readonly [Name in keyof typeof exchanges]: "direct" | "topic" } = {
	tasks: "direct",
	commands: "direct",
	results: "topic",
	heartbeats: "topic",
	reports: "topic",
};

/** Queues that the cloud consumes; each is bound to the exchange of its name with `*.<name>`. */
export const cloudQueues = ["results", "heartbeats", "reports"] as const;

export const taskQueue = (endpointId: string): string => `${endpointId}.tasks`;
export const commandQueue = (endpointId: string): string => `${endpointId}.commands`;

/** The routing key under which an endpoint publishes to a cloud queue, and what binds it. */
export const routingKey = (endpointId: string, queue: (typeof cloudQueues)[number]): string => `${endpointId}.${queue}`;
export const bindingKey = (queue: (typeof cloudQueues)[number]): string => `*.${queue}`;

/** The queue that a client of the public interface consumes a group's results from. */
export const groupQueuePrefix = (accountId: string): string => `group.${accountId}.`;

export const contentTypes = {
	/** `TaskBatch`, protobuf. */
	taskBatch: "application/x-errand-task-batch",
	/** `ResultBatch`, protobuf. */
	resultBatch: "application/x-errand-result-batch",
	/** `ReportBatch`, protobuf. */
	reportBatch: "application/x-errand-report-batch",
	/** The public interface's messagepack frame, or a command. */
	json: "application/json",
} as const;
