import type pino from "pino";

/** What the parts of the daemon log through: a fixed message and fields. */
export type Logger = Pick<pino.Logger, "debug" | "info" | "warn" | "error">;

/** For tests and for one-shot commands that report in another way. */
export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
