import { type EndpointId, Fault, idFromBytes, newId, type TaskId } from "@errand/proto";
import { expect, test } from "vitest";
import type { Caller } from "../policy/caller.ts";
import {
	account,
	cloudEachTest,
	endpointKeyOf,
	packedArguments,
	settle,
	success,
	type TestCloud,
} from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

async function faultOf(work: Promise<unknown>): Promise<Fault> {
	try {
		await work;
	} catch (cause) {
		if (cause instanceof Fault) return cause;
		throw cause;
	}
	throw new Error("was not refused");
}

const registration = (name: string, journal?: string) => ({
	endpoint_name: name,
	metadata: { errand_protocol: 1 as const, hostname: "login1", ...(journal ? { errand_journal_id: journal } : {}) },
});

test("an endpoint is registered with its queues, found by name and id, and renewed by its own key", async () => {
	const caller = account();
	const { operations } = cloud;
	const first = await operations.registerEndpoint(caller, undefined, registration("local"));
	const id = first.endpoint_id as EndpointId;
	expect(first.task_queue_info).toMatchObject({ exchange: "tasks", queue: `${id}.tasks` });
	expect(first.result_queue_info.queue_publish_kwargs).toMatchObject({
		exchange: "results",
		routing_key: `${id}.results`,
		mandatory: true,
	});
	expect((await operations.registerEndpoint(caller, undefined, registration("local"))).endpoint_id).toBe(id);
	expect((await operations.registerEndpoint(endpointKeyOf(caller, id), id, registration("renamed"))).endpoint_id).toBe(
		id,
	);
	expect(await operations.getEndpoint(caller, "renamed")).toMatchObject({
		id,
		status: "offline",
		host: "login1",
		owner_id: caller.accountId,
	});
	expect(await operations.getEndpointMetadata(caller, id)).toMatchObject({
		uuid: id,
		name: "renamed",
		hostname: "login1",
		multi_user: false,
	});
	expect((await operations.listEndpoints(caller, { limit: 5 })).items).toHaveLength(1);
	expect((await faultOf(operations.getEndpoint(caller, "local"))).code).toBe("ENDPOINT_NOT_FOUND");
	expect(await operations.makeEndpointKey(caller, id)).toMatchObject({
		client_secret: "once",
		token_endpoint: expect.stringMatching(/^http/),
	});
	const named = newId<EndpointId>();
	expect((await operations.registerEndpoint(caller, named, registration("other"))).endpoint_id).toBe(named);
	expect((await faultOf(operations.registerEndpoint(caller, named, registration("renamed")))).code).toBe(
		"RESOURCE_CONFLICT",
	);
});

test("an endpoint's id belongs to its first owner for ever, even after it was deleted", async () => {
	const caller = account();
	const { operations } = cloud;
	const { endpoint_id } = await operations.registerEndpoint(caller, undefined, registration("mine"));
	const id = endpoint_id as EndpointId;
	await operations.deleteEndpoint(caller, id);
	expect(cloud.broker.calls).toContain(`remove ${id}`);
	expect((await faultOf(operations.getEndpoint(caller, id))).code).toBe("ENDPOINT_NOT_FOUND");
	expect((await faultOf(operations.registerEndpoint(account(), id, registration("mine")))).code).toBe(
		"ENDPOINT_ACCESS_FORBIDDEN",
	);
	expect((await operations.registerEndpoint(caller, id, registration("mine"))).endpoint_id).toBe(id);
});

test("an endpoint with unfinished tasks is not deleted; a locked one is not registered, and its connections end", async () => {
	const home = await settle(cloud);
	const { operations } = cloud;
	const reply = await operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: [packedArguments(1)] } },
		undefined,
	);
	expect((await faultOf(operations.deleteEndpoint(home.caller, home.endpoint))).code).toBe("RESOURCE_CONFLICT");
	await operations.cancelTasks(home.caller, { taskIds: Object.values(reply.tasks).flat() as TaskId[] });
	const until = await operations.lockEndpoint(home.caller, home.endpoint);
	expect(until.getTime()).toBeGreaterThan(Date.now());
	expect(cloud.broker.calls).toContain(`revoke ${home.endpoint}`);
	const refused = await faultOf(operations.registerEndpoint(home.caller, home.endpoint, registration("again")));
	expect(refused.code).toBe("RESOURCE_LOCKED");
	expect(refused.retryAfterS).toBeGreaterThan(0);
	// On its way when the connections were ended.
	await cloud.bus.heartbeat(home.endpoint, { heartbeat_period: 30, active: true });
	expect((await operations.getEndpoint(home.caller, home.endpoint)).status).toBe("offline");
	await operations.deleteEndpoint(home.caller, home.endpoint);
});

test("a heartbeat of an endpoint that was deleted changes nothing and ends nothing", async () => {
	const home = await settle(cloud);
	const other = await settle(cloud);
	await cloud.operations.deleteEndpoint(home.caller, home.endpoint);
	await Promise.all([
		cloud.bus.heartbeat(home.endpoint, { heartbeat_period: 30, active: true }),
		cloud.bus.heartbeat(newId<EndpointId>(), { heartbeat_period: 30 }),
		cloud.bus.heartbeat(other.endpoint, { heartbeat_period: 30 }),
	]);
	expect(cloud.bus.outcomes).toEqual(["ack", "ack", "ack"]);
	expect((await faultOf(cloud.operations.getEndpoint(home.caller, home.endpoint))).code).toBe("ENDPOINT_NOT_FOUND");
	expect((await cloud.operations.getEndpoint(other.caller, other.endpoint)).status).toBe("online");
	await cloud.operations.registerEndpoint(home.caller, home.endpoint, registration("again"));
	expect((await cloud.operations.getEndpoint(home.caller, home.endpoint)).status).toBe("offline");
});

test("the key of a deleted endpoint stays as long as results do, lest its daemon not know why it is refused", async () => {
	const home = await settle(cloud);
	const key = newId<TaskId>();
	await cloud.database.query("insert into accounts (id, kind, username) values ($1, 'person', $2)", [
		home.caller.accountId,
		home.caller.accountId,
	]);
	await cloud.database.query(
		`insert into oauth_clients (id, kind, name, secret_sha256, account_id, owner_id, endpoint_id)
		values ($1, 'endpoint', '', '', $2, $2, $3)`,
		[key, home.caller.accountId, home.endpoint],
	);
	const keys = async () => (await cloud.database.query("select from oauth_clients where id = $1", [key])).rowCount;
	const dayMs = 24 * 3_600_000;
	await cloud.sweep(new Date(Date.now() + 20 * dayMs));
	await cloud.operations.deleteEndpoint(home.caller, home.endpoint);
	await cloud.sweep(new Date(Date.now() + 13 * dayMs));
	expect(await keys()).toBe(1);
	await cloud.sweep(new Date(Date.now() + 15 * dayMs));
	expect(await keys()).toBe(0);
});

test("only functions on an endpoint's list run there", async () => {
	const home = await settle(cloud);
	const { operations } = cloud;
	await operations.registerEndpoint(home.caller, home.endpoint, {
		...registration("picky"),
		allowed_functions: [newId<TaskId>()],
	});
	expect(await operations.allowedFunctions(home.caller, home.endpoint)).toMatchObject({ restricted: true });
	const refused = await faultOf(
		operations.submit(home.caller, home.endpoint, { tasks: { [home.fn]: ["x"] } }, undefined),
	);
	expect([refused.code, refused.message]).toEqual([
		"FUNCTION_NOT_PERMITTED",
		`Function ${home.fn} not permitted on endpoint ${home.endpoint}`,
	]);
});

test("an endpoint whose journal or queue is new gets its unfinished tasks again, and only those", async () => {
	const home = await settle(cloud);
	const { operations, bus } = cloud;
	const reply = await operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: [packedArguments(1), packedArguments(2)] } },
		undefined,
	);
	const [one, two] = Object.values(reply.tasks).flat() as [string, string];
	const recorded = new Promise((resolve) => cloud.events.once("results:recorded", resolve));
	await bus.results(home.endpoint, [success(one, "11\n1")]);
	await recorded;
	const sent = (): string[] => bus.tasks(home.endpoint).map((task) => idFromBytes(task.id));
	const journal = newId<TaskId>();
	await operations.registerEndpoint(home.caller, home.endpoint, registration("local", journal));
	expect(sent()).toEqual([one, two, two]);
	await operations.registerEndpoint(home.caller, home.endpoint, registration("local", journal));
	expect(sent()).toEqual([one, two, two]);
	cloud.broker.queues.delete(home.endpoint);
	await operations.registerEndpoint(home.caller, home.endpoint, registration("local", journal));
	expect(sent()).toEqual([one, two, two, two]);
});

test("NEW-24: one daemon holds an endpoint; a second is told where the first one runs", async () => {
	const caller = account();
	const { operations } = cloud;
	const { endpoint_id } = await operations.registerEndpoint(caller, undefined, registration("leased"));
	const id = endpoint_id as EndpointId;
	const daemon = (host: string, pid: number) => ({ holder_id: newId<TaskId>() as string, host, pid });
	const first = daemon("login1", 101);
	const second = daemon("login2", 202);
	const key = endpointKeyOf(caller, id);
	const taken = await operations.takeLease(key, id, first);
	expect(taken).toMatchObject({ epoch: 1, host: "login1", pid: 101 });
	expect((await operations.takeLease(key, id, first)).epoch).toBe(1);
	const refused = await faultOf(operations.takeLease(key, id, second));
	expect(refused.code).toBe("LEASE_HELD");
	expect(refused.message).toMatch(/process 101 on login1/);
	expect(refused.args.slice(0, 2)).toEqual(["login1", "101"]);
	// Two at once: one of them gets it.
	await operations.releaseLease(key, id, first);
	const race = await Promise.allSettled(
		[second, daemon("login3", 303)].map((who) => operations.takeLease(key, id, who)),
	);
	expect(race.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
});

test("NEW-24: a lease that ran out, or whose holder is known to be dead, goes to the next daemon with a higher epoch", async () => {
	const caller = account();
	const { operations } = cloud;
	const { endpoint_id } = await operations.registerEndpoint(caller, undefined, registration("leased"));
	const id = endpoint_id as EndpointId;
	const take = (who: Caller, holder: string, replaces?: string) =>
		operations.takeLease(who, id, {
			holder_id: holder,
			host: "login1",
			pid: 1,
			...(replaces ? { replaces_holder_id: replaces } : {}),
		});
	const [one, two, three] = [newId<TaskId>(), newId<TaskId>(), newId<TaskId>()];
	await take(caller, one);
	expect((await take(caller, two, one)).epoch).toBe(2);
	expect((await faultOf(take(caller, three, one))).code).toBe("LEASE_HELD");
	await cloud.database.query("update endpoints set lease_expires_at = now() - interval '1 second' where id = $1", [id]);
	expect((await take(caller, three)).epoch).toBe(3);
	expect((await faultOf(take(caller, two))).code).toBe("LEASE_HELD");
	// Giving back what one does not hold changes nothing.
	await operations.releaseLease(caller, id, { holder_id: two, host: "x", pid: 1 });
	expect((await take(caller, three)).epoch).toBe(3);
});
