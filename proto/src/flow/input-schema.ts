/**
 * Input schemas: whether a document is one, without compiling it. The service checks inputs against it with a complete
 * validator of JSON Schema (draft 2020-12).
 */
import { type DocumentPath, Findings, type Locate } from "./findings.ts";
import { inputSchemaLimitBytes } from "./flow-limits.ts";
import type { FlowReading } from "./issue.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, kindOf } from "./json.ts";
import { sizeObstacle } from "./size.ts";

type Check =
	| "any"
	| "boolean"
	| "count"
	| "list"
	| "number"
	| "schema"
	| "schema-list"
	| "schemas"
	| "string"
	| "strings"
	| "type";

/** Keywords of JSON Schema that a flow's input may use, by what each takes. */
const keywords: Readonly<Record<Check, string>> = {
	any: "const default dependentRequired propertyOrder",
	boolean: "deprecated readOnly uniqueItems writeOnly",
	count: "maxItems maxLength maxProperties minItems minLength minProperties",
	list: "enum examples",
	number: "exclusiveMaximum exclusiveMinimum maximum minimum multipleOf",
	schema: "additionalProperties contains else if items not propertyNames then",
	"schema-list": "allOf anyOf oneOf prefixItems",
	schemas: "$defs definitions patternProperties properties",
	string: "$schema $comment $ref description format pattern title",
	strings: "required",
	type: "type",
};

const checks: ReadonlyMap<string, Check> = new Map(
	Object.entries(keywords).flatMap(([check, names]) => names.split(" ").map((name) => [name, check as Check] as const)),
);

const types = ["array", "boolean", "integer", "null", "number", "object", "string"];

/** Formats with a meaning; the `globus-` ones tell a form which field to show. */
export const schemaFormats = [
	...["date", "date-time", "time", "email", "uri", "uuid", "hostname", "ipv4", "ipv6", "textarea", "password"],
	...[
		"globus-collection",
		"globus-collection-id",
		"globus-collection-path",
		"globus-path",
		"globus-group",
		"globus-group-id",
	],
	...["globus-principal", "globus-principal-id", "errand-endpoint", "errand-function"],
] as const;

/** Never throws, whatever the document is. */
export function parseInputSchema(document: unknown, locate?: Locate): FlowReading<JsonObject> {
	const findings = new Findings(locate);
	readInputSchema(document as Json, [], findings);
	return { flow: findings.hasErrors ? undefined : (document as JsonObject), issues: findings.issues };
}

export function readInputSchema(schema: Json, at: DocumentPath, findings: Findings): void {
	const obstacle = sizeObstacle(schema, inputSchemaLimitBytes);
	if (obstacle === undefined) readSchema(schema, at, findings);
	else findings.error("limit", at, `an input schema with ${obstacle} is not taken`);
}

function readSchema(schema: Json, at: DocumentPath, findings: Findings): void {
	if (typeof schema === "boolean") return;
	if (!isJsonObject(schema)) {
		findings.error("input-schema", at, `a schema is an object, true or false, not ${kindOf(schema)}`);
		return;
	}
	for (const [keyword, value] of Object.entries(schema)) {
		const place = [...at, keyword];
		const check = checks.get(keyword);
		if (check === undefined) {
			const near = [...checks.keys()].find((known) => known.toLowerCase() === keyword.toLowerCase());
			const hint = near ? `: write ${near}` : "";
			if (!keyword.startsWith("x-"))
				findings.error("input-schema", place, `${JSON.stringify(keyword)} is no keyword of a schema${hint}`, "key");
		} else readKeyword(check, value, place, findings);
	}
	readFormat(schema, at, findings);
	lintRequired(schema, at, findings);
}

const wanted: Readonly<
	Record<Exclude<Check, "any" | "schema" | "schema-list" | "schemas">, readonly [string, (value: Json) => boolean]>
> = {
	boolean: ["true or false", (value) => typeof value === "boolean"],
	count: ["a whole number from 0", (value) => typeof value === "number" && Number.isInteger(value) && value >= 0],
	list: ["a list", isJsonList],
	number: ["a number", (value) => typeof value === "number"],
	string: ["a string", (value) => typeof value === "string"],
	strings: ["a list of strings", (value) => isJsonList(value) && value.every((item) => typeof item === "string")],
	type: [
		`one of ${types.join(", ")}, or a list of them`,
		(value) => (isJsonList(value) ? value : [value]).every((type) => typeof type === "string" && types.includes(type)),
	],
};

function readKeyword(check: Check, value: Json, at: DocumentPath, findings: Findings): void {
	const refuse = (what: string): void =>
		findings.error(
			"input-schema",
			at,
			`${at.at(-1)} is ${what}, not ${typeof value === "string" ? JSON.stringify(value) : kindOf(value)}`,
		);
	if (check === "any") return;
	if (check === "schema") readSchema(value, at, findings);
	else if (check === "schema-list") {
		if (!isJsonList(value)) refuse("a list of schemas");
		else for (const [i, item] of value.entries()) readSchema(item, [...at, i], findings);
	} else if (check === "schemas") {
		if (!isJsonObject(value)) refuse("an object of schemas");
		else for (const [name, item] of Object.entries(value)) readSchema(item, [...at, name], findings);
	} else {
		const [what, fits] = wanted[check];
		if (!fits(value)) refuse(what);
	}
}

function readFormat({ format, pattern, $ref }: JsonObject, at: DocumentPath, findings: Findings): void {
	if (typeof format === "string" && !(schemaFormats as readonly string[]).includes(format))
		findings.warning(
			"input-schema",
			[...at, "format"],
			`nothing knows the format ${JSON.stringify(format)}: it is ignored`,
		);
	if (typeof $ref === "string" && !$ref.startsWith("#"))
		findings.error("input-schema", [...at, "$ref"], `a $ref begins with #: nothing is fetched from elsewhere`);
	if (typeof pattern !== "string") return;
	try {
		new RegExp(pattern, "u");
	} catch (error) {
		findings.error("input-schema", [...at, "pattern"], error instanceof Error ? error.message : String(error));
	}
}

/** A required property that nothing describes is a slip of the pen more often than not. */
function lintRequired(
	{ required, properties, additionalProperties }: JsonObject,
	at: DocumentPath,
	findings: Findings,
): void {
	if (!isJsonList(required) || !isJsonObject(properties)) return;
	for (const [i, name] of required.entries()) {
		if (typeof name !== "string" || Object.hasOwn(properties, name)) continue;
		const message = `"${name}" is required, and is not among the properties`;
		const place = [...at, "required", i];
		if (additionalProperties === false) findings.error("input-schema", place, `${message}: no input can fulfil it`);
		else findings.warning("input-schema", place, message);
	}
}
