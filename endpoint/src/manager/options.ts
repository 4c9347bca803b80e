/** What the daemon hands to a manager through the job script's environment. */
import { availableParallelism, totalmem } from "node:os";
import { outputLimitBytes } from "@errand/proto/limits";

export interface ManagerOptions {
	/** Where daemons listen, `host:port`, in order of preference. */
	addresses: readonly string[];
	/** PEM; the only certificate that is trusted. */
	certificate: string;
	blockToken: string;
	blockId: string;
	/** Node-local scratch of this manager alone. */
	directory: string;
	maxWorkers: number;
	cores: number;
	memoryBytes: number;
	gpuIds: readonly string[];
	/** A path, or a name on the PATH. */
	python: string;
	/** Added to every worker's environment. */
	environment: Readonly<Record<string, string>>;
	/** Of one task and stream. */
	outputLimitBytes: number;
	/** Undefined: tasks run in `workingDirectory`, all together. */
	sandboxRoot: string | undefined;
	/** Where workers start. */
	workingDirectory: string;
	/** Keep what successful tasks leave in their sandbox too. */
	keepSandboxes: boolean;
	/** Where function code looks up packages. */
	moduleRoot: string;
	orphanLimitMs: number;
	/** Unix milliseconds; 0 when the block does not end. */
	endsAtMs: number;
}

/** Without a word from the daemon's options a manager outlives a daemon that is being repaired, not a forgotten one. */
const defaultOrphanLimitMs = 600_000;

/** Reads and checks everything at once. Throws an Error that lists every fault. */
export function readOptions(env: Readonly<Record<string, string | undefined>>): ManagerOptions {
	const faults: string[] = [];
	const text = (name: string): string => {
		const value = env[name];
		if (value === undefined || value === "") faults.push(`${name} is not set`);
		return value ?? "";
	};
	const json = parseObject(env.ERRAND_MANAGER_OPTIONS ?? "{}", faults);
	const pick = <T>(name: string, isRight: (value: unknown) => value is T, what: string, otherwise: T): T => {
		const value = json[name];
		if (value === undefined || value === null) return otherwise;
		if (isRight(value)) return value;
		faults.push(`ERRAND_MANAGER_OPTIONS: ${name} must be ${what}`);
		return otherwise;
	};
	const count = (name: string, otherwise: number) => pick(name, isCount, "a number that is not negative", otherwise);
	const directory = text("ERRAND_MANAGER_DIRECTORY");
	const cores = count("cores", availableParallelism());
	const sandbox = pick("sandbox", isBoolean, "true or false", true);
	const root = pick("sandboxRoot", isText, "a path", `${directory}/sandbox`);
	const options: ManagerOptions = {
		addresses: text("ERRAND_LINK_ADDRESS").split(",").filter(Boolean),
		certificate: Buffer.from(text("ERRAND_LINK_CERTIFICATE"), "base64").toString("utf8"),
		blockToken: text("ERRAND_BLOCK_TOKEN"),
		blockId: text("ERRAND_BLOCK_ID"),
		directory,
		maxWorkers: Math.max(1, count("maxWorkers", Math.max(1, cores))),
		cores,
		memoryBytes: count("memoryBytes", totalmem()),
		gpuIds: pick("gpuIds", isTexts, "a list of texts", []),
		python: pick("python", isText, "a text", "python3"),
		environment: pick("environment", isTextRecord, "an object of texts", {}),
		outputLimitBytes: count("outputLimitBytes", outputLimitBytes),
		sandboxRoot: sandbox ? root : undefined,
		workingDirectory: sandbox ? directory : root,
		keepSandboxes: pick("keepSandboxes", isBoolean, "true or false", false),
		moduleRoot: pick("moduleRoot", isText, "a path", process.cwd()),
		orphanLimitMs: count("orphanLimitMs", defaultOrphanLimitMs),
		endsAtMs: count("endsAtMs", 0),
	};
	if (faults.length > 0) throw new Error(`the manager cannot start: ${faults.join("; ")}`);
	return Object.freeze(options);
}

function parseObject(text: string, faults: string[]): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
	} catch {
		// told below
	}
	faults.push("ERRAND_MANAGER_OPTIONS is not a JSON object");
	return {};
}

const isCount = (value: unknown): value is number => typeof value === "number" && value >= 0;
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const isTexts = (value: unknown): value is string[] =>
	Array.isArray(value) && value.every((item) => typeof item === "string");
const isTextRecord = (value: unknown): value is Record<string, string> =>
	typeof value === "object" && value !== null && Object.values(value).every((item) => typeof item === "string");
