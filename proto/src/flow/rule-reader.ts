/** `Catch` and `Retry` of a state, and names of errors. */
import type { CatchRule, RetryRule } from "./definition.ts";
import type { DocumentPath, Findings } from "./findings.ts";
import { errorWildcards, flowErrors } from "./flow-failure.ts";
import { flowLimitRules, flowLimitSeconds, retryLimitAttempts, stateNameLimitChars } from "./flow-limits.ts";
import { isJsonObject, type Json, kindOf } from "./json.ts";
import { ObjectReader } from "./object-reader.ts";
import { readResultPath } from "./result-path-reader.ts";

export function readCatch(state: ObjectReader, findings: Findings): readonly CatchRule[] {
	return rules(state, "Catch", ["ErrorEquals", "Next", "ResultPath", "Comment"], findings, (fields) => {
		fields.require("Next", "the state that goes on");
		if (!fields.has("ResultPath"))
			findings.warning(
				"result-path",
				fields.path,
				"without ResultPath the error replaces the whole state: write for instance $.error",
			);
		return {
			errorEquals: readErrors(fields, findings),
			next: fields.string("Next", { least: 1, most: stateNameLimitChars }) ?? "",
			resultPath: readResultPath(fields, findings),
		};
	});
}

const retryFields = ["IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"];

export function readRetry(state: ObjectReader, findings: Findings): readonly RetryRule[] {
	return rules(state, "Retry", ["ErrorEquals", ...retryFields, "Comment"], findings, (fields) => {
		const seconds = (key: string): number | undefined =>
			fields.number(key, { least: 1, most: flowLimitSeconds, whole: true });
		const maxDelay = seconds("MaxDelaySeconds");
		const jitter = fields.string("JitterStrategy");
		if (jitter !== undefined && jitter !== "FULL" && jitter !== "NONE")
			findings.error(
				"value",
				fields.at("JitterStrategy"),
				`JitterStrategy is FULL or NONE, not ${JSON.stringify(jitter)}`,
			);
		return {
			errorEquals: readErrors(fields, findings),
			intervalMs: (seconds("IntervalSeconds") ?? 1) * 1000,
			maxAttempts: fields.number("MaxAttempts", { least: 0, most: retryLimitAttempts, whole: true }) ?? 3,
			backoffRate: fields.number("BackoffRate", { least: 1, most: 100, whole: false }) ?? 2,
			maxDelayMs: maxDelay && maxDelay * 1000,
			jitter: jitter === "FULL" ? "FULL" : "NONE",
		};
	});
}

function rules<Rule extends { errorEquals: readonly string[] }>(
	state: ObjectReader,
	key: "Catch" | "Retry",
	fields: readonly string[],
	findings: Findings,
	read: (fields: ObjectReader) => Rule,
): readonly Rule[] {
	const list = state.list(key, { least: 1, most: flowLimitRules }) ?? [];
	const whose = `a rule of ${key}`;
	let everything: number | undefined;
	return list.flatMap((value, i) => {
		const at: DocumentPath = [...state.at(key), i];
		if (!isJsonObject(value)) {
			findings.error("type", at, `${whose} is an object, not ${kindOf(value)}`);
			return [];
		}
		if (everything !== undefined)
			findings.warning("unreachable", at, `rule ${everything + 1} matches every error before this one is asked`);
		const rule = read(new ObjectReader(findings, at, value, whose, fields));
		if (rule.errorEquals.includes("States.ALL")) everything ??= i;
		return [rule];
	});
}

function readErrors(fields: ObjectReader, findings: Findings): readonly string[] {
	fields.require("ErrorEquals", 'a list of errors, ["States.ALL"] for every one');
	const names = fields.list("ErrorEquals", { least: 1, most: flowLimitRules }) ?? [];
	return names.flatMap((name: Json, i) => {
		const at = [...fields.at("ErrorEquals"), i];
		if (typeof name !== "string" || name === "") {
			findings.error("type", at, `an error's name is a string, not ${name === "" ? "empty" : kindOf(name)}`);
			return [];
		}
		const known = Object.hasOwn(flowErrors, name) || Object.hasOwn(errorWildcards, name);
		if (name.startsWith("States.") && !known)
			findings.error(
				"error-name",
				at,
				`there is no error ${name}: there are ${[...Object.keys(errorWildcards), ...Object.keys(flowErrors)].join(", ")}`,
			);
		return [name];
	});
}
