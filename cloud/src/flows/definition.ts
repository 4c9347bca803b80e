/** Definitions and input schemas at the door: read, or refused with all that is wrong with them. */
import { Fault } from "@errand/proto";
import { allStates, type FlowDefinition, type FlowIssue, inputSchemaLimitBytes, parseFlow } from "@errand/proto/flow";
import { schemaObstacle } from "./input.ts";

/** Issues in one message; the rest is told by `errand flow lint`. */
const issuesShown = 10;

/** Throws FLOW_INVALID with every error and its place. */
export function readDefinition(document: unknown): { definition: FlowDefinition; warnings: readonly FlowIssue[] } {
	const { flow, issues } = parseFlow(document);
	const errors = issues.filter(({ severity }) => severity === "error");
	if (flow !== undefined) return { definition: flow, warnings: issues };
	const said = errors
		.slice(0, issuesShown)
		.map(({ path, message }) => `${path === "" ? "definition" : path}: ${message}`);
	const more = errors.length > issuesShown ? ` (and ${errors.length - issuesShown} more)` : "";
	throw new Fault("FLOW_INVALID", `The flow's definition does not fit: ${said.join("; ")}${more}.`, {
		args: errors.slice(0, issuesShown).map(({ path }) => path),
	});
}

/**
 * Throws FLOW_INVALID for what the language has and this service cannot do: `obstacle` says why a provider's address
 * cannot be asked.
 */
export function checkRunnable(definition: FlowDefinition, obstacle: (actionUrl: string) => string | undefined): void {
	const said: string[] = [];
	for (const state of allStates(definition)) {
		if (state.type !== "Action") continue;
		const why = obstacle(state.actionUrl);
		if (why !== undefined) said.push(`state ${state.name}: ${why}`);
		if (state.runAs !== "User")
			said.push(`state ${state.name}: RunAs ${state.runAs} is not taken here; actions run as whoever starts the run`);
	}
	if (said.length === 0) return;
	throw new Fault("FLOW_INVALID", `This service cannot run the flow: ${said.slice(0, issuesShown).join("; ")}.`);
}

export function checkInputSchema(schema: unknown): void {
	const sizeBytes = Buffer.byteLength(JSON.stringify(schema));
	const why =
		sizeBytes > inputSchemaLimitBytes
			? `it has ${sizeBytes} bytes; ${inputSchemaLimitBytes} are allowed`
			: schemaObstacle(schema);
	if (why !== undefined) throw new Fault("FLOW_INVALID", `The flow's input schema does not fit: ${why}.`);
}
