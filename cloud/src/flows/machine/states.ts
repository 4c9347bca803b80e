/** What each type of state does when it is entered. */
import { chooseNext, type FlowState, hidePrivateParameters, resolveInput, waitEndMs } from "@errand/proto/flow";
import { beginBranches } from "./branches.ts";
import type { Move } from "./move.ts";

type Enter<Type extends FlowState["type"]> = (move: Move, state: Extract<FlowState, { type: Type }>) => void;

const table: { readonly [Type in FlowState["type"]]: Enter<Type> } = {
	Action(move, state) {
		const body = resolveInput(state.input, move.scope);
		move.enter(hidePrivateParameters(state.input, body));
		move.wait({ for: "action", deadlineMs: move.situation.nowMs + state.waitTimeMs, inactive: null });
		move.effects.push({ do: "run-action", turn: move.thread.turn, url: state.actionUrl, body });
	},
	Choice(move, state) {
		move.enter(null);
		const next = chooseNext(state, move.scope);
		move.finish({ next }, next);
	},
	ExpressionEval: evaluate,
	Pass: evaluate,
	Fail(move, state) {
		move.enter(null);
		move.fail({ error: state.error, cause: state.cause ?? "" });
	},
	Succeed(move) {
		move.enter(null);
		move.finish(null, undefined);
	},
	Wait(move, { until }) {
		const untilMs = waitEndMs(until, move.scope, move.situation.nowMs);
		move.enter({ until: new Date(untilMs).toISOString() });
		move.wait({ for: "time", untilMs });
	},
	Parallel: (move, state) => beginBranches(move, state),
	Map: (move, state) => beginBranches(move, state),
};

export function enterState(move: Move): void {
	const { state } = move;
	(table[state.type] as Enter<FlowState["type"]>)(move, state as never);
}

function evaluate(move: Move, state: Extract<FlowState, { type: "ExpressionEval" | "Pass" }>): void {
	const value = resolveInput(state.input, move.scope);
	move.enter(hidePrivateParameters(state.input, value));
	move.finish(value, state.next);
}
