/**
 * A file with a flow, JSON or YAML. Apart from the rest of the language, because it needs a reader of YAML: who gets
 * definitions as values does not.
 */
import type { FlowDefinition } from "./definition.ts";
import type { DocumentPath } from "./findings.ts";
import { readInputSchema } from "./input-schema.ts";
import type { FlowIssue } from "./issue.ts";
import { isJsonObject, type Json, type JsonObject, kindOf } from "./json.ts";
import { ObjectReader } from "./object-reader.ts";
import { readFlow } from "./parse.ts";
import { readText } from "./text-reader.ts";
import { lintVariables } from "./variables.ts";

export { flowSourceLimitChars } from "./text-reader.ts";

/** The definition alone, or with what else the service is told of the flow. */
export interface FlowSource {
	readonly definition: Json;
	readonly inputSchema: JsonObject | undefined;
	readonly title: string | undefined;
	readonly subtitle: string | undefined;
	readonly description: string | undefined;
	readonly keywords: readonly string[];
	/** Undefined when there is an error among the issues. */
	readonly flow: FlowDefinition | undefined;
	readonly issues: readonly FlowIssue[];
}

const fileFields = ["title", "subtitle", "description", "keywords", "definition", "input_schema"];

/** Never throws: what cannot be read is among the issues. */
export function readFlowSource(text: string): FlowSource {
	const { value = null, findings } = readText(text);
	const isFile = isJsonObject(value) && Object.hasOwn(value, "definition");
	const file = new ObjectReader(findings, [], isFile ? value : {}, "a flow's file", fileFields);
	const base: DocumentPath = isFile ? ["definition"] : [];
	const definition = isFile ? (file.value("definition") ?? null) : value;
	const inputSchema = file.record("input_schema");
	if (inputSchema) readInputSchema(inputSchema, ["input_schema"], findings);
	const keywords = file.list("keywords", { least: 0, most: 1024 }) ?? [];
	for (const [i, word] of keywords.entries())
		if (typeof word !== "string") findings.error("type", ["keywords", i], `a keyword is a string, not ${kindOf(word)}`);
	const about = {
		title: file.string("title", { least: 1, most: 128 }),
		subtitle: file.string("subtitle", { most: 128 }),
		description: file.string("description", { most: 4096 }),
		keywords: keywords.filter((word) => typeof word === "string"),
	};
	// A text that cannot be read has been reported as such.
	const flow = findings.hasErrors && value === null ? undefined : readFlow(definition, base, findings);
	if (flow && inputSchema && !findings.hasErrors) lintVariables(flow, inputSchema, base, findings);
	return { ...about, definition, inputSchema, flow: findings.hasErrors ? undefined : flow, issues: findings.issues };
}
