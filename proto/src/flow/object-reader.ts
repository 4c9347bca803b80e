/** Reads the fields of one object of a document: each is known, of its type and within its limits, or is a finding. */
import type { DocumentPath, Findings } from "./findings.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, kindOf } from "./json.ts";
import { isPathFault, parsePath, type ReferencePath } from "./reference-path.ts";

/** Fields of other dialects, with what to write instead. */
const foreignFields: Readonly<Record<string, string>> = {
	OutputPath: "ResultPath says where a result goes; what is not wanted any more is dropped by a Pass with Parameters",
	ResultSelector: "select from the result with paths in a later state, or with an ExpressionEval",
	Resource: "an Action has an ActionUrl",
	Arguments: "Parameters, with keys that end in .$ for paths and .= for expressions",
	Output: "ResultPath, and an ExpressionEval to compute",
	Assign: "an ExpressionEval with a ResultPath",
	QueryLanguage: "there is one language: paths in keys that end in .$, expressions in keys that end in .=",
	Credentials: "RunAs says as whom an action runs",
	HeartbeatSeconds: "WaitTime limits one try of an action, TimeoutSeconds all of them",
	TimeoutSecondsPath: "TimeoutSeconds, a number",
	Version: "there is one version",
	Handler: "registered APIs are not there: use ActionUrl",
	ProcessorConfig: "every Map runs in the service",
	ItemReader: "read the list with an Action, and name it in ItemsPath",
	ItemBatcher: "make batches in Items.=, with slices",
	ResultWriter: "write the results with an Action",
};

export class ObjectReader {
	readonly path: DocumentPath;
	readonly object: JsonObject;
	readonly #findings: Findings;

	/** `whose`: what has the fields, for messages: `a Wait`. */
	constructor(findings: Findings, path: DocumentPath, object: JsonObject, whose: string, fields: readonly string[]) {
		this.#findings = findings;
		this.path = path;
		this.object = object;
		for (const key of Object.keys(object)) {
			if (fields.includes(key)) continue;
			const instead = Object.hasOwn(foreignFields, key) ? foreignFields[key] : undefined;
			if (instead !== undefined)
				findings.error("unsupported-field", [...path, key], `${key} is not taken: ${instead}`, "key");
			else {
				const near = fields.find((field) => field.toLowerCase() === key.toLowerCase());
				const hint = near ? `write ${near}` : `it has ${fields.join(", ")}`;
				findings.error("unknown-field", [...path, key], `${whose} has no field ${JSON.stringify(key)}: ${hint}`, "key");
			}
		}
	}

	has(key: string): boolean {
		return Object.hasOwn(this.object, key);
	}

	at(key: string): DocumentPath {
		return [...this.path, key];
	}

	value(key: string): Json | undefined {
		return this.has(key) ? this.object[key] : undefined;
	}

	/** `example`: what one may look like, for the message. */
	require(key: string, example: string): Json | undefined {
		if (!this.has(key)) this.#findings.error("required", this.path, `${key} is missing: ${example}`);
		return this.value(key);
	}

	/** Of these, more than one is a finding; their names come back. */
	exclusive(keys: readonly string[], why: string): readonly string[] {
		const given = keys.filter((key) => this.has(key));
		for (const key of given.slice(1))
			this.#findings.error("exclusive", this.at(key), `${given[0]} and ${key} exclude one another: ${why}`, "key");
		return given;
	}

	string(key: string, limits: { least?: number; most?: number } = {}): string | undefined {
		const value = this.value(key);
		if (value === undefined) return undefined;
		if (typeof value !== "string") return this.#wrong(key, "a string", value);
		const { least = 0, most = 4096 } = limits;
		if (value.length < least || value.length > most)
			this.#findings.error(
				value.length < least ? "value" : "limit",
				this.at(key),
				`${key} has ${least} to ${most} characters, this one has ${value.length}`,
			);
		return value;
	}

	boolean(key: string): boolean | undefined {
		const value = this.value(key);
		return value === undefined || typeof value === "boolean" ? value : this.#wrong(key, "true or false", value);
	}

	number(key: string, limits: { least: number; most: number; whole: boolean }): number | undefined {
		const value = this.value(key);
		if (value === undefined) return undefined;
		const wanted = `a ${limits.whole ? "whole " : ""}number from ${limits.least} to ${limits.most}`;
		if (typeof value !== "number") return this.#wrong(key, wanted, value);
		if (value >= limits.least && value <= limits.most && (!limits.whole || Number.isInteger(value))) return value;
		this.#findings.error("value", this.at(key), `${key} is ${wanted}, not ${value}`);
		return undefined;
	}

	list(key: string, limits: { least: number; most: number }): readonly Json[] | undefined {
		const value = this.value(key);
		if (value === undefined) return undefined;
		if (!isJsonList(value)) return this.#wrong(key, "a list", value);
		if (value.length < limits.least || value.length > limits.most)
			this.#findings.error(
				value.length > limits.most ? "limit" : "value",
				this.at(key),
				`${key} has ${limits.least} to ${limits.most} entries, this one has ${value.length}`,
			);
		return value;
	}

	record(key: string): JsonObject | undefined {
		const value = this.value(key);
		return value === undefined || isJsonObject(value) ? value : this.#wrong(key, "an object", value);
	}

	referencePath(key: string): ReferencePath | undefined {
		const value = this.value(key);
		if (value === undefined) return undefined;
		if (typeof value !== "string") return this.#wrong(key, "a path such as $.input.files", value);
		return this.pathOf(value, this.at(key));
	}

	pathOf(text: string, at: DocumentPath): ReferencePath | undefined {
		const path = parsePath(text);
		if (!isPathFault(path)) return path;
		const intrinsic = text.startsWith("States.")
			? "functions are called in keys that end in .=, not in paths"
			: path.message;
		this.#findings.error("path", at, `${JSON.stringify(text)}: ${intrinsic}`);
		return undefined;
	}

	#wrong(key: string, wanted: string, found: Json): undefined {
		this.#findings.error("type", this.at(key), `${key} is ${wanted}, not ${kindOf(found)}`);
		return undefined;
	}
}
