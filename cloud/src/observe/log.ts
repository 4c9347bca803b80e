import pino from "pino";

/** What every part of the cloud logs to: a fixed message and structured fields, fields first. */
export type Log = Pick<pino.Logger, "debug" | "info" | "warn" | "error">;

/** Fields whose values are never written, however their words are joined. */
const secretFields = [
	"authorization",
	"cookie",
	"set-cookie",
	"password",
	"secret",
	"client_secret",
	"secretAccessKey",
	"token",
	"access_token",
	"refresh_token",
	"id_token",
	"connection_url",
	"databaseUrl",
	"managementUrl",
	"serviceUrl",
] as const;

const plain = (name: string): string => name.toLowerCase().replace(/[_-]/g, "");
const secretNames: ReadonlySet<string> = new Set(secretFields.map(plain));
const hidden = "[secret]";

/** Deeper than this nothing is written at all: what is logged is facts, not documents. */
const deepest = 6;

const known = new Map<string, boolean>();

function isSecret(name: string): boolean {
	let secret = known.get(name);
	if (secret === undefined) {
		secret = secretNames.has(plain(name));
		if (known.size < 1000) known.set(name, secret);
	}
	return secret;
}

/**
 * The value with secrets replaced by `[secret]`; the same object when it has none. (Measured: the logger's own
 * redaction, with as many names and levels, cost more than all the rest of a small request.)
 */
function withoutSecrets<T>(value: T, depth = 0): T {
	if (typeof value !== "object" || value === null || value instanceof Error) return value;
	if (depth > deepest) return "[deep]" as T;
	let copy: Record<string, unknown> | undefined;
	const source = value as Record<string, unknown>;
	for (const name in source) {
		const before = source[name];
		if (typeof before !== "object" && typeof before !== "string") continue;
		const after = isSecret(name) && before !== null ? hidden : withoutSecrets(before, depth + 1);
		if (after === before) continue;
		copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
		copy[name] = after;
	}
	return (copy ?? value) as T;
}

/**
 * The process's log: one JSON object a line, secrets replaced by `[secret]`.
 * `destination` is where the lines go; standard output when left out.
 */
export function createLog(options: { level: string; destination?: pino.DestinationStream }): pino.Logger {
	const settings: pino.LoggerOptions = {
		level: options.level,
		base: null,
		timestamp: pino.stdTimeFunctions.isoTime,
		formatters: { log: (fields) => withoutSecrets(fields) },
		serializers: {
			err: (error) => withoutSecrets(pino.stdSerializers.err(error)),
			// Fields that a child logger always writes pass these only.
			...Object.fromEntries(secretFields.map((name) => [name, () => hidden])),
		},
	};
	return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
