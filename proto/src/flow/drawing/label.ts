/** What is written on boxes and lines of a drawing. */
import type { Condition, FlowState } from "../definition.ts";
import type { Arrow } from "../graph.ts";
import type { Json } from "../json.ts";
import { formatPath, type ReferencePath } from "../reference-path.ts";

/** Words of comparisons as signs; others are written as they are. */
const signs: readonly (readonly [RegExp, string])[] = [
	[/LessThanEquals$/, "≤"],
	[/GreaterThanEquals$/, "≥"],
	[/LessThan$/, "<"],
	[/GreaterThan$/, ">"],
	[/Equals$/, "="],
	[/Matches$/, "~"],
];

/** What takes a line: a rule in short, the errors that are caught, or nothing for the plain way on. */
export function arrowLabel(state: FlowState, { kind, rule }: Arrow): string {
	if (kind === "default") return "otherwise";
	if (kind === "choice" && state.type === "Choice") {
		const condition = state.choices[rule]?.condition;
		return condition ? conditionText(condition) : "";
	}
	if (kind !== "catch" || !("catch" in state)) return "";
	const errors = state.catch[rule]?.errorEquals ?? [];
	return errors.includes("States.ALL") ? "on any error" : `on ${errors.join(", ")}`;
}

function conditionText(condition: Condition): string {
	switch (condition.kind) {
		case "not":
			return `not (${conditionText(condition.condition)})`;
		case "and":
		case "or":
			return condition.conditions.map(conditionText).join(` ${condition.kind} `);
		case "comparison": {
			const { operator, operand } = condition;
			const variable = pathText(condition.variable);
			if (operator.startsWith("Is")) {
				const not = "value" in operand && operand.value === false ? "not " : "";
				return `${variable} is ${not}${operator.slice(2).toLowerCase()}`;
			}
			const sign = signs.find(([ending]) => ending.test(operator))?.[1] ?? operator;
			return `${variable} ${sign} ${"path" in operand ? pathText(operand.path) : valueText(operand.value)}`;
		}
	}
}

/** Its last key: the whole is in the definition. */
function pathText(path: ReferencePath): string {
	const last = path.at(-1);
	return typeof last === "string" ? last : formatPath(path);
}

function valueText(value: Json): string {
	return JSON.stringify(value);
}

/** What a box says besides the name. */
export function caption(state: FlowState): string {
	switch (state.type) {
		case "Action":
			return state.actionUrl.replace(/^https?:\/\//, "").replace(/\/$/, "");
		case "Map":
			return state.maxConcurrency > 0 ? `for each item, ${state.maxConcurrency} at a time` : "for each item";
		case "Parallel":
			return `${state.branches.length} branches`;
		case "Wait":
			return state.until.kind === "seconds" ? `waits ${state.until.seconds} s` : "waits";
		case "Fail":
			return `fails: ${state.error}`;
		case "Succeed":
			return "succeeds";
		case "ExpressionEval":
			return "computes";
		case "Pass":
			return "passes on";
		case "Choice":
			return "chooses";
	}
}

/** At most so many characters, cut at the end. */
export function shortened(text: string, most: number): string {
	const letters = [...text];
	return letters.length <= most ? text : `${letters.slice(0, Math.max(1, most - 1)).join("")}…`;
}
