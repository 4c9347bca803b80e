/** `user_config_schema.json`: what people may say for the template, as JSON Schema. */
import { Fault } from "@errand/proto";
import { Ajv, type ErrorObject } from "ajv";
import { Ajv2019 } from "ajv/dist/2019.js";
import { Ajv2020 } from "ajv/dist/2020.js";
import { ConfigFault } from "../config/config.ts";
import type { JsonObject } from "./quoted-values.ts";

/** By `$schema`; what names none is of the newest. */
const drafts: Readonly<Record<string, typeof Ajv | typeof Ajv2019 | typeof Ajv2020>> = {
	"https://json-schema.org/draft/2020-12/schema": Ajv2020,
	"https://json-schema.org/draft/2019-09/schema": Ajv2019,
	"http://json-schema.org/draft-07/schema": Ajv,
};

/** Throws a SEMANTICALLY_INVALID fault that names every value that is wrong. */
export type UserConfigSchema = (values: JsonObject) => void;

const faultOf = ({ instancePath, message, params }: ErrorObject): string => {
	const detail = Object.values(params).find((value) => typeof value === "string" || Array.isArray(value));
	return `${instancePath.slice(1).replaceAll("/", ".") || "the configuration"} ${message}${
		detail === undefined ? "" : ` (${JSON.stringify(detail)})`
	}`;
};

/** `file` is for messages. Throws a {@link ConfigFault} for a schema that is none. */
export function parseUserConfigSchema(text: string, file: string): UserConfigSchema {
	let schema: unknown;
	try {
		schema = JSON.parse(text);
	} catch (cause) {
		throw new ConfigFault(file, [`it is not JSON: ${(cause as Error).message}`]);
	}
	if (typeof schema !== "boolean" && (typeof schema !== "object" || schema === null || Array.isArray(schema)))
		throw new ConfigFault(file, ["a JSON Schema is an object"]);
	const named = typeof schema === "object" && "$schema" in schema ? String(schema.$schema) : undefined;
	const Draft = named === undefined ? Ajv2020 : drafts[named.replace(/#$/, "")];
	if (!Draft)
		throw new ConfigFault(file, [`$schema ${named} is not one of those understood: ${Object.keys(drafts).join(", ")}`]);
	// Formats are notes in the field's validator too; patterns are written for a dialect without the strictness of `u`.
	const draft = new Draft({
		strict: false,
		allErrors: true,
		validateFormats: false,
		unicodeRegExp: false,
		logger: false,
	});
	let validate: ReturnType<typeof draft.compile>;
	try {
		validate = draft.compile(schema);
	} catch (cause) {
		throw new ConfigFault(file, [(cause as Error).message]);
	}
	return (values) => {
		if (validate(values)) return;
		const says = [...new Set(validate.errors?.map(faultOf))].join("; ");
		throw new Fault("SEMANTICALLY_INVALID", `the user endpoint configuration is not what this endpoint takes: ${says}`);
	};
}
