/** One flow and one run, whoever asks: the part of the fake operations that flows are. */
import { type FlowId, newId, type RunId } from "@errand/proto";
import type { FlowDocument, RunDocument } from "@errand/proto/rest";
import type { Operations } from "../operations/operations.ts";

const now = "2026-01-31T12:00:00.000Z";
const owner = "urn:globus:auth:identity:00000000-0000-4000-8000-000000000001";
const definition = { StartAt: "Only", States: { Only: { Type: "Pass", End: true } } };

const flow: FlowDocument = {
	id: newId<FlowId>(),
	title: "flow",
	subtitle: "",
	description: "",
	keywords: [],
	definition,
	input_schema: {},
	flow_owner: owner,
	created_by: owner,
	flow_viewers: [],
	flow_starters: [],
	flow_administrators: [],
	run_managers: [],
	run_monitors: [],
	created_at: now,
	updated_at: now,
	user_role: "flow_owner",
	api_version: "1.0",
	synchronous: false,
	log_supported: true,
	types: ["Action"],
};

const run: RunDocument = {
	run_id: newId<RunId>(),
	action_id: newId<RunId>(),
	flow_id: flow.id,
	flow_title: flow.title,
	flow_last_updated: now,
	start_time: now,
	completion_time: null,
	status: "ACTIVE",
	display_status: "ACTIVE",
	details: { code: "FlowStarting", description: "The run is starting", details: {} },
	run_owner: owner,
	created_by: owner,
	run_managers: [],
	run_monitors: [],
	manage_by: [],
	monitor_by: [],
	user_role: "run_owner",
	label: "",
	tags: [],
	rerun_of: null,
};

type FlowOperations = Pick<
	Operations,
	| Extract<keyof Operations, `${string}Flow` | `${string}Flows` | `${string}Run` | `${string}Runs`>
	| "runDefinition"
	| "runLog"
	| "runVisits"
>;

export function fakeFlowOperations(called: (name: string, ...args: unknown[]) => void): FlowOperations {
	const told = <Reply>(name: string, reply: Reply) => {
		return async (): Promise<Reply> => {
			called(name);
			return reply;
		};
	};
	return {
		createFlow: told("createFlow", flow),
		getFlow: told("getFlow", flow),
		listFlows: told("listFlows", { items: [flow], next_cursor: null }),
		updateFlow: told("updateFlow", flow),
		deleteFlow: told("deleteFlow", flow),
		validateFlow: told("validateFlow", { scopes: {}, warnings: [] }),
		checkRun: told("checkRun", undefined),
		startRun: told("startRun", run),
		getRun: told("getRun", run),
		listRuns: told("listRuns", { items: [run], next_cursor: "more" }),
		runDefinition: told("runDefinition", { flow_id: flow.id, definition, input_schema: {} }),
		runLog: told("runLog", {
			items: [{ time: now, code: "FlowStarted", description: "The run began", details: {} }],
			next_cursor: null,
			end_cursor: "end",
		}),
		runVisits: told("runVisits", { states: [], truncated: false }),
		cancelRun: told("cancelRun", run),
		resumeRun: told("resumeRun", run),
		rerunRun: told("rerunRun", run),
		releaseRun: told("releaseRun", run),
		updateRun: told("updateRun", run),
		changeRuns: told("changeRuns", undefined),
	};
}
