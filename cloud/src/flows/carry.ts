/** Carries one thread on: what it was told and what the machine makes of it are stored together, or not at all. */
import type { RunId } from "@errand/proto";
import { type FlowDefinition, hidePrivateState, type Json, type JsonObject } from "@errand/proto/flow";
import type { Database, Session } from "../store/pool.ts";
import { cancelAction, insertActions, resumeAction } from "../store/run-actions.ts";
import { endVisit, insertLog, insertVisit, type LogEntry } from "../store/run-log.ts";
import {
	endRun,
	insertEndedThread,
	insertThread,
	lastBranchOf,
	outputsOf,
	putDownThread,
	settleActivity,
	type ThreadRow,
	takeEvents,
	takeUpThread,
	tellBranches,
	tellThread,
} from "../store/run-threads.ts";
import type { Effect, ThreadEvent } from "./machine/event.ts";
import { step } from "./machine/step.ts";
import {
	beginThread,
	dueMs,
	graphAt,
	type Inactivity,
	type Place,
	type Situation,
	type Thread,
} from "./machine/thread.ts";
import { branchIdOf, requestIdOf } from "./thread-ids.ts";

/** What every thread of a run goes by. */
export interface Script {
	readonly definition: FlowDefinition;
	readonly context: JsonObject;
}

/** What is to be done after the commit; whatever is lost of it with the process is found again by the sweep. */
export interface Consequences {
	/** Threads that were told something or begun. */
	readonly threads: readonly string[];
	/** Requests whose provider is to be asked now. */
	readonly requests: readonly string[];
	/** When this thread's time comes, by the database's clock, and what that clock said. */
	readonly due: { readonly atMs: number; readonly nowMs: number } | undefined;
}

/** Events in one transaction: the rest comes in the next. */
const eventsAtOnce = 1_000;

/** `patient`: somebody told this thread something just now. Undefined: there was nothing to carry on. */
export function carryOn(
	database: Database,
	scriptOf: (session: Session, run: RunId) => Promise<Script>,
	id: string,
	patient: boolean,
): Promise<Consequences | undefined> {
	return database.transaction(async (session) => {
		const row = await takeUpThread(session, id, patient);
		if (row === undefined) return undefined;
		const told = (await takeEvents(session, id)) as ThreadEvent[];
		if (row.succeeded !== null) return undefined;
		const { definition, context } = await scriptOf(session, row.run_id);
		const graph = graphAt(definition, row.place as Place);
		const situation: Situation = { graph, context, seed: id, nowMs: row.now.getTime() };
		let thread = row.record as Thread;
		const carrying = new Carrying(session, row);
		const events: ThreadEvent[] = [...told, { kind: "look" }];
		for (let count = 0; events.length > 0 && count < eventsAtOnce; count++) {
			const stepped = step(situation, thread, events.shift() as ThreadEvent);
			thread = stepped.thread;
			for (const effect of stepped.effects) {
				const answer = await carrying.carryOut(effect);
				if (answer !== undefined) events.unshift(answer);
			}
		}
		if (events.length > 0) carrying.threads.push(id);
		for (const event of events) await tellThread(session, id, event);
		const due = carrying.ended === null ? dueMs(graph, thread) : undefined;
		await carrying.putDown(thread, due ?? null);
		return {
			threads: carrying.threads,
			requests: carrying.requests,
			due: due === undefined ? undefined : { atMs: due, nowMs: situation.nowMs },
		};
	});
}

/** The effects of one carrying-on, in its transaction. */
class Carrying {
	readonly threads: string[] = [];
	readonly requests: string[] = [];
	ended: { succeeded: boolean; output: Json } | null = null;
	readonly #session: Session;
	readonly #row: ThreadRow;
	readonly #log: LogEntry[] = [];
	#inactive: Inactivity | null | undefined;

	constructor(session: Session, row: ThreadRow) {
		this.#session = session;
		this.#row = row;
	}

	/** An event that the effect answers with at once. */
	async carryOut(effect: Effect): Promise<ThreadEvent | undefined> {
		const [session, { id, run_id: run }] = [this.#session, this.#row];
		switch (effect.do) {
			case "log":
				this.#log.push(effect);
				return;
			case "enter":
				await insertVisit(session, run, id, effect);
				return;
			case "leave":
				await endVisit(session, id, effect);
				return;
			case "run-action": {
				const request = requestIdOf(id, effect.turn);
				await insertActions(session, run, id, [{ request, turn: effect.turn, url: effect.url, body: effect.body }]);
				this.requests.push(request);
				return;
			}
			case "cancel-action":
				await cancelAction(session, requestIdOf(id, effect.turn));
				this.requests.push(requestIdOf(id, effect.turn));
				return;
			case "resume-action":
				await resumeAction(session, requestIdOf(id, effect.turn));
				this.requests.push(requestIdOf(id, effect.turn));
				return;
			case "branch":
				return this.#beginBranch(effect);
			case "cancel-branches":
				this.threads.push(
					...(await tellBranches(session, id, effect.turn, {
						kind: "cancel",
						reason: effect.reason,
					} satisfies ThreadEvent)),
				);
				return;
			case "collect":
				return { kind: "outputs", turn: effect.turn, outputs: await this.#collect(effect.turn, effect.total) };
			case "inactive":
				this.#inactive = effect.why;
				return;
			case "end":
				return this.#end(effect);
		}
	}

	async putDown(thread: Thread, due: number | null): Promise<void> {
		const [session, { id, run_id: run }] = [this.#session, this.#row];
		const { waits } = thread;
		const inactive = waits.for === "action" ? waits.inactive : null;
		await putDownThread(session, id, { record: thread, dueMs: due, inactive, ended: this.ended });
		if (this.#log.length > 0) await insertLog(session, run, this.#log);
		if (this.#inactive !== undefined) await settleActivity(session, run);
	}

	async #beginBranch(effect: Extract<Effect, { do: "branch" }>): Promise<ThreadEvent | undefined> {
		const [session, row] = [this.#session, this.#row];
		const { of: state, nth, turn, document, label, budget } = effect;
		const graph = state.type === "Map" ? state.processor : state.branches[nth];
		if (graph === undefined) throw new RangeError(`state ${state.name} has no branch ${nth}`);
		const source = row.source_id === null || turn !== 1 ? undefined : await lastBranchOf(session, row.source_id, nth);
		const earlier = source?.record as Thread | undefined;
		const again = earlier !== undefined && earlier.state !== "";
		const begun = beginThread({
			state: again ? earlier.state : graph.startAt,
			document: again ? earlier.document : document,
			label,
			budget,
			deadlineMs: null,
		});
		const thread = {
			id: branchIdOf(row.id, turn, nth),
			parent: { id: row.id, turn, nth },
			place: [...(row.place as Place), [state.name, state.type === "Map" ? 0 : nth]] satisfies Place,
			record: source?.succeeded === true ? { ...earlier, waits: { for: "nothing" } } : begun,
			source: source?.id ?? null,
		};
		if (source?.succeeded === true) {
			await insertEndedThread(session, row.run_id, thread, source.output);
			return { kind: "branch", turn, nth, trouble: null };
		}
		await insertThread(session, row.run_id, thread);
		this.threads.push(thread.id);
		return undefined;
	}

	async #collect(turn: number, total: number): Promise<Json[]> {
		const outputs: Json[] = Array.from({ length: total }, () => null);
		for (const { nth, succeeded, output } of await outputsOf(this.#session, this.#row.id, turn))
			if (succeeded === true) outputs[nth] = output as Json;
		return outputs;
	}

	async #end({ outcome, output, trouble }: Extract<Effect, { do: "end" }>): Promise<undefined> {
		const [session, { run_id: run, parent_id: parent, parent_turn: turn, nth }] = [this.#session, this.#row];
		this.ended = { succeeded: outcome === "succeeded", output };
		if (parent !== null && turn !== null && nth !== null) {
			await tellThread(session, parent, { kind: "branch", turn, nth, trouble } satisfies ThreadEvent);
			this.threads.push(parent);
			return;
		}
		const details = endOfRun(outcome, output, trouble);
		this.#log.push(details);
		await endRun(session, run, outcome === "succeeded" ? "SUCCEEDED" : "FAILED", details);
	}
}

function endOfRun(
	outcome: "succeeded" | "failed" | "cancelled",
	output: Json,
	trouble: { error: string; cause: string; details?: Json } | null,
): LogEntry {
	if (outcome === "succeeded")
		return {
			code: "FlowSucceeded",
			description: "The run completed successfully",
			details: { output: hidePrivateState(output) },
		};
	if (outcome === "cancelled")
		return { code: "FlowCanceled", description: trouble?.cause ?? "The run was cancelled", details: {} };
	return {
		code: "FlowFailed",
		description: `${trouble?.error}: ${trouble?.cause}`,
		details: {
			error: trouble?.error,
			cause: trouble?.cause,
			...(trouble?.details !== undefined && { details: hidePrivateState(trouble.details) }),
		},
	};
}
