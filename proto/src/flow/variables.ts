/** What a flow reads of its state that nothing has written: an input schema that is closed says what there is at the start. */
import type { Condition, FlowDefinition, FlowState, InputSource, Template } from "./definition.ts";
import { parseReference } from "./expression/reference.ts";
import type { Expression } from "./expression/syntax.ts";
import type { DocumentPath, Findings } from "./findings.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";
import { formatPath, isPathFault, type ReferencePath } from "./reference-path.ts";

/** Warnings only: whether a state is reached before another is not decided here. States within branches are not looked at. */
export function lintVariables(flow: FlowDefinition, schema: JsonObject, base: DocumentPath, findings: Findings): void {
	const written = writtenKeys(flow, schema);
	if (!written) return;
	const reads = [...flow.states.values()].map((state) => ({ state, ...readsOf(state) }));
	const guarded = new Set(reads.flatMap(({ asked }) => asked.map(formatPath)));
	for (const { state, read } of reads)
		for (const text of new Set(read.filter((path) => !isKnown(path, written, schema)).map(formatPath))) {
			if (guarded.has(text)) continue;
			const at = [...base, "States", state.name];
			findings.warning(
				"unknown-variable",
				at,
				`"${state.name}" reads ${text}, which neither the input has nor any state writes`,
			);
		}
}

/** Top-level keys that there can be; undefined when it cannot be said. */
function writtenKeys(flow: FlowDefinition, schema: JsonObject): ReadonlySet<string> | undefined {
	if (schema.additionalProperties !== false || !isJsonObject(schema.properties)) return undefined;
	const keys = new Set(["_context", ...Object.keys(schema.properties)]);
	for (const state of flow.states.values()) {
		if ("catch" in state)
			for (const { resultPath } of state.catch)
				for (const key of resultPath?.length === 0 ? ["Error", "Cause"] : [resultPath?.[0]])
					if (typeof key === "string") keys.add(key);
		if (!("resultPath" in state) || state.resultPath === null) continue;
		const [key] = state.resultPath;
		if (typeof key === "string") keys.add(key);
		else {
			const made = "input" in state && state.type !== "Action" ? keysOf(state.input) : undefined;
			if (!made) return undefined;
			for (const name of made) keys.add(name);
		}
	}
	return keys;
}

/** Keys of what replaces the whole state. */
function keysOf(input: InputSource): readonly string[] | undefined {
	if (input.kind === "path") return input.path.length === 0 ? [] : undefined;
	const { template } = input;
	if (template.kind === "object") return template.entries.map(([key]) => key);
	return template.kind === "constant" && isJsonObject(template.value) ? Object.keys(template.value) : undefined;
}

function isKnown(path: ReferencePath, written: ReadonlySet<string>, schema: JsonObject): boolean {
	const [first] = path;
	if (typeof first !== "string") return true;
	if (!written.has(first)) return false;
	let part: Json | undefined = schema;
	for (const key of path) {
		if (typeof key !== "string" || !isJsonObject(part) || !isJsonObject(part.properties)) return true;
		if (!Object.hasOwn(part.properties, key)) return part === schema || part.additionalProperties !== false;
		part = part.properties[key];
	}
	return true;
}

interface Reads {
	readonly read: ReferencePath[];
	/** Those whose presence is asked for, so that they may be absent. */
	readonly asked: ReferencePath[];
}

function readsOf(state: FlowState): Reads {
	const reads: Reads = { read: [], asked: [] };
	if ("input" in state) ofInput(state.input, reads);
	if (state.type === "Map") ofInput(state.items, reads);
	if (state.type === "Wait" && "path" in state.until) reads.read.push(state.until.path);
	if (state.type === "Choice") for (const { condition } of state.choices) ofCondition(condition, reads);
	return reads;
}

function ofInput(input: InputSource, reads: Reads): void {
	if (input.kind === "path") reads.read.push(input.path);
	else ofTemplate(input.template, reads);
}

function ofTemplate(template: Template, reads: Reads): void {
	if (template.kind === "path") reads.read.push(template.path);
	else if (template.kind === "expression") ofExpression(template.expression, new Set(), reads);
	else if (template.kind === "list") for (const item of template.items) ofTemplate(item, reads);
	else if (template.kind === "object") for (const [, item] of template.entries) ofTemplate(item, reads);
}

function ofCondition(condition: Condition, reads: Reads): void {
	if (condition.kind === "not") ofCondition(condition.condition, reads);
	else if (condition.kind !== "comparison") for (const part of condition.conditions) ofCondition(part, reads);
	else {
		(condition.operator === "IsPresent" ? reads.asked : reads.read).push(condition.variable);
		if ("path" in condition.operand) reads.read.push(condition.operand.path);
	}
}

function ofExpression(node: Expression, variables: ReadonlySet<string>, reads: Reads): void {
	const path = pathOf(node, variables);
	if (path) reads.read.push(path);
	else if (node.kind === "comprehension") {
		const inner = new Set(variables);
		for (const { variables: names, items, tests } of node.clauses) {
			ofExpression(items, inner, reads);
			for (const name of names) inner.add(name);
			for (const test of tests) ofExpression(test, inner, reads);
		}
		ofExpression(node.item, inner, reads);
	} else {
		const [name] = node.kind === "call" && !node.object ? node.arguments : [];
		if (node.kind === "call" && (node.name === "is_present" || node.name === "getattr") && name?.kind === "literal") {
			const asked = parseReference(String(name.value));
			if (!isPathFault(asked)) reads.asked.push(asked);
		}
		for (const part of partsOf(node)) ofExpression(part, variables, reads);
	}
}

/** `input.files` and `` `$.input.files` `` are one path. */
function pathOf(node: Expression, variables: ReadonlySet<string>): ReferencePath | undefined {
	if (node.kind === "path") return node.path;
	if (node.kind === "name") return variables.has(node.name) ? undefined : [node.name];
	if (node.kind !== "attribute") return undefined;
	const object = pathOf(node.object, variables);
	return object && [...object, node.name];
}

function partsOf(node: Expression): readonly Expression[] {
	switch (node.kind) {
		case "literal":
		case "name":
		case "path":
		case "comprehension":
			return [];
		case "list":
			return node.items;
		case "dict":
			return node.entries.flat();
		case "unary":
			return [node.operand];
		case "binary":
		case "and":
		case "or":
			return [node.left, node.right];
		case "comparison":
			return [node.first, ...node.links.map(({ operand }) => operand)];
		case "conditional":
			return [node.test, node.value, node.otherwise];
		case "attribute":
			return [node.object];
		case "index":
			return [node.object, node.index];
		case "slice":
			return [node.object, node.start, node.stop, node.step].filter((part) => part !== undefined);
		case "call":
			return [...(node.object ? [node.object] : []), ...node.arguments];
	}
}
