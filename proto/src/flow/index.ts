/** The flow language: definitions, their paths, expressions and conditions, as pure functions. */

export { type ComparisonName, chooseNext, comparisons, conditionHolds } from "./comparison.ts";
export * from "./definition.ts";
export type { StateMark, StateMarks } from "./drawing/mark.ts";
export { drawSvg } from "./drawing/svg.ts";
export { drawTerminal } from "./drawing/terminal.ts";
export { EvaluationBudget } from "./expression/budget.ts";
export { evaluateExpression } from "./expression/evaluate.ts";
export { functions } from "./expression/functions.ts";
export { methods } from "./expression/methods.ts";
export { parseExpression } from "./expression/parse.ts";
export * from "./expression/syntax.ts";
export { ExpressionFault } from "./expression/tokens.ts";
export * from "./flow-failure.ts";
export * from "./flow-limits.ts";
export { type Arrow, allStates, arrowsOf, innerGraphs } from "./graph.ts";
export { parseInputSchema, schemaFormats } from "./input-schema.ts";
export * from "./issue.ts";
export * from "./json.ts";
export { parseFlow } from "./parse.ts";
export * from "./provider-url.ts";
export * from "./reference-path.ts";
export * from "./scope.ts";
export { sizeObstacle } from "./size.ts";
export { stateFields } from "./state-reader.ts";
export {
	evaluateTemplate,
	hidePrivateDefinition,
	hidePrivateParameters,
	hidePrivateState,
	resolveInput,
} from "./template.ts";
export { parseTimestamp } from "./timestamp.ts";
export { retryDelayMs, ruleFor, waitEndMs } from "./wait.ts";
