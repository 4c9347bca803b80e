/**
 * A template with all that it may include, as texts: who renders it for somebody does so without rights, and cannot read
 * the administrator's directory any more.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigFault } from "../config/config.ts";
import type { Json, JsonObject } from "./quoted-values.ts";
import { type Includes, includesOf } from "./template.ts";
import { readTrustedFile } from "./trusted-file.ts";
import { settingsOf, type UserConfigTemplate } from "./user-config.ts";
import { userConfigFiles } from "./user-config-files.ts";
import { parseUserConfigSchema } from "./user-config-schema.ts";

/** Of all its texts together; what is sent to each process. */
const textsLimitCharacters = 1024 * 1024;

export interface TemplateFiles {
	readonly file: string;
	readonly text: string;
	/** By the names that the template has for them. */
	readonly includes: Readonly<Record<string, string>>;
	/** JSON Schema, as text; undefined: people may ask for anything. */
	readonly schema: { readonly file: string; readonly text: string } | undefined;
	readonly parentConfig: JsonObject;
}

const literalInclude = /\{%-?\s*(?:include|extends|import|from)\s+(?:"([^"]+)"|'([^']+)')/g;

/** Names that it writes out, and theirs in turn. */
function findIncludes(text: string, read: Includes, found: Map<string, string>): void {
	for (const [, double, single] of text.matchAll(literalInclude)) {
		const name = (double ?? single) as string;
		if (found.has(name)) continue;
		let inner: string;
		try {
			inner = read(name);
		} catch (error) {
			if (error instanceof ConfigFault) throw error;
			continue; // `ignore missing`, or never reached; rendering says so if it matters
		}
		found.set(name, inner);
		findIncludes(inner, read, found);
	}
}

/** Read while we may still read them. Names that are made by the template are found when they end in `.j2`. Throws a {@link ConfigFault}. */
export function readTemplateFiles(directory: string): TemplateFiles {
	const file = join(directory, userConfigFiles.template);
	const { text } = readTrustedFile(file);
	const read = includesOf(directory);
	const includes = new Map<string, string>();
	for (const name of readdirSync(directory))
		if (name.endsWith(".j2") && name !== userConfigFiles.template) includes.set(name, read(name));
	for (const one of [text, ...includes.values()]) findIncludes(one, read, includes);
	const characters = [text, ...includes.values()].reduce((sum, { length }) => sum + length, 0);
	if (characters > textsLimitCharacters)
		throw new ConfigFault(file, [
			`with all that it includes it has ${characters} characters; ${textsLimitCharacters} at most`,
		]);
	const schemaFile = join(directory, userConfigFiles.schema);
	const schema = existsSync(schemaFile) ? { file: schemaFile, text: readTrustedFile(schemaFile).text } : undefined;
	return {
		file,
		text,
		includes: Object.fromEntries(includes),
		schema,
		parentConfig: settingsOf(join(directory, "config.yaml")),
	};
}

/** As it is rendered. Throws a {@link ConfigFault} for a schema that is none. */
export function templateOf({ file, text, includes, schema, parentConfig }: TemplateFiles): UserConfigTemplate {
	return {
		file,
		text,
		includes(name) {
			if (!Object.hasOwn(includes, name)) throw new Error(`there is no ${name} beside the template`);
			return includes[name] as string;
		},
		check: schema === undefined ? () => undefined : parseUserConfigSchema(schema.text, schema.file),
		parentConfig,
	};
}

/** What the cloud is told of it at registration. */
export function schemaDocument({ schema }: TemplateFiles): Readonly<Record<string, Json>> | undefined {
	if (schema === undefined) return undefined;
	const value: unknown = JSON.parse(schema.text);
	return typeof value === "object" && value !== null ? (value as Record<string, Json>) : undefined;
}
