/**
 * One step of a thread: told something, it goes as far as it can without being told more. Pure: the thread as it is
 * afterwards, and what is to be done; whoever carries that out stores both at once, or neither.
 */
import type { Json } from "@errand/proto/flow";
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

function react(move: Move, event: ThreadEvent): void {
	const { waits, turn } = move.thread;
	if (waits.for === "nothing") return;
	if ("turn" in event && event.turn !== turn) return;
	switch (event.kind) {
		case "cancel":
			return move.stop("cancelled", { error: "FlowCanceled", cause: event.reason });
		case "look":
			return look(move);
		case "resume":
			if (waits.for === "action" && waits.inactive !== null) move.effects.push({ do: "resume-action", turn });
			return;
		case "refused":
			if (waits.for !== "action") return;
			if (waits.inactive !== null) move.effects.push({ do: "inactive", why: null });
			return move.fail({ error: "ActionUnableToRun", cause: event.cause });
		case "action":
			return actionTold(move, event);
		case "branch":
			return move.attempt(() => branchEnded(move, event.nth, event.trouble));
		case "outputs":
			return move.attempt(() => join(move, event.outputs));
	}
}

function look(move: Move): void {
	const { thread, situation } = move;
	const { waits } = thread;
	const { nowMs } = situation;
	if (thread.deadlineMs !== null && nowMs >= thread.deadlineMs)
		return move.stop("failed", {
			error: "States.Timeout",
			cause: "the run did not end within its TimeoutSeconds",
		});
	if (waits.for === "entry") return move.goTo(waits.state);
	const deadline = stateDeadlineMs(situation.graph, thread);
	if (deadline !== null && nowMs >= deadline) {
		const cause = `state ${thread.state} did not end within its TimeoutSeconds`;
		move.abandon(cause);
		return move.fail({ error: "States.Timeout", cause });
	}
	if (waits.for === "retry" && nowMs >= waits.untilMs) return move.tryAgain();
	if (waits.for === "time" && nowMs >= waits.untilMs) {
		const { state } = move;
		return move.attempt(() => move.finish(null, state.type === "Wait" ? state.next : undefined));
	}
	if (waits.for === "action" && nowMs >= waits.deadlineMs) {
		const cause = `the action of state ${thread.state} did not end within its WaitTime`;
		move.abandon(cause);
		return move.fail({ error: "ActionTimeout", cause });
	}
}

function actionTold(move: Move, event: Extract<ThreadEvent, { kind: "action" }>): void {
	const { state } = move;
	if (move.thread.waits.for !== "action" || state.type !== "Action") return;
	const { status, document } = event;
	const told = typeof document === "object" && document !== null && !Array.isArray(document) ? document : {};
	const result = { ...told, state_name: state.name } as Json;
	if (status === "INACTIVE") return move.setInactive(inactivityOf((told as Record<string, Json>).details ?? null));
	move.setInactive(null);
	if (status === "ACTIVE") return;
	if (status === "FAILED" && state.exceptionOnActionFailure)
		return move.fail({
			error: "ActionFailedException",
			cause: `the action of state ${state.name} failed: ${causeOf((told as Record<string, Json>).details ?? null)}`,
			details: result,
		});
	move.attempt(() => move.finish(result, state.next));
}

function inactivityOf(details: Json): Inactivity {
	const said = typeof details === "object" && details !== null ? (details as Record<string, Json>) : {};
	return {
		code: typeof said.code === "string" ? said.code : "ActionInactive",
		description: typeof said.description === "string" ? said.description : "the action waits for somebody",
		details,
	};
}

function causeOf(details: Json): string {
	const said = typeof details === "object" && details !== null ? (details as Record<string, Json>) : {};
	for (const key of ["description", "message", "cause", "error"]) if (typeof said[key] === "string") return said[key];
	return JSON.stringify(details).slice(0, 500);
}
