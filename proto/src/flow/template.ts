/** `Parameters`: a value with paths and expressions in it → the value for a run's state. */
import type { InputSource, Template } from "./definition.ts";
import { EvaluationBudget } from "./expression/budget.ts";
import { evaluateExpression } from "./expression/evaluate.ts";
import { FlowFailure } from "./flow-failure.ts";
import { flowStateLimitBytes } from "./flow-limits.ts";
import { isJsonList, isJsonObject, type Json } from "./json.ts";
import { requirePath } from "./reference-path.ts";
import type { Scope } from "./scope.ts";
import { sizeObstacle } from "./size.ts";

/** Throws a {@link FlowFailure}: a path that leads nowhere, an expression that fails, a value that is too large. */
export function resolveInput(input: InputSource, scope: Scope): Json {
	return input.kind === "path" ? requirePath(input.path, scope) : evaluateTemplate(input.template, scope);
}

/** All expressions of the template share one budget. Throws as {@link resolveInput}. */
export function evaluateTemplate(
	template: Template,
	scope: Scope,
	budget: EvaluationBudget = new EvaluationBudget(),
): Json {
	const value = fill(template, scope, budget);
	const obstacle = sizeObstacle(value, flowStateLimitBytes);
	if (obstacle === undefined) return value;
	throw new FlowFailure("States.DataLimitExceeded", `the value has ${obstacle}: keep large values in files`);
}

function fill(template: Template, scope: Scope, budget: EvaluationBudget): Json {
	switch (template.kind) {
		case "constant":
			return template.value;
		case "path":
			return requirePath(template.path, scope);
		case "expression":
			return evaluateExpression(template.expression, scope, budget);
		case "list":
			return template.items.map((item) => fill(item, scope, budget));
		case "object":
			return Object.fromEntries(template.entries.map(([key, item]) => [key, fill(item, scope, budget)]));
	}
}

/** What stands in the place of a private value. */
const hidden = "**********";

/** A value that {@link evaluateTemplate} made, as others than the flow's administrators see it. */
export function hidePrivateParameters(input: InputSource, value: Json): Json {
	return input.kind === "path" ? hidePrivateState(value) : hidePrivateState(hide(input.template, value));
}

function hide(template: Template, value: Json): Json {
	if (template.kind === "list" && isJsonList(value))
		return value.map((item, i) => (template.items[i] ? hide(template.items[i], item) : item));
	if (template.kind !== "object" || !isJsonObject(value)) return value;
	const parts = new Map(template.entries);
	const shown = (key: string, item: Json): Json => {
		const part = parts.get(key);
		return template.privateKeys.includes(key) ? hidden : part ? hide(part, item) : item;
	};
	return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shown(key, item)]));
}

/** A run's state without what begins with `_private`, and without the tokens of roles, at any depth. */
export function hidePrivateState(state: Json): Json {
	if (isJsonList(state)) return state.map(hidePrivateState);
	if (!isJsonObject(state)) return state;
	return Object.fromEntries(
		Object.entries(state)
			.filter(([key]) => !key.startsWith("_private") && key !== "_tokens")
			.map(([key, value]) => [key, hidePrivateState(value)]),
	);
}

/** A definition's document as those see it who may not change the flow: private constants, paths and expressions are stars. */
export function hidePrivateDefinition(document: Json): Json {
	if (isJsonList(document)) return document.map(hidePrivateDefinition);
	if (!isJsonObject(document)) return document;
	const names = document[privateParametersKey];
	const isPrivate = (key: string): boolean =>
		isJsonList(names) && (names.includes(key) || names.includes(key.replace(/\.[$=]$/, "")));
	return Object.fromEntries(
		Object.entries(document).map(([key, value]) => [key, isPrivate(key) ? hidden : hidePrivateDefinition(value)]),
	);
}

/** The key beside parameters that names those of them that are not shown. */
export const privateParametersKey = "__Private_Parameters";
