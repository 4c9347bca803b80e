/** Runs: start, read, cancel, resume, repeat from where they failed, forget. The engine carries them on. */
import { createHash } from "node:crypto";
import { Fault, type FlowId, idFromBytes, newId, type RunId, type TaskId } from "@errand/proto";
import { type FlowDefinition, hidePrivateDefinition, hidePrivateState, type Json } from "@errand/proto/flow";
import type { RunDocument } from "@errand/proto/rest";
import { readDefinition } from "../flows/definition.ts";
import { checkInput } from "../flows/input.ts";
import type { ThreadEvent } from "../flows/machine/event.ts";
import { beginThread, type Thread } from "../flows/machine/thread.ts";
import type { Caller } from "../policy/caller.ts";
import type { Action } from "../policy/policy.ts";
import { insertAudit } from "../store/audit.ts";
import { findFlow } from "../store/flows.ts";
import { accountById } from "../store/identity.ts";
import { pendingActions } from "../store/run-actions.ts";
import { insertLog, type LogRow, readLog, visitsOf } from "../store/run-log.ts";
import { inactiveThreads, insertThread, rootOf, tellThread, unparkThreads } from "../store/run-threads.ts";
import {
	definitionOfRun,
	deleteRuns,
	findRun,
	insertRun,
	type NewRun,
	type RunRow,
	renewLogin,
	runsFor,
	updateRunNotes,
} from "../store/runs.ts";
import { flowThing, identityUrn, principalsOf, runThing } from "./flow-roles.ts";
import { findFlowFor, placeOf } from "./flows.ts";
import type { Operations } from "./operations.ts";
import { cursorOf, partsOf, toPage } from "./paging.ts";
import { permit } from "./permission.ts";
import type { Ports } from "./ports.ts";
import { type FoundRun, notesAfter, toDocument, toEntry, toVisit } from "./run-documents.ts";

type RunOperations = Pick<
	Operations,
	| "startRun"
	| "checkRun"
	| "getRun"
	| "listRuns"
	| "runDefinition"
	| "runLog"
	| "runVisits"
	| "cancelRun"
	| "resumeRun"
	| "rerunRun"
	| "releaseRun"
	| "updateRun"
	| "changeRuns"
>;

/** States that a run and all its branches may enter: far more than real ones have, and an end for loops that have none. */
const statesLimit = 1_000_000;
/** Visits in one reply: a Map of many items has more than anybody reads. */
const visitsShown = 5_000;

/** Where a run begins. */
interface FirstStep {
	readonly state: string;
	readonly document: Json;
	readonly definition: FlowDefinition;
	/** The first thread of the run that it repeats. */
	readonly source: string | null;
}

export function runOperations(ports: Ports): RunOperations {
	const { database, events } = ports;

	async function find(caller: Caller, action: Action, id: RunId): Promise<FoundRun> {
		const row = await findRun(database, id);
		const thing = row === undefined ? {} : runThing(row, caller, await principalsOf(database, caller));
		permit(caller, "run.read", thing, id);
		if (row === undefined) throw new Fault("RUN_NOT_FOUND", `Run ${id} could not be resolved`, { args: [id] });
		permit(caller, action, thing, id);
		return { row, thing };
	}

	async function reread(caller: Caller, id: RunId): Promise<RunDocument> {
		return toDocument(caller, await find(caller, "run.read", id));
	}

	async function contextOf(caller: Caller, flow: FlowId, run: RunId): Promise<Json> {
		const account = await accountById(database, caller.accountId);
		const urn = identityUrn(caller.accountId);
		const expiresAt = Number.isFinite(caller.tokenExpiresAtMs) ? Math.floor(caller.tokenExpiresAtMs / 1000) : null;
		return {
			flow_id: flow,
			run_id: run,
			username: caller.username,
			email: account?.email ?? "",
			user_id: urn,
			identities: [urn],
			token_info: { exp: expiresAt },
		};
	}

	/** Recorded, and begun by whichever process hears of it first. A repeat changes nothing. */
	async function begin(run: NewRun, first: FirstStep): Promise<void> {
		const id = newId<TaskId>();
		const { state, document, definition, source } = first;
		const fresh = await database.transaction(async (session) => {
			const startedAt = await insertRun(session, run);
			if (startedAt === undefined) return false;
			const { timeoutMs } = definition;
			const deadlineMs = timeoutMs === undefined ? null : startedAt.getTime() + timeoutMs;
			const thread = beginThread({ state, document, label: "", budget: statesLimit, deadlineMs });
			await insertThread(session, run.id, { id, parent: null, place: [], record: thread, source });
			await insertLog(session, run.id, [
				{ code: "FlowStarted", description: "The run began", details: { input: hidePrivateState(document) } },
			]);
			return true;
		});
		if (fresh) events.emit("run:told", { thread: id });
	}

	async function tell(threads: readonly string[], event: ThreadEvent): Promise<void> {
		for (const thread of threads) {
			await tellThread(database, thread, event);
			events.emit("run:told", { thread });
		}
	}

	async function cancel(id: RunId, by: string): Promise<void> {
		const root = await rootOf(database, id);
		if (root === undefined || root.succeeded !== null) return;
		await unparkThreads(database, id);
		await tell([root.id], { kind: "cancel", reason: `The run was cancelled by ${by}` });
	}

	return {
		async checkRun(caller, flow, input) {
			const { row, thing } = await findFlowFor(ports, caller, flow);
			permit(caller, "flow.start", thing, flow);
			checkInput(row.input_schema, input.body);
		},

		async startRun(caller, flow, input, key) {
			const { row, thing } = await findFlowFor(ports, caller, flow);
			permit(caller, "flow.start", thing, flow);
			const { definition } = readDefinition(row.definition);
			checkInput(row.input_schema, input.body);
			const id = key === undefined ? newId<RunId>() : derivedId(`run\0${caller.accountId}\0${flow}\0${key}`);
			const document = input.body as Json;
			const run: NewRun = {
				id,
				flow,
				owner: caller.accountId,
				flowTitle: row.title,
				definition: row.definition,
				inputSchema: row.input_schema,
				context: await contextOf(caller, flow, id),
				login: caller.login,
				label: input.label ?? "",
				tags: input.tags,
				managers: input.run_managers,
				monitors: input.run_monitors,
				details: {
					code: "FlowStarting",
					description: "The run is starting",
					details: { input: hidePrivateState(document) },
				},
				rerunOf: null,
			};
			await begin(run, { state: definition.startAt, document, definition, source: null });
			return reread(caller, id);
		},

		async rerunRun(caller, id, key) {
			const { row } = await find(caller, "run.rerun", id);
			if (row.status !== "FAILED")
				throw new Fault(
					"RESOURCE_CONFLICT",
					`run ${id} is ${row.status}: only one that has failed or was cancelled can be repeated from there`,
					{ args: [id, row.status] },
				);
			const flow = await findFlow(database, row.flow_id);
			const thing = flow === undefined ? {} : flowThing(flow, await principalsOf(database, caller));
			permit(caller, "flow.start", thing, row.flow_id);
			const root = await rootOf(database, id);
			const script = await definitionOfRun(database, id);
			if (root === undefined || script === undefined)
				throw new Fault("RUN_NOT_FOUND", `Run ${id} could not be resolved`, { args: [id] });
			const { definition } = readDefinition(script.definition);
			const earlier = root.record as Thread;
			const state = earlier.state === "" ? definition.startAt : earlier.state;
			if (definition.states.get(state)?.type === "Fail")
				throw new Fault(
					"RESOURCE_CONFLICT",
					`run ${id} ended in its Fail state ${state}, which would end it again; start the flow anew`,
					{ args: [id, state] },
				);
			const again = key === undefined ? newId<RunId>() : derivedId(`rerun\0${caller.accountId}\0${id}\0${key}`);
			const run: NewRun = {
				id: again,
				flow: row.flow_id,
				owner: caller.accountId,
				flowTitle: row.flow_title,
				definition: script.definition,
				inputSchema: script.input_schema,
				context: await contextOf(caller, row.flow_id, again),
				login: caller.login,
				label: row.label,
				tags: row.tags,
				managers: row.managers,
				monitors: row.monitors,
				details: {
					code: "FlowStarting",
					description: `The run begins again with state ${state}, where run ${id} ended`,
					details: {},
				},
				rerunOf: id,
			};
			await begin(run, { state, document: earlier.document, definition, source: root.id });
			return reread(caller, again);
		},

		getRun: reread,

		async listRuns(caller, filter) {
			permit(caller, "run.list");
			const principals = await principalsOf(database, caller);
			const [before] = partsOf(filter.cursor, 1);
			const rows = await runsFor(
				database,
				{ account: caller.accountId, principals },
				{
					before: placeOf(before),
					flows: filter.flows,
					statuses: filter.statuses,
					text: filter.text,
					limit: filter.limit + 1,
				},
			);
			const document = (row: RunRow) => toDocument(caller, { row, thing: runThing(row, caller, principals) });
			return toPage(rows, filter.limit, document, (row) => cursorOf(String(row.seq)));
		},

		async runDefinition(caller, id) {
			const { row, thing } = await find(caller, "run.read", id);
			const script = await definitionOfRun(database, id);
			if (script === undefined) throw new Fault("RUN_NOT_FOUND", `Run ${id} could not be resolved`, { args: [id] });
			const whole = thing.roles?.has("flow-administrator") === true;
			const definition = whole ? script.definition : hidePrivateDefinition(script.definition as Json);
			return { flow_id: row.flow_id, definition, input_schema: script.input_schema } as never;
		},

		async runLog(caller, id, { reverse, ...request }) {
			await find(caller, "run.read", id);
			const [after] = partsOf(request.cursor, 1);
			const rows = await readLog(database, id, { after: placeOf(after), reverse, limit: request.limit + 1 });
			const cursor = (row: LogRow): string => cursorOf(String(row.id));
			const last = rows.slice(0, request.limit).at(-1);
			return {
				...toPage(rows, request.limit, toEntry, cursor),
				end_cursor: last === undefined ? null : cursor(last),
			};
		},

		async runVisits(caller, id) {
			await find(caller, "run.read", id);
			const rows = await visitsOf(database, id, visitsShown + 1);
			return { states: rows.slice(0, visitsShown).map(toVisit), truncated: rows.length > visitsShown };
		},

		async cancelRun(caller, id) {
			await find(caller, "run.cancel", id);
			await cancel(id, caller.username);
			await insertAudit(database, caller, "run.cancel", id);
			return reread(caller, id);
		},

		async resumeRun(caller, id) {
			const { row } = await find(caller, "run.resume", id);
			if (row.owner_id === caller.accountId && caller.login !== undefined) await renewLogin(database, id, caller.login);
			const threads = await inactiveThreads(database, id);
			await unparkThreads(database, id);
			await tell(threads, { kind: "resume" });
			return reread(caller, id);
		},

		async releaseRun(caller, id) {
			const found = await find(caller, "run.release", id);
			if (found.row.completed_at === null)
				throw new Fault("RESOURCE_CONFLICT", `run ${id} is under way; cancel it before you delete it`, { args: [id] });
			if (await pendingActions(database, id))
				throw new Fault(
					"RESOURCE_CONFLICT",
					`run ${id} has an action that has not heard yet that it is to end; delete it in a minute`,
					{ args: [id] },
				);
			await deleteRuns(database, [id]);
			await insertAudit(database, caller, "run.release", id, { flow: found.row.flow_title });
			return toDocument(caller, found);
		},

		async updateRun(caller, id, change) {
			const { row } = await find(caller, "run.change", id);
			await updateRunNotes(database, id, {
				label: change.label ?? row.label,
				tags: change.tags ?? row.tags,
				managers: change.run_managers ?? row.managers,
				monitors: change.run_monitors ?? row.monitors,
			});
			return reread(caller, id);
		},

		async changeRuns(caller, batch) {
			const ids = batch.filters.run_ids.map((id) => id.toLowerCase() as RunId);
			// All may be changed, or none is.
			const rows = await Promise.all(ids.map((id) => find(caller, "run.change", id)));
			for (const { row } of rows) {
				await updateRunNotes(database, row.id, notesAfter(row, batch));
				if (batch.set?.status === "cancel") await cancel(row.id, caller.username);
			}
		},
	};
}

function derivedId(text: string): RunId {
	const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
	bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
	bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
	return idFromBytes<RunId>(bytes);
}
