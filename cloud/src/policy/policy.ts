/**
 * Who may do what to what: one table of actions, each with the relations to the thing that allow it. Pure: what is
 * known about the thing is handed in.
 */
import type { AccountId, EndpointId } from "@errand/proto";
import type { Caller } from "./caller.ts";

/** How a caller stands to a thing. */
export type Relation =
	/** Any account: a person or a service client, never an endpoint's key. */
	| "account"
	/** The account that the thing belongs to. */
	| "owner"
	/** An account, and the thing is public. */
	| "public"
	/** An administrator's account, or the operator at the cloud's own machine. */
	| "admin"
	/** The key of the endpoint that the thing is or belongs to. */
	| "own-endpoint"
	/** The key of any endpoint. */
	| "endpoint"
	/** The store has found a grant of this caller, or a task of its that names the thing. */
	| "granted";

export const allowed = {
	"function.register": ["account"],
	"function.read": ["owner", "public", "admin"],
	"function.use": ["owner", "public"],
	"function.delete": ["owner", "admin"],
	"endpoint.create": ["account"],
	"endpoint.register": ["owner", "own-endpoint"],
	"endpoint.read": ["owner", "public", "admin", "own-endpoint"],
	// Sharing an endpoint with other accounts needs a process per user there; until then its owner's processes run everything.
	"endpoint.submit": ["owner", "admin"],
	"endpoint.delete": ["owner", "admin"],
	"endpoint.lock": ["owner", "admin"],
	"endpoint.make-key": ["owner"],
	"endpoint.lease": ["owner", "own-endpoint"],
	"group.create": ["account"],
	"group.submit": ["owner"],
	"group.follow": ["owner", "admin"],
	"task.list": ["account"],
	"task.read": ["owner", "admin"],
	"task.cancel": ["owner", "admin"],
	"task.retry": ["owner"],
	"results.connect": ["account"],
	"blob.put": ["account", "endpoint"],
	"blob.get": ["granted"],
} as const satisfies Record<string, readonly Relation[]>;

export type Action = keyof typeof allowed;

/** What the rules need to know about a thing; nothing for actions that are not about one. */
export interface Thing {
	readonly ownerId?: AccountId;
	/** The endpoint that the thing is or belongs to. */
	readonly endpointId?: EndpointId;
	readonly public?: boolean;
	readonly granted?: boolean;
}

const holds: { readonly [R in Relation]: (caller: Caller, thing: Thing) => boolean } = {
	account: (caller) => caller.kind === "account",
	owner: (caller, thing) => caller.kind === "account" && thing.ownerId === caller.accountId,
	public: (caller, thing) => caller.kind === "account" && thing.public === true,
	admin: (caller) => caller.kind === "account" && (caller.admin || caller.operator),
	"own-endpoint": (caller, thing) =>
		caller.kind === "endpoint" && caller.endpointId !== undefined && thing.endpointId === caller.endpointId,
	endpoint: (caller) => caller.kind === "endpoint" && caller.endpointId !== undefined,
	granted: (_caller, thing) => thing.granted === true,
};

export function may(caller: Caller, action: Action, thing: Thing = {}): boolean {
	return allowed[action].some((relation) => holds[relation](caller, thing));
}
