/** The port to whatever does the work of Action states: the service's own parts, and action providers elsewhere. */
import type { AccountId, RunId, TaskGroupId, TransferId } from "@errand/proto";
import type { Json } from "@errand/proto/flow";
import type { Login } from "../../policy/login.ts";

export type NewsSource = TaskGroupId | TransferId;

/** One request to a provider. */
export interface Ask {
	/** The same for every repeat: a provider that has seen it answers with the action that it began then. */
	readonly requestId: string;
	/** As the state has it. */
	readonly url: string;
	readonly body: Json;
	/** In whose name: the run's owner. */
	readonly owner: AccountId;
	/** How the owner had logged in when the run was started or last resumed. */
	readonly login: Login | undefined;
	readonly run: RunId;
	readonly label: string;
	/** Null before the first answer. */
	readonly actionId: string | null;
	/** The last answer's document. */
	readonly document: Json;
	/** How often this action was asked about, this time included. */
	readonly asked: number;
}

export interface Answer {
	readonly status: "ACTIVE" | "INACTIVE" | "SUCCEEDED" | "FAILED";
	/** Null: it has not begun, and is asked to run again. */
	readonly actionId: string | null;
	/** The action's whole status document, as a flow reads it from its state. */
	readonly document: Json;
	/** When to ask again unless somebody tells, in milliseconds. Of an action that has ended it counts for nothing. */
	readonly askAgainMs: number;
	/** Whose results, or whose end, tell that there is news. */
	readonly newsOf?: NewsSource;
}

/** The provider does not take the action and never will: the state raises ActionUnableToRun. */
export class Refusal extends Error {
	override readonly name = "Refusal";
}

/** The provider cannot say now; it is asked again, until the state is out of time. */
export class Silence extends Error {
	override readonly name = "Silence";
}

/** Each method throws a Refusal or a Silence, or answers; each may be repeated. */
export interface Provider {
	run(ask: Ask): Promise<Answer>;
	status(ask: Ask): Promise<Answer>;
	/** Advisory: the answer may say that it goes on. */
	cancel(ask: Ask): Promise<Answer>;
	/** What an inactive action waited for has been put right. */
	resume(ask: Ask): Promise<Answer>;
}
