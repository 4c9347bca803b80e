/** The flow language: definitions, their paths, expressions and conditions, as pure functions. */
export * from "./definition.ts";
export * from "./expression/syntax.ts";
export * from "./flow-failure.ts";
export * from "./issue.ts";
export * from "./json.ts";
export * from "./reference-path.ts";
export * from "./scope.ts";
