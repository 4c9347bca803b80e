/** What a thread can be told, and what a step wants done. Both are data: they are stored, compared and replayed. */
import type { Json, MapState, ParallelState } from "@errand/proto/flow";
import type { Inactivity, Trouble } from "./thread.ts";

/**
 * May come late, twice and in any order: an event names the turn that it belongs to, and counts for nothing in another.
 */
export type ThreadEvent =
	/** Its time may have come. */
	| { readonly kind: "look" }
	/** What a provider says of the turn's action: its whole status document. */
	| {
			readonly kind: "action";
			readonly turn: number;
			readonly status: "ACTIVE" | "INACTIVE" | "SUCCEEDED" | "FAILED";
			readonly document: Json;
	  }
	/** No provider took the turn's action. */
	| { readonly kind: "refused"; readonly turn: number; readonly cause: string }
	/** A branch of the turn has ended; null: it succeeded. */
	| { readonly kind: "branch"; readonly turn: number; readonly nth: number; readonly trouble: Trouble | null }
	/** What the turn's branches came to, in their order; null for those that failed. */
	| { readonly kind: "outputs"; readonly turn: number; readonly outputs: readonly Json[] }
	| { readonly kind: "cancel"; readonly reason: string }
	/** Somebody has put right what it waited for. */
	| { readonly kind: "resume" };

export type Effect =
	/** `output`, `input` and the like only as they may be shown. */
	| { readonly do: "log"; readonly code: string; readonly description: string; readonly details: Json }
	| {
			readonly do: "enter";
			readonly visit: number;
			readonly state: string;
			readonly type: string;
			readonly input: Json;
	  }
	| {
			readonly do: "leave";
			readonly visit: number;
			readonly attempts: number;
			readonly outcome: "succeeded" | "failed" | "cancelled";
			readonly output: Json;
			readonly error: Trouble | null;
	  }
	| { readonly do: "run-action"; readonly turn: number; readonly url: string; readonly body: Json }
	| { readonly do: "cancel-action"; readonly turn: number }
	| { readonly do: "resume-action"; readonly turn: number }
	/** Begin the branch of this number with this document. */
	| {
			readonly do: "branch";
			readonly turn: number;
			readonly nth: number;
			readonly of: MapState | ParallelState;
			readonly document: Json;
			readonly label: string;
			readonly budget: number;
	  }
	| { readonly do: "cancel-branches"; readonly turn: number; readonly reason: string }
	/** Answer with an `outputs` event. */
	| { readonly do: "collect"; readonly turn: number; readonly total: number }
	/** Null: it goes on. */
	| { readonly do: "inactive"; readonly why: Inactivity | null }
	| {
			readonly do: "end";
			readonly outcome: "succeeded" | "failed" | "cancelled";
			readonly output: Json;
			readonly trouble: Trouble | null;
	  };
