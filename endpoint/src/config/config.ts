/**
 * `config.yaml` of an endpoint's directory: read once, strict, every fault at once with its line, frozen.
 * What is said in the file is in effect as said; nothing is quietly changed.
 */
import { readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { cancelGraceMs, lossLimit, outputLimitBytes, type SchedulerName, schedulerNames } from "@errand/proto";
import * as z from "zod";
import {
	type CollectionConfig,
	collectionEnvironment,
	collectionSettings,
	freezeCollections,
	type TransferConfig,
} from "./collections.ts";
import { interfaceAddresses } from "./interface-addresses.ts";
import { duration, size } from "./quantities.ts";
import { freezeQueue, type QueueConfig, queueFaults, queueSettings } from "./queue.ts";
import { ConfigFault, readSettings } from "./settings-file.ts";

export { ConfigFault };

const path = z.string().refine(isAbsolute, "an absolute path");
/** Of one batch system, said once for the endpoint. */
const batchSettings = {
	/** Between two questions to the scheduler. */
	poll_interval: duration.refine((ms) => ms >= 1000, "at least 1s").default(30_000),
	/** After this long a command of the scheduler's is given up. */
	command_timeout: duration.refine((ms) => ms >= 1000, "at least 1s").default(30_000),
	budget_node_hours: z.number().positive().optional(),
	hosts: z.array(z.string().regex(/^[A-Za-z0-9][\w.@:-]*$/, "the name of a host, or user@host")).default([]),
	kubernetes: z
		.strictObject({
			namespace: z.string().min(1).default("default"),
			image: z.string().min(1),
			command: z.array(z.string().min(1)).min(1).optional(),
			service_account: z.string().min(1).optional(),
			node_selector: z.record(z.string(), z.string()).default({}),
			image_pull_secret: z.string().min(1).optional(),
		})
		.optional(),
};

const ownSettings = {
	display_name: z.string().max(256).optional(),
	public: z.boolean().default(false),
	allowed_functions: z.array(z.uuid()).optional(),
	admins: z.array(z.uuid()).default([]),
	authentication_policy: z.uuid().optional(),
	scheduler: z.enum(schedulerNames).default("local"),
	...batchSettings,
	...collectionSettings,
	environment: z
		.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of a variable"), z.coerce.string())
		.default({}),
	python: z.string().min(1).default("python3"),
	working_directory: path.optional(),
	sandbox: z.boolean().default(true),
	max_retries_on_loss: z.int().min(0).max(100).default(lossLimit),
	output_cap: size.default(outputLimitBytes),
	cancel_grace: duration.default(cancelGraceMs),
	stop_grace: duration.default(10_000),
	keep_managers: z.boolean().default(false),
	idle_shutdown: duration.optional(),
	orphan_limit: duration.default(600_000),
	heartbeat_period: duration.refine((ms) => ms >= 5000, "at least 5s").default(30_000),
	link_host: z.string().min(1).optional(),
	link_addresses: z.array(z.string().min(1)).default([]),
	link_port: z.int().min(0).max(65_535).optional(),
	log_level: z.enum(["debug", "info", "warn", "error"]).default("info"),
};

const queueName = z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/, "letters, digits, dots, dashes; up to 64");
const { queues: _, ...shared } = { ...ownSettings, ...queueSettings, queues: undefined };
/** In an entry of `queues` nothing has a default: what is not said there is as it is at the top. */
const queueEntry = z.strictObject({
	name: queueName,
	...(Object.fromEntries(
		Object.entries(queueSettings).map(([name, schema]) => [
			name,
			schema instanceof z.ZodDefault ? (schema as z.ZodDefault<z.ZodType>).unwrap().optional() : schema,
		]),
	) as { [Name in keyof typeof queueSettings]: z.ZodOptional<(typeof queueSettings)[Name]> }),
});

const document = z
	.strictObject({ ...shared, queues: z.array(queueEntry).max(100).default([]) })
	.superRefine((value, context) => {
		const isLocal = value.scheduler === "local";
		const fault = (at: (string | number)[], message: string): void =>
			context.addIssue({ code: "custom", path: at, message });
		if (value.queues.length === 0) for (const [setting, says] of queueFaults(value, isLocal)) fault([setting], says);
		for (const [at, queue] of value.queues.entries()) {
			for (const [setting, says] of queueFaults({ ...value, ...said(queue) }, isLocal))
				fault(setting in queue ? ["queues", at, setting] : ["queues", at], `${setting}: ${says}`);
			if (value.queues.findIndex(({ name }) => name === queue.name) < at)
				fault(["queues", at, "name"], `there is another queue "${queue.name}"`);
		}
		if (value.scheduler === "ssh" && value.hosts.length === 0) fault(["hosts"], "scheduler ssh needs a list of hosts");
		if (value.scheduler === "kubernetes" && value.kubernetes === undefined)
			fault(["kubernetes"], "scheduler kubernetes needs at least kubernetes.image");
	});

/** What an entry of `queues` says; what it leaves out must not hide what is said at the top. */
function said<T extends object>(entry: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
	return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)) as never;
}

/** The names of all settings, for the documentation's test. */
export const settingNames: readonly string[] = Object.keys(document.shape);

export interface KubernetesConfig {
	readonly namespace: string;
	readonly image: string;
	/** What starts a manager in the image; undefined: the same paths as here. */
	readonly command: readonly string[] | undefined;
	readonly serviceAccount: string | undefined;
	readonly nodeSelector: Readonly<Record<string, string>>;
	readonly imagePullSecret: string | undefined;
}

export interface EndpointConfig {
	readonly displayName: string | undefined;
	/** Everybody with an account may see that it is there. */
	readonly public: boolean;
	/** Nothing else is run here; undefined: whatever its people submit. Ids. */
	readonly allowedFunctions: readonly string[] | undefined;
	/** Accounts that may look after it besides its owner. Ids. */
	readonly admins: readonly string[];
	/** What the login of whoever submits here must be like; undefined: nothing. Id. */
	readonly authenticationPolicy: string | undefined;
	readonly scheduler: SchedulerName;
	/** At least one. Without `queues` in the file it is called "default". */
	readonly queues: readonly QueueConfig[];
	readonly pollIntervalMs: number;
	readonly commandTimeoutMs: number;
	/** No block is submitted that could take more than what is left of it. */
	readonly budgetNodeHours: number | undefined;
	/** For `ssh`. */
	readonly hosts: readonly string[];
	readonly kubernetes: KubernetesConfig | undefined;
	/** Directories that transfers reach. */
	readonly collections: readonly CollectionConfig[];
	readonly transfer: TransferConfig;
	/** With the variables of the collections. */
	readonly environment: Readonly<Record<string, string>>;
	readonly python: string;
	/** Where tasks' sandboxes are made. */
	readonly workingDirectory: string;
	/** Each task in a directory of its own; otherwise all in the working directory. */
	readonly sandbox: boolean;
	readonly lossLimit: number;
	readonly outputLimitBytes: number;
	readonly cancelGraceMs: number;
	/** How long tasks that run may go on when the endpoint is stopped. */
	readonly stopGraceMs: number;
	/** Stopping the endpoint leaves managers and what they run alone. */
	readonly keepManagers: boolean;
	/** With nothing to do for so long the daemon ends; 0: never; undefined: as the kind of endpoint has it. */
	readonly idleShutdownMs: number | undefined;
	readonly orphanLimitMs: number;
	readonly heartbeatPeriodMs: number;
	/** Where the daemon listens for managers. */
	readonly linkHost: string;
	/** Where managers look for it, in this order; interfaces are their addresses. Empty: every address of this machine. */
	readonly linkAddresses: readonly string[];
	readonly linkPort: number | undefined;
	readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** Throws a {@link ConfigFault}. */
export function readConfig(directory: string): EndpointConfig {
	const file = join(directory, "config.yaml");
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (cause) {
		throw new ConfigFault(file, [`it cannot be read: ${(cause as Error).message}`]);
	}
	return parseConfig(text, file, directory);
}

/** `file` is for messages, `directory` is the endpoint's. Throws a {@link ConfigFault}. */
export function parseConfig(text: string, file: string, directory: string): EndpointConfig {
	return freeze(readSettings(document, text, file), directory);
}

function freeze(value: z.output<typeof document>, directory: string): EndpointConfig {
	const isLocal = value.scheduler === "local";
	const queues = value.queues.length === 0 ? [{ name: "default" }] : value.queues;
	const { kubernetes } = value;
	const { collections, transfer } = freezeCollections(value);
	return Object.freeze({
		displayName: value.display_name,
		public: value.public,
		allowedFunctions: value.allowed_functions && Object.freeze(value.allowed_functions),
		admins: Object.freeze(value.admins),
		authenticationPolicy: value.authentication_policy,
		scheduler: value.scheduler,
		queues: Object.freeze(queues.map((entry) => freezeQueue(entry.name, { ...value, ...said(entry) }, isLocal))),
		pollIntervalMs: value.poll_interval,
		commandTimeoutMs: value.command_timeout,
		budgetNodeHours: value.budget_node_hours,
		hosts: Object.freeze(value.hosts),
		kubernetes:
			kubernetes === undefined
				? undefined
				: Object.freeze({
						namespace: kubernetes.namespace,
						image: kubernetes.image,
						command: kubernetes.command,
						serviceAccount: kubernetes.service_account,
						nodeSelector: Object.freeze(kubernetes.node_selector),
						imagePullSecret: kubernetes.image_pull_secret,
					}),
		collections,
		transfer,
		environment: Object.freeze({ ...collectionEnvironment(collections), ...value.environment }),
		python: value.python,
		workingDirectory: value.working_directory ?? join(directory, "work"),
		sandbox: value.sandbox,
		lossLimit: value.max_retries_on_loss,
		outputLimitBytes: value.output_cap,
		cancelGraceMs: value.cancel_grace,
		stopGraceMs: value.stop_grace,
		keepManagers: value.keep_managers,
		idleShutdownMs: value.idle_shutdown,
		orphanLimitMs: value.orphan_limit,
		heartbeatPeriodMs: value.heartbeat_period,
		linkHost: value.link_host ?? (isLocal ? "127.0.0.1" : "0.0.0.0"),
		linkAddresses: Object.freeze(interfaceAddresses(value.link_addresses)),
		linkPort: value.link_port,
		logLevel: value.log_level,
	});
}
