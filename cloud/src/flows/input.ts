/** What a run begins with, checked against the flow's input schema (JSON Schema 2020-12, or as its `$schema` says draft 7). */
import { Fault } from "@errand/proto";
import { flowStateLimitBytes, type Json, sizeObstacle } from "@errand/proto/flow";
import { Ajv, type AnySchema, type ErrorObject, type Options } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";

const options: Options = {
	allErrors: true,
	strict: false,
	// Formats are hints for forms (`globus-collection`, …); what they mean nobody here can check.
	validateFormats: false,
	logger: false,
	// A schema's own `$id` must not meet another's.
	addUsedSchema: false,
};
const errorsShown = 10;

/** Patterns are tried by a matcher that can take for ever on some of them; these are the ones that cannot. */
const backtracking = /\([^)]*[*+{][^)]*\)\s*[*+{]|\(\?|\\[1-9]/;
const patternLimitChars = 256;

/** Why a schema cannot be used; undefined when it can. */
export function schemaObstacle(schema: unknown): string | undefined {
	const bad = patternsOf(schema).find((pattern) => pattern.length > patternLimitChars || backtracking.test(pattern));
	if (bad !== undefined)
		return `the pattern ${JSON.stringify(bad.slice(0, 60))} may take for ever: write it without repeated groups, look-around and back references, in at most ${patternLimitChars} characters`;
	try {
		compile(schema);
		return undefined;
	} catch (cause) {
		return (cause as Error).message;
	}
}

/** Throws FLOW_INPUT_ERROR with everything that does not fit. */
export function checkInput(schema: unknown, input: Json): void {
	const large = sizeObstacle(input, flowStateLimitBytes);
	if (large !== undefined)
		throw new Fault("FLOW_INPUT_ERROR", `The input has ${large}: keep data in files, and give the flow their paths.`);
	const validate = compile(schema);
	if (validate(input)) return;
	const errors = validate.errors ?? [];
	const said = errors.slice(0, errorsShown).map((error) => `${placeOf(error)}: ${wordsOf(error)}`);
	const more = errors.length > errorsShown ? ` (and ${errors.length - errorsShown} more)` : "";
	throw new Fault("FLOW_INPUT_ERROR", `The input does not fit the flow's input schema: ${said.join("; ")}${more}.`, {
		args: errors.slice(0, errorsShown).map(placeOf),
	});
}

function compile(schema: unknown) {
	const draft = (schema as { $schema?: unknown }).$schema;
	const ajv = typeof draft === "string" && draft.includes("draft-07") ? new Ajv(options) : new Ajv2020(options);
	return ajv.compile(schema as AnySchema);
}

const placeOf = ({ instancePath }: ErrorObject): string => `$${instancePath.replaceAll("/", ".")}`;

function wordsOf({ message, keyword, params }: ErrorObject): string {
	if (keyword === "additionalProperties")
		return `has ${JSON.stringify(params.additionalProperty)}, which is not in the schema`;
	if (keyword === "enum") return `must be one of ${JSON.stringify(params.allowedValues).slice(0, 200)}`;
	return message ?? "does not fit";
}

function patternsOf(schema: unknown): string[] {
	if (typeof schema !== "object" || schema === null) return [];
	const found: string[] = [];
	for (const [key, value] of Object.entries(schema)) {
		if (key === "pattern" && typeof value === "string") found.push(value);
		if (key === "patternProperties" && typeof value === "object" && value !== null) found.push(...Object.keys(value));
		found.push(...patternsOf(value));
	}
	return found;
}
