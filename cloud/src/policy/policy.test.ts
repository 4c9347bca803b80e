import type { AccountId, EndpointId } from "@errand/proto";
import { describe, expect, test } from "vitest";
import type { Caller } from "./caller.ts";
import { type Action, allowed, may, type Thing } from "./policy.ts";

const ann = "a0000000-0000-4000-8000-000000000001" as AccountId;
const bob = "b0000000-0000-4000-8000-000000000002" as AccountId;
const cyd = "c0000000-0000-4000-8000-000000000003" as AccountId;
const mine = "e0000000-0000-4000-8000-000000000001" as EndpointId;
const other = "e0000000-0000-4000-8000-000000000002" as EndpointId;

const caller = (over: Partial<Caller>): Caller => ({
	kind: "account",
	accountId: ann,
	username: "somebody",
	admin: false,
	operator: false,
	scopes: new Set(),
	tokenExpiresAtMs: 0,
	...over,
});

/** Ann owns the thing and the endpoint `mine`. */
const callers = {
	owner: caller({}),
	other: caller({ accountId: bob }),
	key: caller({ kind: "endpoint", endpointId: mine }),
	otherKey: caller({ kind: "endpoint", endpointId: other }),
	admin: caller({ accountId: bob, admin: true }),
	operator: caller({ accountId: bob, admin: true, operator: true }),
	/** An endpoint's key whose owner is an administrator gets nothing of that. */
	adminsKey: caller({ kind: "endpoint", endpointId: other, admin: true }),
	endpointAdmin: caller({ accountId: cyd }),
	endpointAdminsKey: caller({ kind: "endpoint", accountId: cyd, endpointId: other }),
};
type Who = keyof typeof callers;

const accounts: Who[] = ["owner", "other", "admin", "operator", "endpointAdmin"];
const keys: Who[] = ["key", "otherKey", "adminsKey", "endpointAdminsKey"];
const everybody = Object.keys(callers) as Who[];

/** Who may, when the thing is Ann's and private, in no group and shared with nobody; Cyd is an administrator of the endpoint. */
const table: { readonly [A in Action]: readonly Who[] } = {
	"function.register": accounts,
	"function.read": ["owner", "admin", "operator"],
	"function.use": ["owner"],
	"function.delete": ["owner", "admin", "operator"],
	"endpoint.create": accounts,
	"endpoint.register": ["owner", "key", "endpointAdmin"],
	"endpoint.read": ["owner", "key", "admin", "operator", "endpointAdmin"],
	"endpoint.submit": ["owner", "admin", "operator"],
	"endpoint.delete": ["owner", "admin", "operator", "endpointAdmin"],
	"endpoint.lock": ["owner", "admin", "operator", "endpointAdmin"],
	"endpoint.make-key": ["owner", "endpointAdmin"],
	"endpoint.lease": ["owner", "key", "endpointAdmin"],
	"endpoint.share": ["owner", "endpointAdmin"],
	"endpoint.unshare": ["owner", "admin", "operator", "endpointAdmin"],
	"endpoint.clear": ["owner", "admin", "operator", "endpointAdmin"],
	"user-endpoint.register": ["key"],
	"user-endpoint.lease": ["key"],
	"user-endpoint.list": ["owner", "admin", "operator", "endpointAdmin"],
	"user-endpoint.list-all": ["owner", "admin", "operator", "endpointAdmin"],
	"account-group.create": accounts,
	"account-group.list": accounts,
	"account-group.read": ["admin", "operator"],
	"account-group.change": ["admin", "operator"],
	"account-group.leave": ["admin", "operator"],
	"account.administer": ["admin", "operator"],
	"audit.read": ["admin", "operator"],
	"project.create": accounts,
	"project.list": accounts,
	"project.use": [],
	"policy.create": accounts,
	"policy.list": accounts,
	"policy.read": ["owner", "admin", "operator"],
	"policy.use": ["owner", "key", "otherKey", "adminsKey"],
	"policy.change": ["owner"],
	"policy.delete": ["owner", "admin", "operator"],
	"group.create": accounts,
	"group.submit": ["owner"],
	"group.follow": ["owner", "admin", "operator"],
	"task.list": accounts,
	"task.read": ["owner", "admin", "operator"],
	"task.cancel": ["owner", "admin", "operator"],
	"task.retry": ["owner"],
	"results.connect": accounts,
	"blob.put": everybody,
	"blob.get": [],
	"flow.create": accounts,
	"flow.list": accounts,
	"flow.read": ["owner", "admin", "operator"],
	"flow.start": ["owner"],
	"flow.change": ["owner", "admin", "operator"],
	"flow.delete": ["owner", "admin", "operator"],
	"run.list": accounts,
	"run.read": ["owner", "admin", "operator"],
	"run.change": ["owner", "admin", "operator"],
	"run.cancel": ["owner", "admin", "operator"],
	"run.release": ["owner", "admin", "operator"],
	"run.resume": ["owner", "admin", "operator"],
	"run.rerun": ["owner"],
	"transfer.create": accounts,
	"transfer.list": accounts,
	"transfer.read": ["owner", "admin", "operator"],
	"transfer.cancel": ["owner", "admin", "operator"],
	"collection.read": ["owner", "endpointAdmin"],
	"collection.write": ["owner", "endpointAdmin"],
	"transfer-agent.serve": ["owner", "key"],
};

describe.each(Object.keys(allowed) as Action[])("%s of a private thing", (action) => {
	test.each(everybody)("by %s", (who) => {
		const thing: Thing = { ownerId: ann, endpointId: mine, adminIds: [cyd] };
		expect(may(callers[who], action, thing)).toBe(table[action].includes(who));
	});
});

interface Door {
	readonly thing: Partial<Thing>;
	readonly opens: readonly Action[];
	/** To endpoints' keys too. */
	readonly opensToKeys?: readonly Action[];
}

/** What else lets somebody in: the fact, and to what it opens the door for every account. */
const doors: { readonly [fact: string]: Door } = {
	"is public": {
		thing: { public: true },
		opens: ["function.read", "function.use", "endpoint.read", "user-endpoint.list"],
	},
	"is for a group that they are in": {
		thing: { membership: "member" },
		opens: ["function.read", "function.use", "account-group.read"],
	},
	"is for a group that they administer": {
		thing: { membership: "admin" },
		opens: ["function.read", "function.use", "account-group.read", "account-group.change", "account-group.leave"],
	},
	"is shared with them": {
		thing: { guest: true },
		opens: ["endpoint.read", "endpoint.submit", "user-endpoint.list", "collection.read", "collection.write"],
	},
	"maps identities": { thing: { mapped: true }, opens: ["endpoint.read", "endpoint.submit", "user-endpoint.list"] },
	"belongs to a project that they administer": {
		thing: { projectAdmin: true },
		opens: ["project.use", "policy.read", "policy.use", "policy.change", "policy.delete"],
		opensToKeys: ["policy.use"],
	},
	"was lent to them": { thing: { lent: true }, opens: ["function.use"] },
	"is a flow that names them a viewer": { thing: { roles: new Set(["flow-viewer"]) }, opens: ["flow.read"] },
	"is a flow that names them a starter": {
		thing: { roles: new Set(["flow-starter"]) },
		opens: ["flow.read", "flow.start"],
	},
	"is a flow, or of one, that names them an administrator": {
		thing: { roles: new Set(["flow-administrator"]) },
		opens: [
			"flow.read",
			"flow.start",
			"flow.change",
			"flow.delete",
			"run.read",
			"run.change",
			"run.cancel",
			"run.release",
		],
	},
	"is a run that names them a manager": {
		thing: { roles: new Set(["run-manager"]) },
		opens: ["run.read", "run.change", "run.cancel", "run.release", "run.resume"],
	},
	"is a run that names them a monitor": { thing: { roles: new Set(["run-monitor"]) }, opens: ["run.read"] },
};

describe.each(Object.entries(doors))("NEW-21: what %s", (_fact, { thing, opens, opensToKeys = [] }) => {
	describe.each(Object.keys(allowed) as Action[])("%s", (action) => {
		test.each(everybody)("by %s", (who) => {
			const opened = (keys.includes(who) ? opensToKeys : opens).includes(action);
			const expected = table[action].includes(who) || opened;
			expect(may(callers[who], action, { ownerId: ann, endpointId: mine, adminIds: [cyd], ...thing })).toBe(expected);
		});
	});
});

test("everybody may leave a group, and an endpoint's key may not do it for its owner", () => {
	expect(may(callers.other, "account-group.leave", { accountId: bob, membership: "member" })).toBe(true);
	expect(may(callers.key, "account-group.leave", { accountId: ann, membership: "member" })).toBe(false);
	expect(may(callers.other, "account-group.leave", { accountId: ann, membership: "member" })).toBe(false);
});

test("a blob is for whom it was granted", () => {
	for (const who of everybody) expect(may(callers[who], "blob.get", { granted: true })).toBe(true);
});

test("a thing without an owner is nobody's", () => {
	for (const who of everybody) expect(may(callers[who], "task.retry", {})).toBe(false);
});
