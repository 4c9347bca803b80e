/** The configuration of one person's endpoint: the administrator's template, filled in with what that person asks for. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "@errand/proto";
import { parse } from "yaml";
import { ConfigFault, type EndpointConfig, parseConfig } from "../config/config.ts";
import type { LocalAccount } from "./local-account.ts";
import { type Json, type JsonObject, quoteObject } from "./quoted-values.ts";
import { type Includes, includesOf, renderTemplate } from "./template.ts";
import { readTrustedFile } from "./trusted-file.ts";
import { userConfigFiles } from "./user-config-files.ts";
import { parseUserConfigSchema, type UserConfigSchema } from "./user-config-schema.ts";

/** Written as JSON; more than a person types, less than hurts. */
const valuesLimitBytes = 64 * 1024;

/** What the template finds besides the person's values; without `_GC` the names are those of older templates. */
const reserved = ["_GC", "parent_config", "mapped_identity", "user_runtime"] as const;

export interface UserConfigTemplate {
	readonly text: string;
	/** For messages. */
	readonly file: string;
	readonly includes: Includes;
	readonly check: UserConfigSchema;
	/** `config.yaml` of the endpoint, as it says it. */
	readonly parentConfig: JsonObject;
}

export interface UserConfigRequest {
	/** `user_endpoint_config` of the submit. */
	readonly values: JsonObject;
	/** What the submitter said about itself. */
	readonly runtime: JsonObject;
	readonly account: LocalAccount;
	/** Of the identity that was mapped to the account. */
	readonly identityId: string;
}

export interface UserConfig {
	/** A `config.yaml`. */
	readonly text: string;
	readonly config: EndpointConfig;
}

/** Read while we may still read them. Throws a {@link ConfigFault}. */
export function readUserConfigTemplate(directory: string): UserConfigTemplate {
	const file = join(directory, userConfigFiles.template);
	const { text } = readTrustedFile(file);
	const schemaFile = join(directory, userConfigFiles.schema);
	const check = existsSync(schemaFile)
		? parseUserConfigSchema(readTrustedFile(schemaFile).text, schemaFile)
		: () => undefined;
	return {
		text,
		file,
		includes: includesOf(directory),
		check,
		parentConfig: settingsOf(join(directory, "config.yaml")),
	};
}

/** A file of settings as it says them; none are in one that is not there. Throws a {@link ConfigFault}. */
export function settingsOf(file: string): JsonObject {
	if (!existsSync(file)) return {};
	const settings: unknown = parse(readTrustedFile(file).text) ?? {};
	if (typeof settings !== "object" || Array.isArray(settings)) throw new ConfigFault(file, ["it holds no settings"]);
	return settings as JsonObject;
}

/**
 * @param directory of the person's endpoint
 * Throws a SEMANTICALLY_INVALID fault when the person asks for something that cannot be, a ConfigFault when the template is wrong or
 * what comes out of it is no configuration.
 */
export function renderUserConfig(
	{ text, file, includes, check, parentConfig }: UserConfigTemplate,
	{ values, runtime, account, identityId }: UserConfigRequest,
	userDirectory: string,
): UserConfig {
	const bytes = Buffer.byteLength(JSON.stringify([values, runtime]));
	if (bytes > valuesLimitBytes)
		throw new Fault(
			"SEMANTICALLY_INVALID",
			`the user endpoint configuration has ${bytes} bytes; ${valuesLimitBytes} at most`,
		);
	for (const name of reserved)
		if (Object.hasOwn(values, name))
			throw new Fault("SEMANTICALLY_INVALID", `"${name}" belongs to the endpoint: choose another name for this value`);
	check(values);
	const mappedIdentity: JsonObject = { local: { ...account } as Record<string, Json>, globus: { id: identityId } };
	const ours = quoteObject(
		{ parent_config: parentConfig, mapped_identity: mappedIdentity, user_runtime: runtime },
		"_GC",
	);
	const rendered = renderTemplate(
		text,
		{ ...quoteObject(values, "user_endpoint_config"), ...ours, _GC: ours },
		{ file, includes },
	);
	return { text: rendered, config: read(rendered, `the configuration that ${file} gives`, userDirectory) };
}

/** The text is in no file, so a fault quotes the line that it names. */
function read(text: string, file: string, directory: string): EndpointConfig {
	try {
		return parseConfig(text, file, directory);
	} catch (error) {
		if (!(error instanceof ConfigFault)) throw error;
		const lines = text.split("\n");
		const quoted = error.faults.map((fault) => {
			const line = lines[Number(/^line (\d+):/.exec(fault)?.[1]) - 1];
			return line === undefined ? fault : `${fault}\n    ${line.trim().slice(0, 200)}`;
		});
		throw new ConfigFault(file, quoted);
	}
}
