/** `config.yaml` of a manager endpoint: who may use it and how its user endpoints live. What these are is in the template. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { ConfigFault, settingNames } from "../config/config.ts";
import { duration } from "../config/quantities.ts";
import { readSettings } from "../config/settings-file.ts";
import { userConfigFiles } from "../multiuser/user-config-files.ts";

const document = z.strictObject({
	display_name: z.string().max(256).optional(),
	public: z.boolean().default(false),
	allowed_functions: z.array(z.uuid()).optional(),
	admins: z.array(z.uuid()).default([]),
	authentication_policy: z.uuid().optional(),
	max_user_endpoints: z.int().min(1).max(10_000).default(64),
	max_user_endpoints_per_account: z.int().min(0).max(10_000).default(8),
	audit_lines_per_hour: z.int().min(1_000).max(100_000_000).default(200_000),
	grace_period: duration.default(20_000),
	start_limit: duration.refine((ms) => ms >= 1000, "at least 1s").default(30_000),
	keep_user_endpoints: z.boolean().default(false),
	heartbeat_period: duration.refine((ms) => ms >= 5000, "at least 5s").default(30_000),
	log_level: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

/** For the documentation's test. */
export const managerSettingNames: readonly string[] = Object.keys(document.shape);

export interface ManagerConfig {
	readonly displayName: string | undefined;
	readonly public: boolean;
	/** Nothing else is run by any of its user endpoints, whatever the template says; undefined: as the template says. Ids. */
	readonly allowedFunctions: readonly string[] | undefined;
	readonly admins: readonly string[];
	/** The cloud's to enforce. */
	readonly authenticationPolicy: string | undefined;
	/** Processes at the same time. */
	readonly maxUserEndpoints: number;
	/** Of them, those of one account; undefined: no limit of its own. */
	readonly maxUserEndpointsPerAccount: number | undefined;
	/** What the processes of one account may add to the audit log in an hour; further lines are counted. */
	readonly auditLinesPerHour: number;
	/** Between SIGTERM and SIGKILL when user endpoints are ended. */
	readonly gracePeriodMs: number;
	/** From the start of a process until its template is filled in. */
	readonly startLimitMs: number;
	/** Stopping the manager leaves its user endpoints alone; the next one finds them. */
	readonly keepUserEndpoints: boolean;
	readonly heartbeatPeriodMs: number;
	readonly logLevel: "debug" | "info" | "warn" | "error";
}

function unknownSetting(name: string): string {
	return settingNames.includes(name)
		? `belongs to user endpoints, and this is their manager: say it in ${userConfigFiles.template}`
		: `there is no such setting. There are ${managerSettingNames.join(", ")}`;
}

/** Throws a {@link ConfigFault}. */
export function readManagerConfig(directory: string): ManagerConfig {
	const file = join(directory, "config.yaml");
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== "ENOENT")
			throw new ConfigFault(file, [`it cannot be read: ${(cause as Error).message}`]);
		text = "";
	}
	return parseManagerConfig(text, file);
}

/** `file` is for messages. Throws a {@link ConfigFault}. */
export function parseManagerConfig(text: string, file: string): ManagerConfig {
	const value = readSettings(document, text, file, unknownSetting);
	return Object.freeze({
		displayName: value.display_name,
		public: value.public,
		allowedFunctions: value.allowed_functions && Object.freeze(value.allowed_functions),
		admins: Object.freeze(value.admins),
		authenticationPolicy: value.authentication_policy,
		maxUserEndpoints: value.max_user_endpoints,
		maxUserEndpointsPerAccount: value.max_user_endpoints_per_account || undefined,
		auditLinesPerHour: value.audit_lines_per_hour,
		gracePeriodMs: value.grace_period,
		startLimitMs: value.start_limit,
		keepUserEndpoints: value.keep_user_endpoints,
		heartbeatPeriodMs: value.heartbeat_period,
		logLevel: value.log_level,
	});
}
