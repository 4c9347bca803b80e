import type { Json, JsonObject } from "./json.ts";

/** What paths and expressions see: the run's state, and under `$._context` what the service says about the run. */
export interface Scope {
	readonly state: Json;
	readonly context: JsonObject;
}
