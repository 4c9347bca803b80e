/** Sizes of flows, each with its unit and its reason. */

/** A definition as JSON: it is copied into every run, and read at every transition. */
export const flowDefinitionLimitBytes = 256 * 1024;

/** A run's state as JSON: it is written at every transition. The field's service has 200 KB. Larger data go by reference. */
export const flowStateLimitBytes = 256 * 1024;

/** States of one flow, those in branches included: a drawing of more is unreadable, and a Map does repetition. */
export const flowLimitStates = 1_000;

/** Parallel and Map in one another: a run is a tree of so many levels. */
export const flowLimitNesting = 5;

/** Branches of one Parallel; a Map takes more items than that. */
export const flowLimitBranches = 100;

/** Items of one Map: each is a row with a state of its own. More items go in batches, one task group for each. */
export const flowLimitItems = 10_000;

/** A state's name, as in the field's service. */
export const stateNameLimitChars = 128;

/** Rules of one Choice, Catch or Retry. */
export const flowLimitRules = 100;

/** Lists and objects in one another, in a definition and in a state: what walks over them calls itself. */
export const flowLimitDepth = 64;

/** Text of one expression. */
export const expressionLimitChars = 8 * 1024;

/** Operations in one another in one expression: what evaluates them calls itself. */
export const expressionLimitDepth = 200;

/** Operations of all expressions of one state: some 10 ms. */
export const expressionLimitSteps = 100_000;

/** Characters and list places that all expressions of one state may make on the way. */
export const expressionLimitSize = 1_000_000;

/** Text of one path. */
export const pathLimitChars = 1_024;

/** Text of a `StringMatches`: looking takes as long as the product of it and the value. */
export const patternLimitChars = 256;

/** A run lives a year at most, as in the field's service: no wait or deadline is longer. */
export const flowLimitSeconds = 365 * 24 * 3600;

/** An action without `WaitTime`, as in the field's service: too short for a batch queue. */
export const defaultWaitTimeSeconds = 300;

/** Repeats of one state. */
export const retryLimitAttempts = 1_000;

/** An input schema as JSON. */
export const inputSchemaLimitBytes = 64 * 1024;
