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
	| "granted"
	/** An account in the group that the thing is, or was registered for. */
	| "member"
	/** A member that may change the group. */
	| "group-admin"
	/** The account that a membership is about. */
	| "self"
	/** An account that the endpoint's registration names among its administrators. */
	| "endpoint-admin"
	/** An account that the endpoint is shared with, by itself or by a group. */
	| "guest"
	/** An account, and the endpoint runs each identity's tasks in processes of that identity's own. */
	| "mapped"
	/** An account that administers the project that the policy belongs to, or the project itself. */
	| "project-admin"
	/** An endpoint's key of an account that may manage the policy: it acts for that account when it registers. */
	| "managers-key"
	/** A function that its owner listed when sharing an endpoint of theirs with this account, used there. */
	| "lent"
	/** The roles that a flow names for accounts and groups. */
	| "flow-viewer"
	| "flow-starter"
	| "flow-administrator"
	/** Those that a run, or its flow for all its runs, names. */
	| "run-manager"
	| "run-monitor";

export const allowed = {
	"function.register": ["account"],
	"function.read": ["owner", "public", "member", "admin"],
	"function.use": ["owner", "public", "member", "lent"],
	"function.delete": ["owner", "admin"],
	"endpoint.create": ["account"],
	"endpoint.register": ["owner", "endpoint-admin", "own-endpoint"],
	"endpoint.read": ["owner", "endpoint-admin", "public", "guest", "mapped", "admin", "own-endpoint"],
	// Not "public": that is to be seen. Its processes run with the rights of whoever started them, who must say for whom.
	"endpoint.submit": ["owner", "guest", "mapped", "admin"],
	"endpoint.delete": ["owner", "endpoint-admin", "admin"],
	"endpoint.lock": ["owner", "endpoint-admin", "admin"],
	"endpoint.make-key": ["owner", "endpoint-admin"],
	"endpoint.lease": ["owner", "endpoint-admin", "own-endpoint"],
	// Not the cloud's administrators: nobody but those whose endpoint it is lets others run things there.
	"endpoint.share": ["owner", "endpoint-admin"],
	// Also what guests have submitted: it is in the way of whoever deletes the endpoint.
	"endpoint.clear": ["owner", "endpoint-admin", "admin"],
	"endpoint.unshare": ["owner", "endpoint-admin", "admin"],
	// Not its owner: who has the owner's token need not be a process of the owner's account at that machine.
	"user-endpoint.register": ["own-endpoint"],
	"user-endpoint.lease": ["own-endpoint"],
	// Of one endpoint. Those that may list, and not all, are told of their own.
	"user-endpoint.list": ["owner", "endpoint-admin", "public", "guest", "mapped", "admin"],
	"user-endpoint.list-all": ["owner", "endpoint-admin", "admin"],
	"account-group.create": ["account"],
	"account-group.list": ["account"],
	"account-group.read": ["member", "admin"],
	"account-group.change": ["group-admin", "admin"],
	"account-group.leave": ["self", "group-admin", "admin"],
	"account.administer": ["admin"],
	"audit.read": ["admin"],
	"project.create": ["account"],
	"project.list": ["account"],
	"project.use": ["project-admin"],
	"policy.create": ["account"],
	"policy.list": ["account"],
	"policy.read": ["owner", "project-admin", "admin"],
	// Registering an endpoint with it.
	"policy.use": ["owner", "project-admin", "managers-key"],
	// Not the cloud's administrators: nobody else loosens what an owner relies on.
	"policy.change": ["owner", "project-admin"],
	"policy.delete": ["owner", "project-admin", "admin"],
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
	"flow.create": ["account"],
	"flow.list": ["account"],
	"flow.read": ["owner", "flow-viewer", "flow-starter", "flow-administrator", "admin"],
	"flow.start": ["owner", "flow-starter", "flow-administrator"],
	// Also what its author has declared private.
	"flow.change": ["owner", "flow-administrator", "admin"],
	"flow.delete": ["owner", "flow-administrator", "admin"],
	"run.list": ["account"],
	"run.read": ["owner", "run-manager", "run-monitor", "flow-administrator", "admin"],
	"run.change": ["owner", "run-manager", "flow-administrator", "admin"],
	"run.cancel": ["owner", "run-manager", "flow-administrator", "admin"],
	"run.release": ["owner", "run-manager", "flow-administrator", "admin"],
	"run.resume": ["owner", "run-manager", "admin"],
	// What it runs, it runs in the owner's name.
	"run.rerun": ["owner"],
	"transfer.create": ["account"],
	"transfer.list": ["account"],
	"transfer.read": ["owner", "admin"],
	"transfer.cancel": ["owner", "admin"],
	// Guests only where the collection says so. Not the cloud's administrators: files are not theirs.
	"collection.read": ["owner", "endpoint-admin", "guest"],
	"collection.write": ["owner", "endpoint-admin", "guest"],
	"transfer-agent.serve": ["owner", "own-endpoint"],
} as const satisfies Record<string, readonly Relation[]>;

/** `admin`: may change the group. */
export type Membership = "member" | "admin";

export type Action = keyof typeof allowed;

/** What the rules need to know about a thing; nothing for actions that are not about one. */
export interface Thing {
	readonly ownerId?: AccountId;
	/** The endpoint that the thing is or belongs to. */
	readonly endpointId?: EndpointId;
	readonly public?: boolean;
	readonly granted?: boolean;
	/** How the caller belongs to the group that the thing is, or was registered for. */
	readonly membership?: Membership;
	/** Whom a membership is about. */
	readonly accountId?: AccountId;
	/** The administrators that the endpoint's registration names. */
	readonly adminIds?: readonly string[];
	/** The endpoint is shared with the caller. */
	readonly guest?: boolean;
	/** The endpoint maps identities to processes of their own. */
	readonly mapped?: boolean;
	readonly lent?: boolean;
	/** What a flow or a run has named the caller, by itself or by a group. */
	readonly roles?: ReadonlySet<FlowRole>;
	/** The caller's account administers the project that the thing is, or belongs to. */
	readonly projectAdmin?: boolean;
}

export type FlowRole = Extract<Relation, `flow-${string}` | `run-${string}`>;

function hasRole(role: FlowRole) {
	return (caller: Caller, thing: Thing): boolean => caller.kind === "account" && thing.roles?.has(role) === true;
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
	member: (caller, thing) => caller.kind === "account" && thing.membership !== undefined,
	"group-admin": (caller, thing) => caller.kind === "account" && thing.membership === "admin",
	self: (caller, thing) => caller.kind === "account" && thing.accountId === caller.accountId,
	"endpoint-admin": (caller, thing) => caller.kind === "account" && thing.adminIds?.includes(caller.accountId) === true,
	guest: (caller, thing) => caller.kind === "account" && thing.guest === true,
	mapped: (caller, thing) => caller.kind === "account" && thing.mapped === true,
	"project-admin": (caller, thing) => caller.kind === "account" && thing.projectAdmin === true,
	"managers-key": (caller, thing) =>
		caller.kind === "endpoint" && (thing.ownerId === caller.accountId || thing.projectAdmin === true),
	lent: (caller, thing) => caller.kind === "account" && thing.lent === true,
	"flow-viewer": hasRole("flow-viewer"),
	"flow-starter": hasRole("flow-starter"),
	"flow-administrator": hasRole("flow-administrator"),
	"run-manager": hasRole("run-manager"),
	"run-monitor": hasRole("run-monitor"),
};

export function may(caller: Caller, action: Action, thing: Thing = {}): boolean {
	return allowed[action].some((relation) => holds[relation](caller, thing));
}
