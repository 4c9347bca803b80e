/**
 * `config.yaml` of an endpoint's directory: read once, strict, every fault at once with its line, frozen.
 * What is said in the file is in effect as said; nothing is quietly changed.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { isAbsolute, join } from "node:path";
import { cancelGraceMs, lossLimit, outputLimitBytes } from "@errand/proto";
import { isNode, LineCounter, parseDocument } from "yaml";
import * as z from "zod";

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const byteUnits: Readonly<Record<string, number>> = {
	B: 1,
	KB: 1e3,
	MB: 1e6,
	GB: 1e9,
	TB: 1e12,
	KiB: 2 ** 10,
	MiB: 2 ** 20,
	GiB: 2 ** 30,
	TiB: 2 ** 40,
};

/** "30s", "2h", or a number of seconds → milliseconds. */
const duration = z.union([z.number().min(0), z.string()]).transform((value, context) => {
	const match =
		typeof value === "number" ? [String(value), String(value), "s"] : /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(value);
	if (match) return Math.round(Number(match[1]) * (units[match[2] as string] as number));
	context.addIssue({ code: "custom", message: 'a time: a number of seconds, or like "30s", "10m", "2h"' });
	return z.NEVER;
});

/** "16GB", "512MiB", or a number of bytes → bytes. */
const size = z.union([z.int().min(0), z.string()]).transform((value, context) => {
	const match =
		typeof value === "number" ? [String(value), String(value), "B"] : /^(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B)$/.exec(value);
	if (match) return Math.round(Number(match[1]) * (byteUnits[match[2] as string] as number));
	context.addIssue({ code: "custom", message: 'a size: a number of bytes, or like "512MiB", "16GB"' });
	return z.NEVER;
});

const path = z.string().refine(isAbsolute, "an absolute path");

const document = z
	.strictObject({
		display_name: z.string().max(256).optional(),
		scheduler: z.enum(["local"]).default("local"),
		workers_per_node: z.int().min(1).max(4096).optional(),
		cores_per_node: z.int().min(1).max(4096).optional(),
		memory_per_node: size.optional(),
		available_accelerators: z
			.union([z.int().min(0).max(1024), z.array(z.union([z.string().min(1), z.int().min(0)]))])
			.default(0),
		worker_init: z.string().default(""),
		environment: z
			.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of a variable"), z.coerce.string())
			.default({}),
		python: z.string().min(1).default("python3"),
		init_blocks: z.int().min(0).default(1),
		min_blocks: z.int().min(0).default(0),
		max_blocks: z.int().min(1).default(1),
		nodes_per_block: z.int().min(1).default(1),
		idle_timeout: duration.default(600_000),
		working_directory: path.optional(),
		sandbox: z.boolean().default(true),
		max_retries_on_loss: z.int().min(0).max(100).default(lossLimit),
		output_cap: size.default(outputLimitBytes),
		cancel_grace: duration.default(cancelGraceMs),
		stop_grace: duration.default(10_000),
		keep_managers: z.boolean().default(false),
		orphan_limit: duration.default(600_000),
		heartbeat_period: duration.refine((ms) => ms >= 5000, "at least 5s").default(30_000),
		link_host: z.string().min(1).default("127.0.0.1"),
		link_port: z.int().min(0).max(65_535).optional(),
		log_level: z.enum(["debug", "info", "warn", "error"]).default("info"),
	})
	.refine((value) => value.min_blocks <= value.max_blocks && value.init_blocks <= value.max_blocks, {
		path: ["max_blocks"],
		message: "must not be below min_blocks or init_blocks",
	});

/** The names of all settings, for the documentation's test. */
export const settingNames: readonly string[] = Object.keys(document.shape);

export interface EndpointConfig {
	readonly displayName: string | undefined;
	readonly scheduler: "local";
	readonly workersPerNode: number;
	readonly coresPerNode: number;
	readonly memoryPerNodeBytes: number;
	/** Device ids as CUDA_VISIBLE_DEVICES takes them. */
	readonly gpuIds: readonly string[];
	readonly workerInit: string;
	readonly environment: Readonly<Record<string, string>>;
	readonly python: string;
	readonly initBlocks: number;
	readonly minBlocks: number;
	readonly maxBlocks: number;
	readonly nodesPerBlock: number;
	readonly idleTimeoutMs: number;
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
	readonly orphanLimitMs: number;
	readonly heartbeatPeriodMs: number;
	readonly linkHost: string;
	readonly linkPort: number | undefined;
	readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** All faults of one file, a line each. */
export class ConfigFault extends Error {
	override readonly name = "ConfigFault";
	readonly faults: readonly string[];

	constructor(file: string, faults: readonly string[]) {
		super(`${file} has ${faults.length === 1 ? "a fault" : `${faults.length} faults`}:\n  ${faults.join("\n  ")}`);
		this.faults = faults;
	}
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
	const lines = new LineCounter();
	const parsed = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
	if (parsed.errors.length > 0)
		throw new ConfigFault(
			file,
			parsed.errors.map((error) => `line ${error.linePos?.[0].line ?? "?"}: ${error.message.split("\n")[0]}`),
		);
	const read = document.safeParse(parsed.toJS() ?? {});
	if (!read.success) {
		const lineOf = (at: readonly PropertyKey[]): string => {
			for (let length = at.length; length > 0; length--) {
				const node = parsed.getIn(at.slice(0, length), true);
				if (isNode(node) && node.range) return `line ${lines.linePos(node.range[0]).line}: `;
			}
			return "";
		};
		throw new ConfigFault(
			file,
			read.error.issues.flatMap((issue) =>
				issue.code === "unrecognized_keys"
					? issue.keys.map((key) => `${lineOf([...issue.path, key])}${key}: there is no such setting`)
					: [`${lineOf(issue.path)}${issue.path.map(String).join(".")}: ${issue.message}`],
			),
		);
	}
	return freeze(read.data, directory);
}

function freeze(value: z.output<typeof document>, directory: string): EndpointConfig {
	const cores = value.cores_per_node ?? availableParallelism();
	const accelerators = value.available_accelerators;
	return Object.freeze({
		displayName: value.display_name,
		scheduler: value.scheduler,
		workersPerNode: value.workers_per_node ?? cores,
		coresPerNode: cores,
		memoryPerNodeBytes: value.memory_per_node ?? totalmem(),
		gpuIds: Object.freeze(
			typeof accelerators === "number"
				? Array.from({ length: accelerators }, (_, i) => String(i))
				: accelerators.map(String),
		),
		workerInit: value.worker_init,
		environment: Object.freeze(value.environment),
		python: value.python,
		initBlocks: value.init_blocks,
		minBlocks: value.min_blocks,
		maxBlocks: value.max_blocks,
		nodesPerBlock: value.nodes_per_block,
		idleTimeoutMs: value.idle_timeout,
		workingDirectory: value.working_directory ?? join(directory, "work"),
		sandbox: value.sandbox,
		lossLimit: value.max_retries_on_loss,
		outputLimitBytes: value.output_cap,
		cancelGraceMs: value.cancel_grace,
		stopGraceMs: value.stop_grace,
		keepManagers: value.keep_managers,
		orphanLimitMs: value.orphan_limit,
		heartbeatPeriodMs: value.heartbeat_period,
		linkHost: value.link_host,
		linkPort: value.link_port,
		logLevel: value.log_level,
	});
}
