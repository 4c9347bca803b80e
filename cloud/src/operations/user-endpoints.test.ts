import {
	contentTypes,
	decodeMessage,
	type EndpointId,
	encodeMessage,
	exchanges,
	type FunctionId,
	joinBuffer,
	pack,
	routingKey,
	type TaskId,
	taskQueue,
} from "@errand/proto";
import { beforeEach, expect, test } from "vitest";
import type { Caller } from "../policy/caller.ts";
import { findUserEndpoint } from "../store/user-endpoints.ts";
import { account, cloudEachTest, packedArguments, type TestCloud } from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

const code = pack([joinBuffer("st", "add:def add(a, b):\n    return a + b\n")]);
let caller: Caller;
let manager: EndpointId;
let fn: FunctionId;

beforeEach(async () => {
	caller = await newAccount("ada");
	manager = await register();
	await cloud.bus.heartbeat(manager, { heartbeat_period: 30 });
	fn = await cloud.operations.registerFunction(caller, { function_name: "add", function_code: code });
});

async function newAccount(username: string): Promise<Caller> {
	const made = account({ username });
	const name = `${username}-${made.accountId}`;
	await cloud.database.query("insert into accounts (id, kind, username) values ($1, 'person', $2)", [
		made.accountId,
		name,
	]);
	return made;
}

async function register(id?: EndpointId): Promise<EndpointId> {
	const { endpoint_id } = await cloud.operations.registerEndpoint(caller, id, {
		endpoint_name: "lab",
		public: false,
		metadata: { user_config_template: "engine: {}", endpoint_version: "4.19.0" },
	});
	return endpoint_id as EndpointId;
}

const submit = (config: Record<string, unknown> = {}, tasks = [packedArguments(1, 2)]) =>
	cloud.operations.submit(caller, manager, { tasks: { [fn]: tasks }, user_endpoint_config: config }, undefined);

interface Command {
	command: string;
	kwargs: { name: string; user_opts: unknown; user_runtime: unknown; amqp_creds: { endpoint_id: EndpointId } };
	globus_effective_identity: string;
	globus_identity_set: { sub: string }[];
}
const commands = (): Command[] => cloud.bus.commands(manager) as unknown as Command[];

/** The user endpoint of the nth command. */
async function asked(nth: number): Promise<EndpointId> {
	await cloud.bus.until(() => commands().length >= nth);
	return (commands()[nth - 1] as Command).kwargs.amqp_creds.endpoint_id;
}

const checkIn = (id: EndpointId) => cloud.bus.heartbeat(id, { heartbeat_period: 30, active: true });

/** A submit whose user endpoint checks in. */
async function started(config: Record<string, unknown> = {}) {
	const before = commands().length;
	const submitted = submit(config);
	const userEndpoint = await asked(before + 1);
	await checkIn(userEndpoint);
	const [task] = (await submitted).tasks[fn] as [TaskId];
	return { userEndpoint, task };
}

async function answer(from: EndpointId, task: TaskId, data: string): Promise<void> {
	const body = encodeMessage("result", { task_id: task, data });
	await cloud.bus.publish(exchanges.results, routingKey(from, "results"), body, { contentType: contentTypes.json });
	const message = cloud.bus.sent.at(-1);
	if (message !== undefined) await cloud.bus.taken(message);
}

const messagesTo = (id: EndpointId) => cloud.bus.sent.filter((message) => message.routingKey === taskQueue(id));
const stateOf = async (task: TaskId) => (await cloud.operations.getTask(caller, task)).state;

test("GC-9: a manager is told whom to start, and the task goes to that one as a message of the public interface", async () => {
	const { userEndpoint, task } = await started({ workers: 2 });
	const [command] = commands();
	expect(command).toMatchObject({
		command: "cmd_start_endpoint",
		args: [],
		kwargs: { name: `uep.${manager}.${userEndpoint}`, user_opts: { workers: 2 }, user_runtime: {} },
		globus_effective_identity: caller.accountId,
		globus_identity_set: [{ sub: caller.accountId }],
	});
	expect(command?.kwargs.amqp_creds).toMatchObject({
		task_queue_info: { queue: `${userEndpoint}.tasks` },
		result_queue_info: { queue_publish_kwargs: { routing_key: `${userEndpoint}.results` } },
	});
	const [message] = messagesTo(userEndpoint);
	expect(message?.properties.headers).toMatchObject({
		function_uuid: fn,
		task_uuid: task,
		result_serializers: expect.arrayContaining(["globus_compute_sdk.serialize.concretes.JSONData"]),
	});
	expect(decodeMessage("task", message?.body as Uint8Array)).toMatchObject({
		task_id: task,
		task_buffer: code + packedArguments(1, 2),
	});
	await answer(userEndpoint, task, "11\n3");
	expect(await cloud.operations.getTask(caller, task)).toMatchObject({ state: "success", result: "11\n3" });
});

test("a user endpoint that lives is not asked for again; another configuration is another one", async () => {
	const { userEndpoint } = await started({ workers: 1 });
	await submit({ workers: 1 });
	expect(commands()).toHaveLength(1);
	expect(messagesTo(userEndpoint)).toHaveLength(2);
	expect((await started({ workers: 2 })).userEndpoint).not.toBe(userEndpoint);
});

test("submits that come together wait for one start", async () => {
	const both = [submit(), submit()];
	await checkIn(await asked(1));
	await Promise.all(both);
	expect(commands()).toHaveLength(1);
});

test("an earlier process of that name that still ends what it runs is waited for", async () => {
	const submitted = submit();
	const userEndpoint = await asked(1);
	const says = "Another instance of this endpoint is running.  (Perhaps on another login node?)  Refusing to start.";
	await cloud.bus.heartbeat(userEndpoint, { error: says, heartbeat_period: 3 });
	await expect.poll(async () => (await findUserEndpoint(cloud.database, userEndpoint))?.start_error).toBeNull();
	await checkIn(userEndpoint);
	const [task] = (await submitted).tasks[fn] as [TaskId];
	await answer(userEndpoint, task, "11\n3");
	expect(await stateOf(task)).toBe("success");
});

test("GC-9: what the manager says of a failed start is the submit's error, and nothing is recorded", async () => {
	const submitted = submit({ workers: "many" });
	submitted.catch(() => undefined);
	await cloud.bus.heartbeat(await asked(1), { error: "'many' is not of type 'integer'", heartbeat_period: 3 });
	await expect(submitted).rejects.toMatchObject({
		code: "SEMANTICALLY_INVALID",
		message: expect.stringContaining("is not of type 'integer'"),
	});
	expect((await cloud.operations.listTasks(caller, { limit: 10 })).items).toEqual([]);
});

test("a fault under the manager's own id is not taken for its end", async () => {
	await cloud.bus.heartbeat(manager, { error: "(SystemExit) 73", heartbeat_period: 3 });
	expect(await cloud.operations.getEndpoint(caller, manager)).toMatchObject({ status: "online" });
});

test("only the task's own user endpoint can end it, not its neighbour and not the manager", async () => {
	const { userEndpoint, task } = await started({ workers: 1 });
	const { userEndpoint: neighbour } = await started({ workers: 2 });
	for (const stranger of [neighbour, manager]) await answer(stranger, task, "11\n666");
	expect(await stateOf(task)).toBe("received");
	await answer(userEndpoint, task, "11\n3");
	expect(await stateOf(task)).toBe("success");
});

test("a user endpoint that says farewell with tasks left is asked for again and gets them", async () => {
	const { userEndpoint, task } = await started();
	await cloud.bus.heartbeat(userEndpoint, { heartbeat_period: 30, active: false });
	expect(await asked(2)).toBe(userEndpoint);
	await cloud.bus.until(() => messagesTo(userEndpoint).length === 2);
	await checkIn(userEndpoint);
	await answer(userEndpoint, task, "11\n3");
	expect(await stateOf(task)).toBe("success");
});

test("a manager that is offline gets the tasks when it registers again; what it cannot start fails with its words", async () => {
	await cloud.bus.heartbeat(manager, { heartbeat_period: 0 });
	const [task] = (await submit()).tasks[fn] as [TaskId];
	expect(commands()).toHaveLength(0);
	await register(manager);
	const failed = new Promise<void>((resolve) => cloud.events.once("results:recorded", () => resolve()));
	await cloud.bus.heartbeat(await asked(1), { error: "no such account", heartbeat_period: 3 });
	await failed;
	expect(await cloud.operations.getTask(caller, task)).toMatchObject({
		state: "failed",
		failure: { code: "RESOURCES_UNAVAILABLE", message: expect.stringContaining("no such account") },
	});
});

test("a cancelled task ends at once, and what its endpoint says afterwards is dropped", async () => {
	const { userEndpoint, task } = await started();
	expect(await cloud.operations.cancelTasks(caller, { taskIds: [task] })).toMatchObject({ cancelled: [task] });
	await answer(userEndpoint, task, "11\n3");
	expect(await stateOf(task)).toBe("cancelled");
	expect(commands()).toHaveLength(1);
});

test("a JavaScript function is refused before a process is asked for", async () => {
	const javascript = await cloud.operations.registerFunction(caller, {
		function_name: "double",
		function_code: pack([joinBuffer("ej", "default:export default (x) => 2 * x")]),
	});
	const submitted = cloud.operations.submit(
		caller,
		manager,
		{ tasks: { [javascript]: [packedArguments(1)] } },
		undefined,
	);
	await expect(submitted).rejects.toMatchObject({ code: "FUNCTION_NOT_PERMITTED" });
	expect(commands()).toHaveLength(0);
});

test("locking a manager ends its user endpoints' access, deleting it takes their queues", async () => {
	const { userEndpoint, task } = await started();
	await cloud.operations.lockEndpoint(caller, manager);
	expect(cloud.broker.calls).toContain(`revoke ${userEndpoint}`);
	await answer(userEndpoint, task, "11\n3");
	await cloud.operations.deleteEndpoint(caller, manager);
	expect(cloud.broker.queues.has(userEndpoint)).toBe(false);
});

test("an endpoint from before managers takes its tasks itself, one a message", async () => {
	const registered = await cloud.operations.registerEndpoint(caller, undefined, {
		endpoint_name: "old",
		metadata: { endpoint_version: "3.0.0" },
	});
	const old = registered.endpoint_id as EndpointId;
	const { tasks } = await cloud.operations.submit(caller, old, { tasks: { [fn]: [packedArguments(1, 2)] } }, undefined);
	const [task] = tasks[fn] as [TaskId];
	expect(messagesTo(old).map((message) => message.properties.headers?.task_uuid)).toEqual([task]);
	await answer(old, task, "11\n3");
	expect(await stateOf(task)).toBe("success");
});

test("HQ-8: a task whose process is lost again and again is given up, with a sentence", async () => {
	const { userEndpoint, task } = await started();
	for (let losses = 1; losses <= 3; losses++) {
		await cloud.database.query(
			`update user_endpoints set last_seen_at = now() - interval '1 hour', asked_at = now() - interval '2 hours',
				heartbeat_period_ms = 1`,
		);
		await cloud.sweep(new Date());
		await asked(1 + losses);
		await checkIn(userEndpoint);
		// Answered when the start that it waits for has ended.
		const [other] = (await submit()).tasks[fn] as [TaskId];
		await answer(userEndpoint, other, "11\n3");
	}
	expect(await cloud.operations.getTask(caller, task)).toMatchObject({
		state: "failed",
		failure: { code: "LOST", message: expect.stringContaining("3 times") },
	});
});
