import {
	type EndpointId,
	type FunctionId,
	idFromBytes,
	idToBytes,
	joinBuffer,
	newId,
	pack,
	type StartUserEndpointCommand,
	startUserEndpointCommand,
	type TaskId,
} from "@errand/proto";
import type { EndpointRegistration } from "@errand/proto/rest";
import { TaskState } from "@errand/proto/wire";
import { beforeEach, describe, expect, test } from "vitest";
import type { Caller } from "../policy/caller.ts";
import { account, cloudEachTest, endpointKeyOf, packedArguments, success, type TestCloud } from "./test-cloud.ts";

let cloud: TestCloud;
cloudEachTest((opened) => {
	cloud = opened;
});

let owner: Caller;
let ada: Caller;
let manager: EndpointId;
let fn: FunctionId;

beforeEach(async () => {
	[owner, ada] = [await person("owner"), await person("ada")];
	manager = await register();
	await cloud.bus.heartbeat(manager, { heartbeat_period: 30 });
	fn = await cloud.operations.registerFunction(owner, {
		function_name: "double",
		function_code: pack([joinBuffer("ej", "default:export default (x) => 2 * x")]),
		public: true,
	});
});

async function person(name: string): Promise<Caller> {
	const caller = account({ username: `${name}-${newId<TaskId>().slice(0, 8)}` });
	await cloud.database.query("insert into accounts (id, kind, username) values ($1, 'person', $2)", [
		caller.accountId,
		caller.username,
	]);
	return caller;
}

type Metadata = NonNullable<EndpointRegistration["metadata"]>;

async function register(
	more: { id?: EndpointId; running?: EndpointId[]; alone?: boolean; metadata?: Metadata; functions?: string[] } = {},
): Promise<EndpointId> {
	const { endpoint_id } = await cloud.operations.registerEndpoint(owner, more.id, {
		endpoint_name: "cluster",
		...(more.alone !== true && { multi_user: true }),
		...(more.functions && { allowed_functions: more.functions }),
		metadata: {
			errand_protocol: 1,
			errand_manager: true,
			user_config_template: "max_blocks: 1",
			...(more.running && { errand_user_endpoints: more.running }),
			...more.metadata,
		},
	});
	return endpoint_id as EndpointId;
}

const submit = (caller: Caller, config: Record<string, unknown> = {}, count = 1) =>
	cloud.operations.submit(
		caller,
		manager,
		{ tasks: { [fn]: Array(count).fill(packedArguments(1)) }, user_endpoint_config: config },
		undefined,
	);

const commands = () => cloud.bus.commands(manager) as StartUserEndpointCommand[];

/** The nth command, as a manager reads it. */
async function asked(nth: number): Promise<{ id: EndpointId; command: StartUserEndpointCommand }> {
	await cloud.bus.until(() => commands().length >= nth);
	const command = startUserEndpointCommand.parse(commands()[nth - 1]);
	return { id: command.kwargs.amqp_creds.endpoint_id as EndpointId, command };
}

const holder = () => ({ holder_id: newId<TaskId>(), host: "login-1", pid: 42 });

/** What the process of a user endpoint does when it comes up. */
async function comeUp(of: Caller, id: EndpointId, journal: string = newId<TaskId>()) {
	const key = endpointKeyOf(of, id);
	const lease = holder();
	await cloud.operations.takeLease(key, id, lease);
	const registration = {
		endpoint_name: `uep.${manager}.${id}`,
		metadata: { errand_protocol: 1 as const, errand_journal_id: journal },
	};
	const places = await cloud.operations.registerEndpoint(key, id, registration);
	await cloud.bus.heartbeat(id, { heartbeat_period: 30, active: true });
	return { key, journal, lease, registration, places };
}

/** A submit whose user endpoint comes up. */
async function started(of: Caller, config: Record<string, unknown> = {}) {
	const before = commands().length;
	const submitted = submit(of, config);
	const { id, command } = await asked(before + 1);
	const process = await comeUp(of, id);
	const [task] = (await submitted).tasks[fn] as [TaskId];
	return { id, command, task, ...process };
}

const taken = async (from: EndpointId, task: TaskId) =>
	cloud.bus.taken(await cloud.bus.results(from, [success(task, "11\n2")]));
const explained = (task: TaskId) => cloud.operations.explainTask(ada, task);
const stateOf = async (of: Caller, task: TaskId) => (await cloud.operations.getTask(of, task)).state;
const idsSentTo = (id: EndpointId) => cloud.bus.tasks(id).map((task) => idFromBytes<TaskId>(task.id));
const refusedAccess = { code: "ENDPOINT_ACCESS_FORBIDDEN" };

describe("GC-9: a manager of ours starts one of our daemons for each account and configuration", () => {
	test("it is told whom to start, with a key for the process, and the task goes to that one in a batch", async () => {
		const { id, command, task, places } = await started(ada, { nodes: 2 });
		expect(command).toMatchObject({
			kwargs: {
				name: `uep.${manager}.${id}`,
				user_opts: { nodes: 2 },
				user_runtime: {},
				errand: { cloud_url: "http://localhost:5000", client_id: cloud.keys.clientIds.get(id), client_secret: "once" },
			},
			globus_effective_identity: ada.accountId,
			globus_username: ada.username,
		});
		expect(places).toMatchObject({
			endpoint_id: id,
			task_queue_info: { queue: `${id}.tasks` },
			command_queue_info: { queue: `${id}.commands` },
			report_queue_info: { queue_publish_kwargs: { routing_key: `${id}.reports` } },
		});
		expect(idsSentTo(id)).toEqual([task]);
		expect(idsSentTo(manager)).toEqual([]);
		await cloud.bus.reports(id, [
			{
				taskId: idToBytes(task),
				atUs: Date.now() * 1000,
				event: { case: "state", value: { state: TaskState.RUNNING, host: "n1", reason: "" } },
			},
		]);
		expect(await stateOf(ada, task)).toBe("running");
		await taken(id, task);
		expect(await cloud.operations.getTask(ada, task)).toMatchObject({ state: "success", endpoint_id: manager });
	});

	test("the same account and configuration is one, another account or configuration another", async () => {
		const first = await started(ada, { nodes: 1, gpus: 2 });
		await submit(ada, { gpus: 2, nodes: 1 });
		expect(commands()).toHaveLength(1);
		expect(idsSentTo(first.id)).toHaveLength(2);
		const ids = new Set([
			first.id,
			(await started(ada, { nodes: 2 })).id,
			(await started(owner, { nodes: 1, gpus: 2 })).id,
		]);
		expect(ids.size).toBe(3);
	});

	test("only the task's own user endpoint reports on it and ends it: not its neighbour, not the manager", async () => {
		const { id, task } = await started(ada);
		const neighbour = await started(owner);
		const unknown: EndpointId[] = [];
		cloud.events.on("task:unknown-result", ({ endpoint }) => unknown.push(endpoint));
		for (const stranger of [neighbour.id, manager]) {
			await cloud.bus.reports(stranger, [
				{
					taskId: idToBytes(task),
					atUs: Date.now() * 1000,
					event: { case: "state", value: { state: TaskState.RUNNING, host: "n1", reason: "" } },
				},
			]);
			await taken(stranger, task);
		}
		expect(unknown).toEqual([neighbour.id, manager]);
		expect(await stateOf(ada, task)).toBe("received");
		await taken(id, task);
		expect(await stateOf(ada, task)).toBe("success");
	});

	test("large arguments are read by the task's own user endpoint, by its neighbour not", async () => {
		const { id, key } = await started(ada);
		const neighbour = await started(owner);
		const large = pack([joinBuffer("11", JSON.stringify(["x".repeat(300 * 1024)])), joinBuffer("11", "{}")]);
		await cloud.operations.submit(ada, manager, { tasks: { [fn]: [large] } }, undefined);
		const sha256 = Buffer.from(cloud.bus.tasks(id).at(-1)?.payloadReference?.sha256 ?? []).toString("hex");
		expect(await cloud.operations.hasBlob(key, sha256)).toBe(true);
		for (const stranger of [neighbour.key, endpointKeyOf(owner, manager)])
			expect(await cloud.operations.hasBlob(stranger, sha256)).toBe(false);
	});

	test.each(["its own", "the manager's"])(
		"what is said of a failed start under %s name is the submit's error",
		async (whose) => {
			const submitted = submit(ada, { nodes: "many" });
			submitted.catch(() => undefined);
			const { id } = await asked(1);
			const words = "nodes: 'many' is not an integer; ask ops@example.org";
			if (whose === "its own") await cloud.bus.heartbeat(id, { error: words, heartbeat_period: 3 });
			else await cloud.bus.heartbeat(manager, { error: words, heartbeat_period: 3 }, id);
			await expect(submitted).rejects.toMatchObject({
				code: "SEMANTICALLY_INVALID",
				message: expect.stringContaining(words),
			});
			expect((await cloud.operations.listTasks(ada, { limit: 10 })).items).toEqual([]);
		},
	);

	test("a reason that may pass is the submit's error too, but tasks that were accepted wait for another start", async () => {
		const { id, task, journal } = await started(ada);
		const words = "this endpoint runs as many user endpoints as it may (1)";
		const refuse = () => cloud.bus.heartbeat(id, { error: words, heartbeat_period: 3, transient: true });
		await cloud.bus.heartbeat(id, { heartbeat_period: 30, active: false });
		await asked(2);
		await refuse();
		await expect.poll(() => explained(task)).toMatchObject({ sentence: expect.stringContaining(words) });
		await cloud.sweep(new Date());
		const submitted = submit(ada);
		submitted.catch(() => undefined);
		await asked(3);
		await refuse();
		await expect(submitted).rejects.toMatchObject({
			code: "SEMANTICALLY_INVALID",
			message: expect.stringContaining(words),
		});
		await cloud.sweep(new Date());
		expect(commands()).toHaveLength(3);
		expect(await stateOf(ada, task)).toBe("received");
		await cloud.database.query("update user_endpoints set asked_at = now() - interval '2 minutes'");
		await cloud.sweep(new Date());
		expect((await asked(4)).id).toBe(id);
		await comeUp(ada, id, journal);
		await taken(id, task);
		expect(await stateOf(ada, task)).toBe("success");
	});

	test.each([false, "yes", undefined])(
		"tasks that were accepted end with a reason that stays (transient: %s)",
		async (transient) => {
			const { id, task } = await started(ada);
			await cloud.bus.heartbeat(id, { heartbeat_period: 30, active: false });
			await asked(2);
			await cloud.bus.heartbeat(id, { error: "no account for ada", heartbeat_period: 3, transient });
			await expect.poll(() => stateOf(ada, task)).toBe("failed");
		},
	);

	test("a manager says nothing of a user endpoint of another manager, nor that one of its own lives", async () => {
		const { id, task } = await started(ada);
		const other = await cloud.operations.registerEndpoint(ada, undefined, {
			endpoint_name: "other",
			metadata: { errand_protocol: 1, errand_manager: true },
		});
		await cloud.bus.heartbeat(other.endpoint_id as EndpointId, { error: "gone", heartbeat_period: 3 }, id);
		await cloud.bus.heartbeat(manager, { heartbeat_period: 30, active: false }, id);
		const { items } = await cloud.operations.listUserEndpoints(ada, manager, { limit: 10 });
		expect(items).toMatchObject([{ id, status: "online", start_error: null, unfinished_tasks: 1 }]);
		expect(await stateOf(ada, task)).toBe("received");
	});
});

describe("GC-9: a user endpoint is the process that was asked for last, and nobody else", () => {
	test("nobody but its own key registers it or takes its lease", async () => {
		const { id, key, registration } = await started(ada);
		const neighbour = await started(owner);
		const strangers = [ada, owner, account({ admin: true }), endpointKeyOf(owner, manager), neighbour.key];
		for (const stranger of strangers) {
			await expect(cloud.operations.registerEndpoint(stranger, id, registration)).rejects.toMatchObject(refusedAccess);
			await expect(cloud.operations.takeLease(stranger, id, holder())).rejects.toMatchObject(refusedAccess);
			await expect(cloud.operations.releaseLease(stranger, id, holder())).rejects.toMatchObject(refusedAccess);
		}
		await expect(cloud.operations.takeLease(key, id, holder())).rejects.toMatchObject({ code: "LEASE_HELD" });
	});

	test("it is no endpoint: not listed, read, submitted to, shared, locked, deleted or given a key", async () => {
		const { id, key } = await started(ada);
		const { operations } = cloud;
		expect((await operations.listEndpoints(ada, { limit: 10 })).items).toEqual([]);
		expect((await operations.listEndpoints(owner, { limit: 10 })).items.map((one) => one.id)).toEqual([manager]);
		for (const attempt of [
			() => operations.getEndpoint(ada, id),
			() => operations.getEndpoint(key, id),
			() => operations.submit(ada, id, { tasks: { [fn]: [packedArguments(1)] } }, undefined),
			() =>
				operations.shareEndpoint(owner, id, {
					account: owner.username,
					functions: null,
					tasks_per_day: null,
					container_image: null,
				}),
			() => operations.lockEndpoint(owner, id),
			() => operations.deleteEndpoint(ada, id),
			() => operations.makeEndpointKey(ada, id),
			() => operations.listUserEndpoints(ada, id, { limit: 10 }),
		])
			await expect(attempt()).rejects.toMatchObject({ code: "ENDPOINT_NOT_FOUND" });
	});

	test("asking again makes another key and frees the lease of the process before", async () => {
		const { id, command, key, task } = await started(ada);
		await cloud.bus.heartbeat(id, { heartbeat_period: 30, active: false });
		const again = await asked(2);
		expect(again.id).toBe(id);
		const keyOf = (of: StartUserEndpointCommand) => of.kwargs.errand.client_id;
		expect(keyOf(again.command)).not.toBe(keyOf(command));
		expect(keyOf(again.command)).toBe(cloud.keys.clientIds.get(id));
		expect(await cloud.operations.takeLease(key, id, holder())).toMatchObject({ epoch: 2 });
		expect(await cloud.operations.explainTask(ada, task)).toMatchObject({ word: "user-endpoint-starting" });
		await comeUpAgain(id, newId<TaskId>());
		await cloud.bus.heartbeat(id, { heartbeat_period: 30, active: true });
		expect(await cloud.operations.explainTask(ada, task)).toMatchObject({ word: "delivery" });
	});

	test("a new journal gets everything unfinished, the same one nothing twice", async () => {
		const { id, task, journal } = await started(ada);
		expect(idsSentTo(id)).toEqual([task]);
		await comeUpAgain(id, journal);
		expect(idsSentTo(id)).toEqual([task]);
		await comeUpAgain(id, newId<TaskId>());
		expect(idsSentTo(id)).toEqual([task, task]);
	});

	test("a queue that was lost is filled again, whatever the journal", async () => {
		const { id, task, journal } = await started(ada);
		cloud.broker.queues.delete(id);
		await comeUpAgain(id, journal);
		expect(idsSentTo(id)).toEqual([task, task]);
	});

	async function comeUpAgain(id: EndpointId, journal: string): Promise<void> {
		await cloud.operations.registerEndpoint(endpointKeyOf(ada, id), id, {
			endpoint_name: "x",
			metadata: { errand_protocol: 1, errand_journal_id: journal },
		});
	}

	test.each([
		["a manager", { errand_protocol: 1, errand_manager: true, errand_journal_id: newId<TaskId>() }],
		["an endpoint without a journal", { errand_protocol: 1 }],
		["one of Globus Compute", {}],
	] as const)("it does not register as %s", async (_what, metadata) => {
		const { id, key } = await started(ada);
		await expect(cloud.operations.registerEndpoint(key, id, { endpoint_name: "x", metadata })).rejects.toMatchObject({
			code: "SEMANTICALLY_INVALID",
		});
	});
});

describe("GC-9: user endpoints live longer than their manager's process, and not longer than the manager", () => {
	test("those that the manager still runs stay; the others end, and those with tasks are asked for again", async () => {
		const [kept, left, idle] = [
			await started(ada, { n: 1 }),
			await started(ada, { n: 2 }),
			await started(ada, { n: 3 }),
		];
		await taken(idle.id, idle.task);
		cloud.broker.calls.length = 0;
		await register({ id: manager, running: [kept.id] });
		const again = await asked(4);
		expect(again.id).toBe(left.id);
		expect(cloud.broker.calls).toEqual(expect.arrayContaining([`revoke ${left.id}`, `revoke ${idle.id}`]));
		expect(cloud.broker.calls).not.toContain(`revoke ${kept.id}`);
		expect([...cloud.keys.clientIds.keys()].sort()).toEqual([kept.id, left.id].sort());
		const { items } = await cloud.operations.listUserEndpoints(ada, manager, { limit: 10 });
		const statuses = Object.fromEntries(items.map(({ id, status }) => [id, status]));
		expect(statuses).toEqual({ [kept.id]: "online", [left.id]: "offline", [idle.id]: "offline" });
		// A heartbeat that was on its way does not make it live again.
		await cloud.bus.heartbeat(idle.id, { heartbeat_period: 30, active: true });
		await expect(cloud.operations.takeLease(idle.key, idle.id, holder())).rejects.toMatchObject(refusedAccess);
		const resubmitted = submit(ada, { n: 3 });
		expect((await asked(5)).id).toBe(idle.id);
		await comeUp(ada, idle.id);
		await resubmitted;
		await submit(ada, { n: 1 });
		expect(commands()).toHaveLength(5);
	});

	test("one whose command is still on its way is left as it is when the manager registers", async () => {
		const submitted = submit(ada);
		const { id, command } = await asked(1);
		await register({ id: manager, running: [] });
		expect(cloud.keys.clientIds.get(id)).toBe(command.kwargs.errand.client_id);
		await comeUp(ada, id);
		await submitted;
		expect(cloud.broker.calls).not.toContain(`revoke ${id}`);
	});

	test("one that was asked for and is slow to come up is not asked for again: that would end its key", async () => {
		const { id, command, journal } = await started(ada);
		// As if by another cloud process.
		await cloud.database.query(
			`update user_endpoints set last_seen_at = now() - interval '3 minutes', asked_at = now() - interval '2 minutes',
				active = false, lease_holder = null where id = $1`,
			[id],
		);
		await cloud.sweep(new Date());
		const submitted = submit(ada);
		await comeUp(ada, id, journal);
		await submitted;
		expect(commands()).toHaveLength(1);
		expect(cloud.keys.clientIds.get(id)).toBe(command.kwargs.errand.client_id);
		// One that failed is asked for at once.
		await cloud.bus.heartbeat(id, { error: "the home directory is full", heartbeat_period: 3 });
		await cloud.sweep(new Date());
		expect((await asked(2)).id).toBe(id);
	});

	test("a manager that is locked while it is asked leaves nothing behind", async () => {
		const { broker } = cloud;
		const provision = broker.provisionEndpoint.bind(broker);
		broker.provisionEndpoint = async (id) => {
			const place = await provision(id);
			broker.provisionEndpoint = provision;
			await cloud.operations.lockEndpoint(owner, manager);
			return place;
		};
		await expect(submit(ada)).rejects.toMatchObject({
			...refusedAccess,
			message: expect.stringContaining("was locked or deleted"),
		});
		expect(commands()).toEqual([]);
		expect(cloud.keys.clientIds.size).toBe(0);
		expect(broker.calls.at(-1)).toMatch(/^revoke /);
	});

	test("a submit that waits for a start ends with the manager", async () => {
		const submitted = submit(ada);
		submitted.catch(() => undefined);
		await asked(1);
		await cloud.operations.deleteEndpoint(owner, manager);
		await expect(submitted).rejects.toMatchObject(refusedAccess);
	});

	test("the process of a manager that is away goes on and gets tasks", async () => {
		const { id } = await started(ada);
		await cloud.bus.heartbeat(manager, { heartbeat_period: 0 });
		const { tasks } = await submit(ada);
		expect(idsSentTo(id)).toContain(tasks[fn]?.[0]);
		expect(commands()).toHaveLength(1);
	});

	test("one that is gone with tasks left is asked for again by the sweep; its losses are its daemon's to count", async () => {
		const { id, task, journal } = await started(ada);
		for (let losses = 1; losses <= 4; losses++) {
			await silence("heartbeat_period_ms = 1");
			await cloud.sweep(new Date());
			await asked(1 + losses);
			await comeUp(ada, id, journal);
			await submit(ada);
		}
		await taken(id, task);
		expect(await stateOf(ada, task)).toBe("success");
		expect(idsSentTo(id).filter((sent) => sent === task)).toHaveLength(1);
	});

	test("one that nobody has used for as long as tasks are kept is forgotten, with its key", async () => {
		const [idle, busy] = [await started(ada, { nodes: 1 }), await started(ada, { nodes: 2 })];
		await taken(idle.id, idle.task);
		await cloud.database.query(
			"update user_endpoints set created_at = created_at - interval '15 days', asked_at = asked_at - interval '15 days', last_seen_at = last_seen_at - interval '15 days'",
		);
		await cloud.sweep(new Date());
		const { items } = await cloud.operations.listUserEndpoints(owner, manager, { limit: 10 });
		expect(items.map(({ id }) => id)).toEqual([busy.id]);
		await expect(cloud.operations.takeLease(idle.key, idle.id, holder())).rejects.toMatchObject({
			code: "ENDPOINT_NOT_FOUND",
		});
		expect(idsSentTo(busy.id)).toContain(busy.task);
	});

	test("a cloud that was away lets them be heard of before it takes them for gone", async () => {
		await started(ada);
		await silence();
		await cloud.sweep(new Date());
		await submit(ada);
		expect(commands()).toHaveLength(1);
	});

	/** As after an hour without a heartbeat. */
	async function silence(more = "active = active"): Promise<void> {
		await cloud.database.query(
			`update user_endpoints set last_seen_at = now() - interval '1 hour', asked_at = now() - interval '2 hours', ${more}
			where endpoint_id = $1`,
			[manager],
		);
	}

	test.each(["lock", "delete"] as const)(
		"to %s the manager ends their keys, broker users and processes",
		async (how) => {
			const { id, key, task, registration } = await started(ada);
			await taken(id, task);
			if (how === "lock") await cloud.operations.lockEndpoint(owner, manager);
			else await cloud.operations.deleteEndpoint(owner, manager);
			expect(cloud.keys.clientIds.has(id)).toBe(false);
			expect(cloud.broker.calls).toContain(`revoke ${id}`);
			if (how === "delete") expect(cloud.broker.queues.has(id)).toBe(false);
			// With a token from before: it is refused for good, so that the daemon ends.
			const code =
				how === "lock" ? "ENDPOINT_ACCESS_FORBIDDEN" : expect.stringMatching(/^(ENDPOINT_NOT_FOUND|FORBIDDEN)$/);
			await expect(cloud.operations.takeLease(key, id, holder())).rejects.toMatchObject({ code });
			await expect(cloud.operations.registerEndpoint(key, id, registration)).rejects.toMatchObject({ code });
		},
	);

	test("a manager with unfinished tasks of its user endpoints is not deleted", async () => {
		await started(ada);
		await expect(cloud.operations.deleteEndpoint(owner, manager)).rejects.toMatchObject({ code: "RESOURCE_CONFLICT" });
	});

	test("what has unfinished tasks does not become, or stop being, a manager", async () => {
		const { id, task } = await started(ada);
		const single = { errand_protocol: 1 as const, errand_journal_id: newId<TaskId>() };
		const turn = () =>
			cloud.operations.registerEndpoint(owner, manager, { endpoint_name: "cluster", metadata: single });
		await expect(turn()).rejects.toMatchObject({
			code: "RESOURCE_CONFLICT",
			message: expect.stringContaining("errand task cancel --endpoint cluster"),
		});
		await taken(id, task);
		await turn();
		expect(cloud.broker.queues.has(id)).toBe(false);
		await expect(cloud.operations.retryTask(ada, task)).rejects.toMatchObject(refusedAccess);
		const retry = await cloud.operations.retryTask({ ...ada, admin: true }, task);
		expect(idsSentTo(manager)).toEqual([retry]);
	});
});

test("GC-9: a cancel reaches the user endpoint's own commands, again until the task ends", async () => {
	const { id, task } = await started(ada);
	expect(await cloud.operations.cancelTasks(ada, { taskIds: [task] })).toMatchObject({ requested: [task] });
	const cancels = () => cloud.bus.commands(id);
	expect(cancels()).toMatchObject([{ command: "cmd_cancel_tasks", kwargs: { task_ids: [task] } }]);
	await cloud.database.query("update tasks set cancel_requested_at = now() - interval '1 hour'");
	await cloud.sweep(new Date());
	expect(cancels()).toHaveLength(2);
	expect(commands()).toHaveLength(1);
});

test("GC-9: a retry goes to the user endpoint that the task had", async () => {
	const { id, task } = await started(ada, { nodes: 3 });
	await taken(id, task);
	const retry = await cloud.operations.retryTask(ada, task);
	expect(idsSentTo(id)).toEqual([task, retry]);
});

test("GC-9: the endpoint's owner sees everybody's user endpoints, others their own, with pages", async () => {
	const hers = [await started(ada, { n: 1 }), await started(ada, { n: 2 })];
	const his = await started(owner);
	await cloud.bus.heartbeat(his.id, { error: "the account has expired", heartbeat_period: 3 });
	const list = async (caller: Caller) =>
		(await cloud.operations.listUserEndpoints(caller, manager, { limit: 10 })).items;
	expect((await list(ada)).map((one) => one.id).sort()).toEqual(hers.map((one) => one.id).sort());
	expect(await list(await person("stranger"))).toEqual([]);
	expect(await list(owner)).toHaveLength(3);
	expect((await list(owner)).find((one) => one.id === his.id)).toMatchObject({
		owner: { id: owner.accountId, username: owner.username },
		config: {},
		status: "failed",
		start_error: "the account has expired",
	});
	const first = await cloud.operations.listUserEndpoints(owner, manager, { limit: 2 });
	const rest = await cloud.operations.listUserEndpoints(owner, manager, { limit: 2, cursor: first.next_cursor ?? "" });
	expect([...first.items, ...rest.items].map((one) => one.id)).toEqual((await list(owner)).map((one) => one.id));
	expect(rest.next_cursor).toBeNull();
	await register({ id: manager, alone: true, running: [...hers, his].map((one) => one.id) });
	await expect(list(ada)).rejects.toMatchObject(refusedAccess);
});

test("GC-9: a manager without root serves its owner: others are refused, and nobody is invited", async () => {
	await register({ id: manager, alone: true });
	await expect(submit({ ...ada, admin: true })).rejects.toMatchObject({
		...refusedAccess,
		message: expect.stringContaining("nobody but its owner"),
	});
	const share = { account: ada.username, functions: null, tasks_per_day: null, container_image: null };
	await expect(cloud.operations.shareEndpoint(owner, manager, share)).rejects.toMatchObject({
		code: "SEMANTICALLY_INVALID",
		message: expect.stringContaining("starts processes for its owner only"),
	});
	expect(commands()).toEqual([]);
	await started(owner);
});

test("GC-9: the manager's list of allowed functions holds for its user endpoints", async () => {
	await register({ id: manager, functions: [newId<TaskId>()] });
	await expect(submit(ada)).rejects.toMatchObject({ code: "FUNCTION_NOT_PERMITTED" });
	expect(commands()).toEqual([]);
});

test("an id that a user endpoint has cannot be registered as an endpoint, and cannot be foreseen", async () => {
	const { id } = await started(ada);
	const before = new Set([id]);
	await taken(id, idsSentTo(id)[0] as TaskId);
	await cloud.operations.deleteEndpoint(owner, manager);
	// The same manager, account and configuration again: another id.
	await register({ id: manager });
	await cloud.bus.heartbeat(manager, { heartbeat_period: 30 });
	const again = await started(ada);
	expect(before.has(again.id)).toBe(false);
	await expect(
		cloud.operations.registerEndpoint(owner, again.id, { endpoint_name: "mine", metadata: { errand_protocol: 1 } }),
	).rejects.toMatchObject(refusedAccess);
});
