import {
	type EndpointId,
	Fault,
	type FunctionId,
	joinBuffer,
	newId,
	pack,
	type ShareId,
	type TaskId,
} from "@errand/proto";
import type { EndpointShare } from "@errand/proto/rest";
import { beforeEach, describe, expect, test } from "vitest";
import type { Caller } from "../policy/caller.ts";
import { account, cloudEachTest, endpointKeyOf, packedArguments, settle, type TestCloud } from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

/** A caller with a row of its own, so that others can name it. */
async function person(name: string, over: Partial<Caller> = {}): Promise<Caller> {
	const caller = account({ username: `${name}-${newId<TaskId>().slice(0, 8)}`, ...over });
	await cloud.database.query("insert into accounts (id, kind, username, admin) values ($1, 'person', $2, $3)", [
		caller.accountId,
		caller.username,
		caller.admin,
	]);
	return caller;
}

async function faultOf(work: Promise<unknown>): Promise<Fault> {
	try {
		await work;
	} catch (cause) {
		if (cause instanceof Fault) return cause;
		throw cause;
	}
	throw new Error("was not refused");
}

const noLimits = { functions: null, tasks_per_day: null, container_image: null };
const submit = (caller: Caller, endpoint: EndpointId, fn: FunctionId, count = 1, key?: string, more = {}) =>
	cloud.operations.submit(caller, endpoint, { tasks: { [fn]: Array(count).fill(packedArguments(1)) }, ...more }, key);
const register = (caller: Caller, more = {}): Promise<FunctionId> =>
	cloud.operations.registerFunction(caller, {
		function_name: "double",
		function_code: pack([joinBuffer("ej", "default:export default (x) => 2 * x")]),
		...more,
	});
const audit = async (thing: string) => {
	const { items } = await cloud.operations.readAudit(account({ admin: true }), { limit: 100, thing });
	return items.reverse();
};

let owner: Caller;
let guest: Caller;
let stranger: Caller;
let endpoint: EndpointId;
let fn: FunctionId;
beforeEach(async () => {
	[owner, guest, stranger] = [await person("ann"), await person("bob"), await person("cyd")];
	({ endpoint, fn } = await settle(cloud, owner));
});

describe("NEW-21: a shared endpoint", () => {
	test("takes tasks from whom it is shared with, at once, and from nobody else; what they may see is not what the owner sees", async () => {
		const { operations } = cloud;
		const own = await register(guest);
		expect((await faultOf(submit(guest, endpoint, own))).code).toBe("ENDPOINT_ACCESS_FORBIDDEN");
		const share = await operations.shareEndpoint(owner, endpoint, {
			account: guest.username.toUpperCase(),
			...noLimits,
		});
		expect(share).toMatchObject({ account: { id: guest.accountId, username: guest.username }, group: null });
		expect(Object.keys((await submit(guest, endpoint, own)).tasks)).toEqual([own]);
		expect((await faultOf(submit(stranger, endpoint, await register(stranger)))).code).toBe(
			"ENDPOINT_ACCESS_FORBIDDEN",
		);
		expect((await faultOf(submit(endpointKeyOf(guest, newId()), endpoint, own))).code).toBe(
			"ENDPOINT_ACCESS_FORBIDDEN",
		);

		const { name } = await operations.getEndpoint(owner, endpoint);
		const seen = await operations.getEndpoint(guest, name);
		expect(seen).toMatchObject({ id: endpoint, owner_id: owner.accountId, host: null, details: {} });
		expect((await operations.listSharedEndpoints(guest)).map((row) => row.id)).toEqual([endpoint]);
		expect(await operations.listSharedEndpoints(owner)).toEqual([]);
		for (const forbidden of [
			() => operations.deleteEndpoint(guest, endpoint),
			() => operations.lockEndpoint(guest, endpoint),
			() => operations.makeEndpointKey(guest, endpoint),
			() => operations.listShares(guest, endpoint),
			() => operations.shareEndpoint(guest, endpoint, { account: stranger.username, ...noLimits }),
			() => operations.shareEndpoint(account({ admin: true }), endpoint, { account: stranger.username, ...noLimits }),
		])
			expect((await faultOf(forbidden())).code).toBe("ENDPOINT_ACCESS_FORBIDDEN");
	});

	test("that is unshared takes nothing more; its share is there once, changed when it is made again", async () => {
		const { operations } = cloud;
		const first = await operations.shareEndpoint(owner, endpoint, { account: guest.accountId, ...noLimits });
		const again = await operations.shareEndpoint(owner, endpoint, {
			account: guest.username,
			...noLimits,
			tasks_per_day: 3,
		});
		expect(again).toMatchObject({ id: first.id, tasks_per_day: 3 });
		expect(await operations.listShares(owner, endpoint)).toEqual([again]);
		await operations.removeShare(owner, endpoint, first.id as ShareId);
		expect((await faultOf(operations.getEndpoint(guest, endpoint))).code).toBe("ENDPOINT_ACCESS_FORBIDDEN");
		expect((await faultOf(operations.removeShare(owner, endpoint, first.id as ShareId))).code).toBe("SHARE_NOT_FOUND");
		expect((await audit(endpoint)).map((entry) => entry.action)).toEqual([
			"endpoint.register",
			"endpoint.share",
			"endpoint.share",
			"endpoint.unshare",
		]);
	});

	test("runs only listed functions for guests, and lends the owner's own but nobody else's", async () => {
		const { operations } = cloud;
		const [theirs, own] = [await register(stranger), await register(guest)];
		await operations.shareEndpoint(owner, endpoint, { account: guest.username, ...noLimits, functions: [fn, theirs] });
		await submit(guest, endpoint, fn);
		expect((await faultOf(submit(guest, endpoint, theirs))).code).toBe("FUNCTION_ACCESS_FORBIDDEN");
		expect((await faultOf(submit(guest, endpoint, own))).code).toBe("FUNCTION_NOT_PERMITTED");
		// Lent is for running there: neither to be read, nor to be run elsewhere.
		expect((await faultOf(operations.getFunction(guest, fn))).code).toBe("FUNCTION_ACCESS_FORBIDDEN");
		const elsewhere = await settle(cloud, guest);
		expect((await faultOf(submit(guest, elsewhere.endpoint, fn))).code).toBe("FUNCTION_ACCESS_FORBIDDEN");
	});

	test("counts a guest's tasks of the day: a submit that would pass the limit is refused whole, a repeat is not counted twice", async () => {
		const { operations } = cloud;
		await operations.shareEndpoint(owner, endpoint, {
			account: guest.username,
			functions: [fn],
			tasks_per_day: 5,
			container_image: null,
		});
		const key = newId<TaskId>();
		const first = await submit(guest, endpoint, fn, 3, key);
		expect(await submit(guest, endpoint, fn, 3, key)).toMatchObject({ tasks: first.tasks });
		const refused = await faultOf(submit(guest, endpoint, fn, 3));
		expect(refused.code).toBe("QUOTA_EXCEEDED");
		expect(refused.message).toMatch(/3 more would pass your limit of 5 tasks a day on endpoint .*: 3 are used/);
		await submit(guest, endpoint, fn, 2, newId<TaskId>());
		expect(await submit(guest, endpoint, fn, 3, key)).toMatchObject({ tasks: first.tasks });
		const [task] = Object.values(first.tasks).flat() as [TaskId];
		await operations.cancelTasks(guest, { taskIds: [task] });
		expect((await faultOf(operations.retryTask(guest, task))).code).toBe("QUOTA_EXCEEDED");
		await submit(owner, endpoint, fn, 100);
		expect((await faultOf(submit(guest, endpoint, fn, 6))).code).toBe("QUOTA_EXCEEDED");
	});

	test("two submits at once do not pass the limit together", async () => {
		await cloud.operations.shareEndpoint(owner, endpoint, {
			account: guest.username,
			functions: [fn],
			tasks_per_day: 5,
			container_image: null,
		});
		const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => submit(guest, endpoint, fn, 2)));
		expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(2);
	});

	test("runs guests' tasks in the image that the share names, and the owner's as they ask", async () => {
		await cloud.operations.shareEndpoint(owner, endpoint, {
			account: guest.username,
			functions: [fn],
			tasks_per_day: null,
			container_image: "safe.sif",
		});
		const resource_specification = {
			cores: 2,
			container_image: "mine.sif",
			variants: [{ cores: 1, container_image: "x.sif" }],
		};
		const [mine] = Object.values(
			(await submit(guest, endpoint, fn, 1, undefined, { resource_specification })).tasks,
		).flat();
		const [theirs] = Object.values(
			(await submit(owner, endpoint, fn, 1, undefined, { resource_specification })).tasks,
		).flat();
		expect((await cloud.operations.getTask(guest, mine as TaskId)).resources).toEqual({
			cores: 2,
			container_image: "safe.sif",
			variants: [{ cores: 1, container_image: "safe.sif" }],
		});
		expect((await cloud.operations.getTask(owner, theirs as TaskId)).resources).toEqual(resource_specification);
	});

	test("is administered by those whom its registration names, not used by them", async () => {
		const { operations } = cloud;
		const { name } = await operations.getEndpoint(owner, endpoint);
		const registration = {
			endpoint_name: name,
			admins: [stranger.accountId],
			metadata: { errand_protocol: 1 as const },
		};
		await operations.registerEndpoint(owner, endpoint, registration);
		expect((await operations.registerEndpoint(stranger, endpoint, registration)).endpoint_id).toBe(endpoint);
		await operations.shareEndpoint(stranger, endpoint, { account: guest.username, ...noLimits });
		expect(await operations.listShares(stranger, endpoint)).toHaveLength(1);
		expect((await faultOf(submit(stranger, endpoint, await register(stranger)))).code).toBe(
			"ENDPOINT_ACCESS_FORBIDDEN",
		);
		await operations.deleteEndpoint(stranger, endpoint);
		// Whoever makes it anew invites anew.
		await operations.registerEndpoint(owner, endpoint, registration);
		expect(await operations.listShares(owner, endpoint)).toEqual([]);
	});

	test("that maps identities takes tasks from everybody, and is shared with nobody", async () => {
		const { operations } = cloud;
		const metadata = { errand_protocol: 1 as const, endpoint_config: "secret: yes" };
		const registration = { endpoint_name: "facility", multi_user: true, metadata };
		const mapped = (await operations.registerEndpoint(owner, undefined, registration)).endpoint_id as EndpointId;
		await submit(stranger, mapped, await register(stranger));
		expect(await operations.getEndpointMetadata(stranger, mapped)).not.toHaveProperty("endpoint_config");
		expect(await operations.getEndpointMetadata(owner, mapped)).toHaveProperty("endpoint_config");
		const refused = operations.shareEndpoint(owner, mapped, { account: guest.username, ...noLimits });
		expect((await faultOf(refused)).code).toBe("SEMANTICALLY_INVALID");
	});

	test("is cleared of guests' tasks by whoever looks after it, who sees nothing else of them", async () => {
		const { operations } = cloud;
		await operations.shareEndpoint(owner, endpoint, { account: guest.username, ...noLimits, functions: [fn] });
		const [task] = Object.values((await submit(guest, endpoint, fn)).tasks).flat() as [TaskId];
		expect((await faultOf(operations.deleteEndpoint(owner, endpoint))).code).toBe("RESOURCE_CONFLICT");
		expect((await operations.cancelTasks(owner, { taskIds: [task] })).not_found).toEqual([task]);
		expect((await faultOf(operations.cancelTasks(guest, { endpoint }))).code).toBe("ENDPOINT_ACCESS_FORBIDDEN");
		expect((await operations.cancelTasks(owner, { endpoint })).cancelled).toEqual([task]);
		expect((await operations.getTask(guest, task)).state).toBe("cancelled");
		expect((await faultOf(operations.getTask(owner, task))).code).toBe("TASK_NOT_FOUND");
		expect((await audit(endpoint)).at(-1)).toMatchObject({ action: "endpoint.clear", details: { tasks: 1 } });
		await operations.deleteEndpoint(owner, endpoint);
	});

	test("of Globus Compute without root takes tasks from its owner only, so it is not shared", async () => {
		const registration = { endpoint_name: "theirs", metadata: { user_config_template: "engine: {}" } };
		const id = (await cloud.operations.registerEndpoint(owner, undefined, registration)).endpoint_id as EndpointId;
		const refused = await faultOf(cloud.operations.shareEndpoint(owner, id, { account: guest.username, ...noLimits }));
		expect([refused.code, refused.message]).toEqual(["SEMANTICALLY_INVALID", expect.stringMatching(/its owner only/)]);
	});

	test("two of the same name that are shared with one person are told apart by their ids", async () => {
		const { operations } = cloud;
		const ids = [];
		for (const one of [owner, stranger]) {
			const { endpoint_id: id } = await operations.registerEndpoint(one, undefined, {
				endpoint_name: "gpu",
				metadata: {},
			});
			await operations.shareEndpoint(one, id as EndpointId, { account: guest.username, ...noLimits });
			ids.push(id);
		}
		const refused = await faultOf(operations.getEndpoint(guest, "gpu"));
		expect([refused.code, refused.message]).toEqual([
			"RESOURCE_CONFLICT",
			expect.stringMatching(/several .* say the id/),
		]);
		expect((await operations.listSharedEndpoints(guest)).map((row) => row.id).sort()).toEqual(ids.sort());
	});
});

describe("NEW-21: a group", () => {
	const named = () => ({ name: `astro-${newId<TaskId>().slice(0, 8)}`, description: "" });

	test("is kept by its administrators, seen by its members, and unknown to others", async () => {
		const { operations } = cloud;
		const { name, id } = await operations.createAccountGroup(owner, named());
		expect(
			(await faultOf(operations.createAccountGroup(guest, { name: name.toUpperCase(), description: "" }))).code,
		).toBe("RESOURCE_CONFLICT");
		const group = await operations.setGroupMember(owner, name, guest.username, { admin: false });
		expect(group.people.map(({ username, admin }) => [username, admin])).toEqual([
			[owner.username, true],
			[guest.username, false],
		]);
		expect(await operations.getAccountGroup(guest, id)).toMatchObject({ name, admin: false, members: 2 });
		expect((await operations.listAccountGroups(guest, { limit: 10 })).items.map((row) => row.name)).toEqual([name]);
		expect((await faultOf(operations.getAccountGroup(stranger, name))).code).toBe("AUTH_GROUP_NOT_FOUND");
		expect((await faultOf(operations.getAccountGroup(stranger, newId()))).code).toBe("AUTH_GROUP_NOT_FOUND");
		expect((await faultOf(operations.setGroupMember(guest, name, stranger.username, { admin: false }))).code).toBe(
			"FORBIDDEN",
		);
		expect((await faultOf(operations.removeGroupMember(guest, name, owner.username))).code).toBe("FORBIDDEN");
		expect((await faultOf(operations.setGroupMember(owner, name, "nobody-here", { admin: false }))).code).toBe(
			"ACCOUNT_NOT_FOUND",
		);
		await operations.removeGroupMember(guest, name, guest.username);
		expect((await audit(id)).map(({ action, actor }) => [action, actor])).toEqual([
			["group.create", owner.username],
			["group.member", owner.username],
			["group.remove", guest.username],
		]);
	});

	test("always has an administrator", async () => {
		const { operations } = cloud;
		const { name } = await operations.createAccountGroup(owner, named());
		await operations.setGroupMember(owner, name, guest.username, { admin: false });
		expect((await faultOf(operations.removeGroupMember(owner, name, owner.username))).code).toBe("RESOURCE_CONFLICT");
		expect((await faultOf(operations.setGroupMember(owner, name, owner.username, { admin: false }))).code).toBe(
			"RESOURCE_CONFLICT",
		);
		await operations.setGroupMember(owner, name, guest.username, { admin: true });
		await operations.removeGroupMember(owner, name, owner.username);
		expect((await operations.getAccountGroup(guest, name)).people).toHaveLength(1);
	});

	test("opens functions and endpoints to its members, as long as they are in it and it is there", async () => {
		const { operations } = cloud;
		const { id, name } = await operations.createAccountGroup(owner, named());
		expect((await faultOf(register(guest, { group: id }))).code).toBe("AUTH_GROUP_NOT_FOUND");
		const theirs = await register(owner, { group: id });
		await operations.shareEndpoint(owner, endpoint, { group: name, ...noLimits });
		expect((await faultOf(submit(guest, endpoint, theirs))).code).toBe("ENDPOINT_ACCESS_FORBIDDEN");
		await operations.setGroupMember(owner, name, guest.username, { admin: false });
		await submit(guest, endpoint, theirs);
		expect(await operations.getFunction(guest, theirs)).toMatchObject({ function_uuid: theirs });
		expect((await operations.listFunctions(owner, { limit: 5 })).items[0]).toMatchObject({ id: theirs, group_id: id });
		await operations.setGroupMember(owner, name, stranger.username, { admin: false });
		await operations.deleteAccountGroup(owner, name);
		expect(await operations.listShares(owner, endpoint)).toEqual([]);
		expect((await faultOf(submit(stranger, endpoint, theirs))).code).toBe("ENDPOINT_ACCESS_FORBIDDEN");
		expect((await faultOf(operations.getFunction(stranger, theirs))).code).toBe("FUNCTION_ACCESS_FORBIDDEN");
		// The name is free again.
		await operations.createAccountGroup(guest, { name, description: "" });
	});

	test("gives each member the group's limit, and a member the one of its own share", async () => {
		const { operations } = cloud;
		const { name } = await operations.createAccountGroup(owner, named());
		for (const one of [guest, stranger]) await operations.setGroupMember(owner, name, one.username, { admin: false });
		const share = (more: Partial<EndpointShare> & { account?: never; group?: never }, who: object) =>
			operations.shareEndpoint(owner, endpoint, { ...noLimits, functions: [fn], ...more, ...who });
		await share({ tasks_per_day: 4 }, { group: name });
		await share({ tasks_per_day: 1 }, { account: stranger.username });
		await submit(guest, endpoint, fn, 4);
		expect((await faultOf(submit(guest, endpoint, fn, 1))).code).toBe("QUOTA_EXCEEDED");
		await submit(stranger, endpoint, fn, 1);
		expect((await faultOf(submit(stranger, endpoint, fn, 1))).code).toBe("QUOTA_EXCEEDED");
	});
});

describe("NEW-22: the audit log", () => {
	test("says who did what, in whose name, newest first, by filter and page after page; it is for administrators", async () => {
		const { operations } = cloud;
		const admin = await person("root", { admin: true });
		const operator = await person("operator", { admin: true, operator: true });
		await operations.setAdministrator(operator, guest.username, { admin: true });
		const { name } = await operations.getEndpoint(owner, endpoint);
		await operations.registerEndpoint(endpointKeyOf(owner, endpoint), endpoint, { endpoint_name: name, metadata: {} });
		const [entry] = (await operations.readAudit(admin, { limit: 1, actor: operator.username })).items;
		expect(entry).toMatchObject({
			actor: operator.username,
			acting_as: "operator",
			action: "account.admin",
			thing: guest.accountId,
			details: { username: guest.username, admin: true },
		});
		const ofOwner = { actor: owner.accountId, action: "endpoint", limit: 1 };
		const first = await operations.readAudit(admin, ofOwner);
		expect(first.items).toMatchObject([{ action: "endpoint.register", acting_as: "endpoint", thing: endpoint }]);
		const second = await operations.readAudit(admin, { ...ofOwner, cursor: first.next_cursor as string });
		expect(second).toMatchObject({ items: [{ acting_as: "account" }], next_cursor: null });
		const future = await operations.readAudit(admin, { limit: 5, since: new Date(Date.now() + 60_000) });
		expect(future.items).toEqual([]);
		expect((await faultOf(operations.readAudit(owner, { limit: 5 }))).code).toBe("FORBIDDEN");
		expect((await faultOf(operations.readAudit(admin, { limit: 5, cursor: "x" }))).code).toBe("REQUEST_MALFORMED");
	});

	test("is only ever added to: the database itself refuses to change, remove or empty it", async () => {
		const before = await audit(endpoint);
		expect(before).not.toHaveLength(0);
		for (const statement of [
			"update audit set actor = 'nobody'",
			`delete from audit where thing = '${endpoint}'`,
			"truncate audit",
		])
			await expect(cloud.database.query(statement)).rejects.toThrow("only ever added to");
		expect(await audit(endpoint)).toEqual(before);
	});

	test("a change that is refused leaves no entry", async () => {
		const before = (await audit(endpoint)).length;
		await faultOf(cloud.operations.shareEndpoint(stranger, endpoint, { account: guest.username, ...noLimits }));
		await faultOf(cloud.operations.shareEndpoint(owner, endpoint, { account: "nobody-here", ...noLimits }));
		expect(await audit(endpoint)).toHaveLength(before);
	});
});

test("NEW-22: there may be several administrators, made and unmade by one another, and always one", async () => {
	const { operations, database } = cloud;
	await database.query("update accounts set admin = false where admin");
	const admin = await person("root", { admin: true });
	await operations.setAdministrator(admin, guest.username, { admin: true });
	expect((await faultOf(operations.setAdministrator(owner, owner.username, { admin: true }))).code).toBe("FORBIDDEN");
	const both = await Promise.allSettled([
		operations.setAdministrator(admin, admin.username, { admin: false }),
		operations.setAdministrator(account({ ...guest, admin: true }), guest.username, { admin: false }),
	]);
	expect(both.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
	const { rows } = await database.query("select id from accounts where admin");
	expect(rows).toHaveLength(1);
	expect((await faultOf(operations.setAdministrator(admin, "nobody-here", { admin: true }))).code).toBe(
		"ACCOUNT_NOT_FOUND",
	);
});
