/**
 * One step of a thread: told something, it goes as far as it can without being told more. Pure: the thread as it is
 * afterwards, and what is to be done; whoever carries that out stores both at once, or neither.
 */
import { isJsonObject, type Json } from "@errand/proto/flow";
import { branchEnded, join } from "./branches.ts";
import type { Effect, ThreadEvent } from "./event.ts";
import { Move } from "./move.ts";
import { type Inactivity, type Situation, stateDeadlineMs, type Thread } from "./thread.ts";

export interface Stepped {
	readonly thread: Thread;
	readonly effects: readonly Effect[];
}

export function step(situation: Situation, thread: Thread, event: ThreadEvent): Stepped {
	const move = new Move(situation, thread);
	react(move, event);
	return { thread: move.thread, effects: move.effects };
}

type Reaction<Kind extends ThreadEvent["kind"]> = (move: Move, event: Extract<ThreadEvent, { kind: Kind }>) => void;

const reactions: { readonly [Kind in ThreadEvent["kind"]]: Reaction<Kind> } = {
	look,
	cancel: (move, { reason }) => move.stop("cancelled", { error: "FlowCanceled", cause: reason }),
	resume(move) {
		const { waits, turn } = move.thread;
		if (waits.for === "action" && waits.inactive !== null) move.effects.push({ do: "resume-action", turn });
	},
	refused(move, { cause }) {
		if (move.thread.waits.for !== "action") return;
		move.setInactive(null);
		move.fail({ error: "ActionUnableToRun", cause });
	},
	action: actionTold,
	branch: (move, { nth, trouble }) => move.attempt(() => branchEnded(move, nth, trouble)),
	outputs: (move, { outputs }) => move.attempt(() => join(move, outputs)),
};

function react(move: Move, event: ThreadEvent): void {
	const { waits, turn } = move.thread;
	if (waits.for === "nothing") return;
	if ("turn" in event && event.turn !== turn) return;
	(reactions[event.kind] as Reaction<ThreadEvent["kind"]>)(move, event);
}

/** What its time has come for, the widest first. */
function look(move: Move): void {
	const { thread, situation } = move;
	const { waits } = thread;
	const { nowMs } = situation;
	const stateDeadline = stateDeadlineMs(situation.graph, thread);
	if (thread.deadlineMs !== null && nowMs >= thread.deadlineMs)
		move.stop("failed", { error: "States.Timeout", cause: "the run did not end within its TimeoutSeconds" });
	else if (waits.for === "entry") move.goTo(waits.state);
	else if (stateDeadline !== null && nowMs >= stateDeadline)
		outOfTime(move, "States.Timeout", `state ${thread.state} did not end within its TimeoutSeconds`);
	else if (waits.for === "action" && nowMs >= waits.deadlineMs)
		outOfTime(move, "ActionTimeout", `the action of state ${thread.state} did not end within its WaitTime`);
	else if (waits.for === "retry" && nowMs >= waits.untilMs) move.tryAgain();
	else if (waits.for === "time" && nowMs >= waits.untilMs) {
		const { state } = move;
		move.finish(null, "next" in state ? state.next : undefined);
	}
}

function outOfTime(move: Move, error: "States.Timeout" | "ActionTimeout", cause: string): void {
	move.abandon(cause);
	move.fail({ error, cause });
}

function actionTold(move: Move, { status, document }: Extract<ThreadEvent, { kind: "action" }>): void {
	const { state } = move;
	if (move.thread.waits.for !== "action" || state.type !== "Action") return;
	const told = isJsonObject(document) ? document : {};
	const details = told.details ?? null;
	const result: Json = { ...told, state_name: state.name };
	move.setInactive(status === "INACTIVE" ? inactivityOf(details) : null);
	if (status === "FAILED" && state.exceptionOnActionFailure)
		move.fail({
			error: "ActionFailedException",
			cause: `the action of state ${state.name} failed: ${causeOf(details)}`,
			details: result,
		});
	else if (status === "FAILED" || status === "SUCCEEDED") move.attempt(() => move.finish(result, state.next));
}

function inactivityOf(details: Json): Inactivity {
	const said = isJsonObject(details) ? details : {};
	return {
		code: typeof said.code === "string" ? said.code : "ActionInactive",
		description: typeof said.description === "string" ? said.description : "the action waits for somebody",
		details,
	};
}

function causeOf(details: Json): string {
	const said = isJsonObject(details) ? details : {};
	const key = ["description", "message", "cause", "error"].find((one) => typeof said[one] === "string");
	return key === undefined ? JSON.stringify(details).slice(0, 500) : String(said[key]);
}
