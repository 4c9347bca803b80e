/** One state of a document → a state of a definition: a table of types, each with its fields and how they are read. */
import { readCondition } from "./condition-reader.ts";
import type { FlowState, InputSource, StateGraph, StateType, WaitTarget } from "./definition.ts";
import type { DocumentPath, Findings } from "./findings.ts";
import {
	defaultWaitTimeSeconds,
	flowLimitBranches,
	flowLimitItems,
	flowLimitRules,
	flowLimitSeconds,
	stateNameLimitChars,
} from "./flow-limits.ts";
import { isJsonList, isJsonObject, type Json, type JsonObject, kindOf } from "./json.ts";
import { ObjectReader } from "./object-reader.ts";
import { actionUrlObstacle } from "./provider-url.ts";
import { readResultPath } from "./result-path-reader.ts";
import { readCatch, readRetry } from "./rule-reader.ts";
import { readExpressionEntry, readTemplate } from "./template-reader.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Reads the graph of a branch, which is one level deeper. */
export type ReadGraph = (value: Json, at: DocumentPath, whose: string) => StateGraph;

interface Reading {
	readonly name: string;
	readonly comment: string | undefined;
	readonly fields: ObjectReader;
	readonly findings: Findings;
	readonly readGraph: ReadGraph;
}

const always = ["Type", "Comment"];
const step = ["Next", "End"];
const result = ["ResultPath", ...step];
const fallible = ["Retry", "Catch", "TimeoutSeconds", ...result];
const input = ["InputPath", "Parameters"];
const itemFields = ["ItemsPath", "Items", "Items.="];
const waitFields = ["Seconds", "SecondsPath", "Timestamp", "TimestampPath"];
const tolerated = ["ToleratedFailureCount", "ToleratedFailurePercentage"];
const actionFields = ["ActionUrl", "ActionScope", "WaitTime", "ExceptionOnActionFailure", "RunAs"];

export const stateFields = {
	Action: [...always, ...actionFields, ...input, ...fallible],
	Choice: [...always, "Choices", "Default"],
	ExpressionEval: [...always, "Parameters", ...result],
	Fail: [...always, "Error", "Cause"],
	Map: [
		...always,
		...itemFields,
		"ItemSelector",
		"ItemProcessor",
		"Iterator",
		"MaxConcurrency",
		...tolerated,
		...fallible,
	],
	Parallel: [...always, "Branches", ...input, ...fallible],
	Pass: [...always, "Result", ...input, ...result],
	Succeed: always,
	Wait: [...always, ...waitFields, ...step],
} as const satisfies Record<StateType, readonly string[]>;

const readers: Readonly<Record<StateType, (reading: Reading) => FlowState>> = {
	Action: readAction,
	Choice: readChoice,
	ExpressionEval: (reading) => {
		reading.fields.require("Parameters", "what is to be computed");
		return { type: "ExpressionEval", ...resultOf(reading), input: inputOf(reading) };
	},
	Fail: ({ name, comment, fields }) => ({
		type: "Fail",
		name,
		comment,
		error: fields.string("Error", { least: 1, most: 256 }) ?? "Failed",
		cause: fields.string("Cause"),
	}),
	Map: readMap,
	Parallel: readParallel,
	Pass: (reading) => ({ type: "Pass", ...resultOf(reading), input: inputOf(reading, ["Result"]) }),
	Succeed: ({ name, comment }) => ({ type: "Succeed", name, comment }),
	Wait: (reading) => ({ type: "Wait", ...stepOf(reading), until: readWaitTarget(reading) }),
};

/** Types of other dialects, with what to use instead. */
const foreignTypes: Readonly<Record<string, string>> = { Task: "Action, with an ActionUrl" };

/** Undefined when it cannot be said what state it is. Everything that is wrong with it is a finding. */
export function readState(
	name: string,
	value: Json,
	at: DocumentPath,
	findings: Findings,
	readGraph: ReadGraph,
): FlowState | undefined {
	if (!isJsonObject(value)) {
		findings.error("type", at, `a state is an object, not ${kindOf(value)}`);
		return undefined;
	}
	const type = value.Type;
	if (typeof type !== "string" || !Object.hasOwn(readers, type)) {
		reportType(value, at, findings);
		return undefined;
	}
	const kind = type as StateType;
	const fields = new ObjectReader(findings, at, value, `a state of type ${kind}`, stateFields[kind]);
	return readers[kind]({ name, comment: fields.string("Comment"), fields, findings, readGraph });
}

function reportType(value: JsonObject, at: DocumentPath, findings: Findings): void {
	const types = Object.keys(readers).join(", ");
	const { Type: type } = value;
	if (type === undefined) findings.error("required", at, `Type is missing: one of ${types}`);
	else if (typeof type !== "string")
		findings.error("type", [...at, "Type"], `Type is one of ${types}, not ${kindOf(type)}`);
	else {
		const instead = Object.hasOwn(foreignTypes, type) ? foreignTypes[type] : `one of ${types}`;
		findings.error("value", [...at, "Type"], `there are no states of type ${JSON.stringify(type)}: use ${instead}`);
	}
}

function readAction(reading: Reading): FlowState {
	const { fields, findings } = reading;
	fields.require("ActionUrl", "the provider's address");
	const actionUrl = fields.string("ActionUrl", { least: 1 }) ?? "";
	const obstacle = actionUrl === "" ? undefined : actionUrlObstacle(actionUrl);
	if (obstacle !== undefined) findings.error("value", fields.at("ActionUrl"), obstacle);
	if (!fields.has("InputPath") && !fields.has("Parameters"))
		findings.error("required", fields.path, "Parameters or InputPath is missing: the action's body");
	if (!fields.has("ExceptionOnActionFailure"))
		findings.warning(
			"exception-on-failure",
			fields.path,
			"ExceptionOnActionFailure is not written: true (as without it) makes a failed action an error",
		);
	if (!fields.has("WaitTime"))
		findings.warning(
			"wait-time",
			fields.path,
			`WaitTime is not written: the action is given ${defaultWaitTimeSeconds} s, which is short for a batch queue`,
		);
	if (!fields.has("ResultPath"))
		findings.warning("result-path", fields.path, "without ResultPath the action's status replaces the whole state");
	const waitTime = fields.number("WaitTime", { least: 1, most: flowLimitSeconds, whole: true });
	return {
		type: "Action",
		...fallibleOf(reading),
		actionUrl,
		actionScope: fields.string("ActionScope", { least: 1 }),
		input: inputOf(reading),
		waitTimeMs: (waitTime ?? defaultWaitTimeSeconds) * 1000,
		exceptionOnActionFailure: fields.boolean("ExceptionOnActionFailure") ?? true,
		runAs: fields.string("RunAs", { least: 1, most: 128 }) ?? "User",
	};
}

function readChoice({ name, comment, fields, findings }: Reading): FlowState {
	fields.require("Choices", "a list of rules");
	const rules = fields.list("Choices", { least: 1, most: flowLimitRules }) ?? [];
	const choices = rules.flatMap((rule, i) => {
		const at = [...fields.at("Choices"), i];
		const condition = readCondition(rule, at, findings, true);
		const next = isJsonObject(rule) ? rule.Next : "";
		if (typeof next === "string") return [{ condition: condition ?? { kind: "and" as const, conditions: [] }, next }];
		findings.error(
			next === undefined ? "required" : "type",
			next === undefined ? at : [...at, "Next"],
			next === undefined ? "Next is missing: the state to go on to" : `Next is a string, not ${kindOf(next)}`,
		);
		return [];
	});
	return { type: "Choice", name, comment, choices, default: fields.string("Default", { least: 1 }) };
}

function readWaitTarget({ fields, findings }: Reading): WaitTarget {
	const [key] = fields.exclusive(waitFields, "a Wait ends once");
	if (key === undefined) findings.error("required", fields.path, `one of ${waitFields.join(", ")} is missing`);
	if (key === "SecondsPath") return { kind: "seconds-path", path: fields.referencePath(key) ?? [] };
	if (key === "TimestampPath") return { kind: "timestamp-path", path: fields.referencePath(key) ?? [] };
	if (key === "Timestamp") {
		const text = fields.string(key);
		const timestampMs = text === undefined ? undefined : parseTimestamp(text);
		if (text !== undefined && timestampMs === undefined)
			findings.error("value", fields.at(key), `${JSON.stringify(text)} is not a time such as 2026-01-31T12:00:00Z`);
		return { kind: "timestamp", timestampMs: timestampMs ?? 0 };
	}
	const seconds = fields.number("Seconds", { least: 0, most: flowLimitSeconds, whole: false });
	return { kind: "seconds", seconds: seconds ?? 0 };
}

function readParallel(reading: Reading): FlowState {
	const { fields, readGraph } = reading;
	fields.require("Branches", "a list of {StartAt, States}");
	const branches = fields.list("Branches", { least: 1, most: flowLimitBranches }) ?? [];
	return {
		type: "Parallel",
		...fallibleOf(reading),
		input: inputOf(reading),
		branches: branches.map((branch, i) => readGraph(branch, [...fields.at("Branches"), i], "a branch")),
	};
}

function readMap(reading: Reading): FlowState {
	const { fields, findings, readGraph } = reading;
	const [key] = fields.exclusive(["ItemProcessor", "Iterator"], "they are two names of one thing");
	if (key === undefined)
		findings.error("required", fields.path, "ItemProcessor is missing: {StartAt, States} for each item");
	const selector = fields.record("ItemSelector");
	return {
		type: "Map",
		...fallibleOf(reading),
		items: readItems(reading),
		itemSelector: selector && readTemplate(selector, fields.at("ItemSelector"), findings),
		processor: key
			? readGraph(fields.value(key) as Json, fields.at(key), key === "Iterator" ? "an Iterator" : "an ItemProcessor")
			: { startAt: "", states: new Map() },
		maxConcurrency: fields.number("MaxConcurrency", { least: 0, most: flowLimitItems, whole: true }) ?? 0,
		toleratedFailureCount: fields.number("ToleratedFailureCount", { least: 0, most: flowLimitItems, whole: true }),
		toleratedFailurePercentage: fields.number("ToleratedFailurePercentage", { least: 0, most: 100, whole: false }),
	};
}

function readItems({ fields, findings }: Reading): InputSource {
	const [key] = fields.exclusive(itemFields, "the items come from one place");
	if (key === undefined || key === "ItemsPath") return { kind: "path", path: fields.referencePath("ItemsPath") ?? [] };
	const value = fields.value(key) as Json;
	if (key === "Items.=") return { kind: "template", template: readExpressionEntry(value, fields.at(key), findings) };
	if (!isJsonList(value))
		findings.error("type", fields.at(key), `Items is a list, not ${kindOf(value)}; ItemsPath takes a path`);
	return { kind: "template", template: readTemplate(value, fields.at(key), findings) };
}

function stepOf({ name, comment, fields, findings }: Reading) {
	const [key] = fields.exclusive(step, "a state goes on, or ends");
	const next = fields.string("Next", { least: 1, most: stateNameLimitChars });
	if (key === undefined)
		findings.error("required", fields.path, "Next or End is missing: the state to go on to, or End: true");
	if (key === "End" && fields.boolean("End") === false)
		findings.error("value", fields.at("End"), "End is true, or is not written");
	return { name, comment, next };
}

function resultOf(reading: Reading) {
	return { ...stepOf(reading), resultPath: readResultPath(reading.fields, reading.findings) };
}

function fallibleOf(reading: Reading) {
	const { fields, findings } = reading;
	const timeout = fields.number("TimeoutSeconds", { least: 1, most: flowLimitSeconds, whole: true });
	return {
		...resultOf(reading),
		retry: readRetry(fields, findings),
		catch: readCatch(fields, findings),
		timeoutMs: timeout && timeout * 1000,
	};
}

/** `more`: other fields that give the input as well; they are constants. */
function inputOf({ fields, findings }: Reading, more: readonly string[] = []): InputSource {
	const [key] = fields.exclusive([...input, ...more], "the input comes from one place");
	if (fields.has("Parameters")) {
		const parameters = fields.record("Parameters") ?? {};
		return { kind: "template", template: readTemplate(parameters, fields.at("Parameters"), findings) };
	}
	if (key === undefined || key === "InputPath") return { kind: "path", path: fields.referencePath("InputPath") ?? [] };
	return { kind: "template", template: { kind: "constant", value: fields.value(key) as Json } };
}
