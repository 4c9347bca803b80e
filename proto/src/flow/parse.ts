/** A flow's document → its definition, with everything that is wrong with it. */
import type { FlowDefinition, FlowState, StateGraph } from "./definition.ts";
import { type DocumentPath, Findings, type Locate } from "./findings.ts";
import { flowErrors } from "./flow-failure.ts";
import {
	flowDefinitionLimitBytes,
	flowLimitNesting,
	flowLimitSeconds,
	flowLimitStates,
	stateNameLimitChars,
} from "./flow-limits.ts";
import { allStates, arrowsOf, endingStates, innerGraphs, reachableStates } from "./graph.ts";
import type { FlowReading } from "./issue.ts";
import { isJsonObject, isPrototypeKey, type Json, kindOf } from "./json.ts";
import { ObjectReader } from "./object-reader.ts";
import { sizeObstacle } from "./size.ts";
import { readState } from "./state-reader.ts";

/**
 * Never throws, whatever the document is. `locate`: where a part of it is in its text, for line and column of issues.
 * `base`: where the definition is within a larger document.
 */
export function parseFlow(document: unknown, locate?: Locate, base: DocumentPath = []): FlowReading<FlowDefinition> {
	const findings = new Findings(locate);
	const flow = readFlow(document as Json, base, findings);
	return { flow: findings.hasErrors ? undefined : flow, issues: findings.issues };
}

export function readFlow(document: Json, base: DocumentPath, findings: Findings): FlowDefinition | undefined {
	if (!isJsonObject(document)) {
		findings.error("type", base, `a definition is an object with StartAt and States, not ${kindOf(document)}`);
		return undefined;
	}
	const obstacle = sizeObstacle(document, flowDefinitionLimitBytes);
	if (obstacle !== undefined) {
		findings.error("limit", base, `a definition with ${obstacle} is not taken`);
		return undefined;
	}
	const fields = new ObjectReader(findings, base, document, "a definition", [
		"StartAt",
		"States",
		"Comment",
		"TimeoutSeconds",
	]);
	const timeout = fields.number("TimeoutSeconds", { least: 1, most: flowLimitSeconds, whole: true });
	const reader = new GraphReader(findings);
	const graph = reader.graph(fields, 0);
	const flow: FlowDefinition = { ...graph, comment: fields.string("Comment"), timeoutMs: timeout && timeout * 1000 };
	lintErrorNames(flow, reader.places, findings);
	return flow;
}

class GraphReader {
	/** Where each state is, whichever graph it is in: names are unique in the whole flow. */
	readonly places = new Map<string, DocumentPath>();
	readonly #findings: Findings;

	constructor(findings: Findings) {
		this.#findings = findings;
	}

	graph(fields: ObjectReader, depth: number): StateGraph {
		fields.require("StartAt", "the name of the first state");
		fields.require("States", "an object of states by their names");
		const startAt = fields.string("StartAt", { least: 1, most: stateNameLimitChars });
		const documents = fields.record("States") ?? {};
		const states = new Map<string, FlowState>();
		let complete = fields.has("States");
		if (complete && Object.keys(documents).length === 0)
			this.#findings.error("value", fields.at("States"), "a flow has at least one state");
		for (const [name, value] of Object.entries(documents)) {
			const at = [...fields.at("States"), name];
			this.#checkName(name, at);
			const state = readState(name, value, at, this.#findings, (inner, place, whose) =>
				this.#inner(inner, place, whose, depth + 1),
			);
			if (state) states.set(name, state);
			else complete = false;
		}
		const graph: StateGraph = { startAt: startAt ?? "", states };
		this.#checkArrows(graph, fields, documents, complete && startAt !== undefined);
		return graph;
	}

	#inner(value: Json, at: DocumentPath, whose: string, depth: number): StateGraph {
		const nothing: StateGraph = { startAt: "", states: new Map() };
		if (depth > flowLimitNesting) {
			this.#findings.error("limit", at, `more than ${flowLimitNesting} Parallels and Maps in one another`);
			return nothing;
		}
		if (!isJsonObject(value)) {
			this.#findings.error("type", at, `${whose} is an object with StartAt and States, not ${kindOf(value)}`);
			return nothing;
		}
		return this.graph(new ObjectReader(this.#findings, at, value, whose, ["StartAt", "States", "Comment"]), depth);
	}

	#checkName(name: string, at: DocumentPath): void {
		const findings = this.#findings;
		if (name.length === 0 || name.length > stateNameLimitChars)
			findings.error(
				"limit",
				at,
				`a state's name has 1 to ${stateNameLimitChars} characters, this one has ${name.length}`,
				"key",
			);
		if (isPrototypeKey(name) || /\p{Cc}/u.test(name))
			findings.error("value", at, `${JSON.stringify(name)} is not taken as a state's name`, "key");
		if (this.places.has(name))
			findings.error("value", at, `there is another state "${name}": names are unique, also across branches`, "key");
		this.places.set(name, at);
		if (this.places.size === flowLimitStates + 1)
			findings.error("limit", at, `a flow has at most ${flowLimitStates} states: use a Map for repetition`, "key");
	}

	/** `complete`: every state could be read, so what is not reached has no way to it. */
	#checkArrows(
		graph: StateGraph,
		fields: ObjectReader,
		documents: { readonly [name: string]: Json },
		complete: boolean,
	): void {
		const findings = this.#findings;
		const check = (name: string, at: DocumentPath): void => {
			if (name === "" || Object.hasOwn(documents, name)) return;
			const near = Object.keys(documents).find((other) => other.toLowerCase() === name.toLowerCase());
			const hint = near ? `did you mean "${near}"?` : this.places.has(name) ? "it is in another graph" : "";
			findings.error("missing-state", at, `there is no state "${name}"${near || hint ? `: ${hint}` : ""}`);
			complete = false;
		};
		check(graph.startAt, fields.at("StartAt"));
		for (const [name, state] of graph.states)
			for (const { to, at } of arrowsOf(state)) if (to !== undefined) check(to, [...fields.at("States"), name, ...at]);
		if (!complete) return;
		const reachable = reachableStates(graph);
		const ending = endingStates(graph);
		for (const name of graph.states.keys()) {
			const at = [...fields.at("States"), name];
			if (!reachable.has(name)) findings.error("unreachable", at, `nothing leads to the state "${name}"`, "key");
			else if (!ending.has(name))
				findings.warning(
					"no-end",
					at,
					`no way leads from "${name}" to an end: the run goes on until its deadline`,
					"key",
				);
		}
	}
}

/** Names in ErrorEquals that neither the service nor a Fail within the state raises. */
function lintErrorNames(flow: StateGraph, places: ReadonlyMap<string, DocumentPath>, findings: Findings): void {
	for (const state of allStates(flow)) {
		if (!("catch" in state)) continue;
		const raised = new Set(
			innerGraphs(state).flatMap((graph) =>
				[...allStates(graph)].flatMap((inner) => (inner.type === "Fail" ? [inner.error] : [])),
			),
		);
		for (const key of ["Retry", "Catch"] as const)
			for (const [i, rule] of (key === "Retry" ? state.retry : state.catch).entries())
				for (const name of rule.errorEquals) {
					if (name.startsWith("States.") || Object.hasOwn(flowErrors, name) || raised.has(name)) continue;
					const at = [...(places.get(state.name) ?? []), key, i, "ErrorEquals"];
					findings.warning("error-name", at, `nothing in "${state.name}" raises ${JSON.stringify(name)}`);
				}
	}
}
