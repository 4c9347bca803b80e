import pino from "pino";

/** What every part of the cloud logs to: a fixed message and structured fields, fields first. */
export type Log = Pick<pino.Logger, "debug" | "info" | "warn" | "error">;

/** Names of fields that are never written, at the top and up to three levels below it. */
const secretFields = [
	"authorization",
	"Authorization",
	"cookie",
	"password",
	"secret",
	"secretAccessKey",
	"client_secret",
	"token",
	"access_token",
	"refresh_token",
	"id_token",
	"connection_url",
	"databaseUrl",
	"managementUrl",
	"serviceUrl",
] as const;

const redactedPaths = secretFields.flatMap((name) => [name, `*.${name}`, `*.*.${name}`, `*.*.*.${name}`]);

/**
 * The process's log: one JSON object a line, secrets replaced by `[secret]`.
 * `destination` is where the lines go; standard output when left out.
 */
export function createLog(options: { level: string; destination?: pino.DestinationStream }): pino.Logger {
	const settings: pino.LoggerOptions = {
		level: options.level,
		base: null,
		timestamp: pino.stdTimeFunctions.isoTime,
		redact: { paths: redactedPaths, censor: "[secret]" },
	};
	return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
