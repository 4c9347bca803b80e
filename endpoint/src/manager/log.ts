/** One JSON line an event, as pino writes them: the manager is one small bundle and carries no logging package. */
import { writeSync } from "node:fs";
import type { Logger } from "./link.ts";

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const;

export function openLog(fields: object, lowest: keyof typeof levels = "info"): Logger {
	const at = (level: keyof typeof levels) => (more: object, msg: string) => {
		if (levels[level] < levels[lowest]) return;
		try {
			writeSync(1, `${JSON.stringify({ level: levels[level], time: Date.now(), ...fields, ...more, msg })}\n`);
		} catch {
			// whoever read the log is gone; that must not end a task
		}
	};
	return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
