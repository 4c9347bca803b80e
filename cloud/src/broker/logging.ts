import type { Logger } from "pino";

/** The logging port: a fixed message with fields. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;
