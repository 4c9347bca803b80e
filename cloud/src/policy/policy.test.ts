import type { AccountId, EndpointId } from "@errand/proto";
import { describe, expect, test } from "vitest";
import type { Caller } from "./caller.ts";
import { type Action, allowed, may, type Thing } from "./policy.ts";

const ann = "a0000000-0000-4000-8000-000000000001" as AccountId;
const bob = "b0000000-0000-4000-8000-000000000002" as AccountId;
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
};
type Who = keyof typeof callers;

const accounts: Who[] = ["owner", "other", "admin", "operator"];
const everybody = Object.keys(callers) as Who[];

/** Who may, when the thing is Ann's and private. */
const table: { readonly [A in Action]: readonly Who[] } = {
	"function.register": accounts,
	"function.read": ["owner", "admin", "operator"],
	"function.use": ["owner"],
	"function.delete": ["owner", "admin", "operator"],
	"endpoint.create": accounts,
	"endpoint.register": ["owner", "key"],
	"endpoint.read": ["owner", "key", "admin", "operator"],
	"endpoint.submit": ["owner", "admin", "operator"],
	"endpoint.delete": ["owner", "admin", "operator"],
	"endpoint.lock": ["owner", "admin", "operator"],
	"endpoint.make-key": ["owner"],
	"endpoint.lease": ["owner", "key"],
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
};

describe.each(Object.keys(allowed) as Action[])("%s of a private thing", (action) => {
	test.each(everybody)("by %s", (who) => {
		const thing: Thing = { ownerId: ann, endpointId: mine };
		expect(may(callers[who], action, thing)).toBe(table[action].includes(who));
	});
});

describe.each(["function.read", "function.use", "endpoint.read"] as const)("%s of a public thing", (action) => {
	test.each(accounts)("is for %s", (who) => {
		expect(may(callers[who], action, { ownerId: ann, endpointId: mine, public: true })).toBe(true);
	});
	test("is not for another endpoint's key", () => {
		expect(may(callers.otherKey, action, { ownerId: ann, endpointId: mine, public: true })).toBe(false);
	});
});

test("a public endpoint still takes tasks from its owner and administrators only", () => {
	expect(may(callers.other, "endpoint.submit", { ownerId: ann, public: true })).toBe(false);
});

test("a blob is for whom it was granted", () => {
	for (const who of everybody) expect(may(callers[who], "blob.get", { granted: true })).toBe(true);
});

test("a thing without an owner is nobody's", () => {
	for (const who of everybody) expect(may(callers[who], "task.retry", {})).toBe(false);
});
