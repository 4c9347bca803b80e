import { createHash } from "node:crypto";
import {
	demandKey,
	type EndpointId,
	Fault,
	type FunctionId,
	idFromBytes,
	idToBytes,
	inlineLimitBytes,
	newId,
	pack,
	packReference,
	submitLimitTasks,
	type TaskGroupId,
	type TaskId,
} from "@errand/proto";
import { OutputStream, TaskState } from "@errand/proto/wire";
import { expect, test } from "vitest";
import type { CloudEvents } from "../observe/events.ts";
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

async function codeOf(work: Promise<unknown>): Promise<string> {
	try {
		await work;
		return "none";
	} catch (cause) {
		if (cause instanceof Fault) return cause.code;
		throw cause;
	}
}

function nextResults(count: number): Promise<CloudEvents["results:recorded"][0][]> {
	const heard: CloudEvents["results:recorded"][0][] = [];
	return new Promise((resolve) => {
		const listen = (event: CloudEvents["results:recorded"][0]): void => {
			heard.push(event);
			if (heard.reduce((sum, one) => sum + one.results.length, 0) < count) return;
			cloud.events.off("results:recorded", listen);
			resolve(heard);
		};
		cloud.events.on("results:recorded", listen);
	});
}

async function submit(home: Awaited<ReturnType<typeof settle>>, count: number, key?: string, group?: TaskGroupId) {
	const texts = Array.from({ length: count }, (_, n) => packedArguments(n));
	const reply = await cloud.operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: texts }, ...(group === undefined ? {} : { task_group_id: group }) },
		key,
	);
	return { ids: reply.tasks[home.fn] as TaskId[], group: reply.task_group_id as TaskGroupId, texts };
}

test("GC-1: a task goes to its endpoint and its result is there by task and by group, for its owner", async () => {
	const home = await settle(cloud);
	const { ids, group, texts } = await submit(home, 2);
	const [batch] = cloud.bus.batches(home.endpoint);
	expect(batch?.functions.map((fn) => [idFromBytes(fn.id), fn.name])).toEqual([[home.fn, "double"]]);
	expect(batch?.tasks.map((task) => idFromBytes(task.id))).toEqual(ids);
	expect(batch?.tasks.map((task) => Buffer.from(task.payload).toString())).toEqual(texts);
	expect(await cloud.operations.getPublicTask(home.caller, ids[0] as TaskId)).toEqual({
		task_id: ids[0],
		status: "received",
	});

	const told = nextResults(2);
	await cloud.bus.results(home.endpoint, [
		success(ids[0] as string, "11\n0"),
		{
			taskId: idToBytes(ids[1] as string),
			outcome: {
				case: "failure",
				value: { code: "FUNCTION_FAILED", name: "Error", message: "no\u0000pe", stack: "Error: nope\n at x" },
			},
			execution: { host: "n1", runtimeVersion: "Python 3.11.7", startedAtUs: 1e15, finishedAtUs: 1e15 + 2000 },
			stdoutBytes: 3,
		},
	]);
	const [event] = await told;
	expect(event?.group).toBe(group);
	expect(event?.results.map((result) => [result.task_id, result.state, result.value])).toEqual([
		[ids[0], "success", "11\n0"],
		[ids[1], "failed", undefined],
	]);
	const page = await cloud.operations.resultsAfter(group, 0n, 10);
	expect(page.cursors).toEqual(event?.cursors);
	expect(page.results[0]).toEqual(event?.results[0]);
	expect((await cloud.operations.resultsAfter(group, page.cursors[0] as bigint, 10)).results).toHaveLength(1);

	const documents = await cloud.operations.getPublicTasks(home.caller, [...ids, newId<TaskId>()]);
	expect(documents[ids[0] as TaskId]).toMatchObject({ task_id: ids[0], status: "success", result: "11\n0" });
	expect(documents[ids[0] as TaskId]?.completion_t).toMatch(/^\d+\.\d+$/);
	expect(documents[ids[1] as TaskId]).toMatchObject({
		status: "failed",
		exception: "Error: nope\n at x",
		details: { python_version: "3.11.7", task_transitions: { "execution-start": 1e9 } },
	});
	expect(documents[ids[1] as TaskId]).not.toHaveProperty("result");
	expect(Object.values(documents)[2]).toMatchObject({
		status: "failed",
		reason: expect.stringContaining("could not be"),
	});
	expect(await cloud.operations.getPublicTaskGroup(home.caller, group)).toMatchObject({
		taskgroup_id: group,
		tasks: [{ id: ids[0] }, { id: ids[1] }],
	});
	const whole = await cloud.operations.getTask(home.caller, ids[1] as TaskId);
	expect(whole.transitions.map((step) => step.state)).toEqual(["received", "failed"]);
	expect(whole.failure?.message).toBe("no\ufffdpe");
	expect(whole.execution?.host).toBe("n1");
});

test("GC-3: ten thousand tasks in one call reach the endpoint in order, 200 at most in a message", async () => {
	const home = await settle(cloud);
	const { ids } = await submit(home, 10_000);
	const batches = cloud.bus.batches(home.endpoint);
	expect(batches.flatMap((batch) => batch.tasks.map((task) => idFromBytes(task.id)))).toEqual(ids);
	expect(Math.max(...batches.map((batch) => batch.tasks.length))).toBeLessThanOrEqual(200);
	for (const batch of batches) expect(batch.functions).toHaveLength(1);
});

test("GC-3: more than the limit in one call is refused with the limit, and nothing is recorded", async () => {
	const home = await settle(cloud);
	expect(await codeOf(submit(home, submitLimitTasks + 1))).toBe("BATCH_RUN_TOO_LARGE");
	expect((await cloud.operations.listTasks(home.caller, { limit: 10 })).items).toEqual([]);
});

test("small requests at the same time share statements and messages", async () => {
	const home = await settle(cloud);
	const replies = await Promise.all(Array.from({ length: 50 }, () => submit(home, 1)));
	const sent = cloud.bus.tasks(home.endpoint).map((task) => idFromBytes(task.id));
	expect(new Set(sent)).toEqual(new Set(replies.flatMap((reply) => reply.ids)));
	expect(cloud.bus.batches(home.endpoint).length).toBeLessThan(25);
});

test("a repeat with the same idempotency key returns the same ids and records nothing twice", async () => {
	const home = await settle(cloud);
	const key = newId<TaskId>();
	const [first, second] = await Promise.all([submit(home, 3, key), submit(home, 3, key)]);
	const third = await submit(home, 3, key);
	expect(second).toEqual(first);
	expect(third).toEqual(first);
	expect((await cloud.operations.listTasks(home.caller, { limit: 10 })).items).toHaveLength(3);
	expect(new Set(cloud.bus.tasks(home.endpoint).map((task) => idFromBytes(task.id)))).toEqual(new Set(first.ids));
	expect(await codeOf(submit(home, 4, key))).toBe("IDEMPOTENCY_KEY_REUSED");
	expect((await cloud.operations.listTasks(home.caller, { limit: 10 })).items).toHaveLength(3);
	// The key is this caller's and this endpoint's only.
	const other = await settle(cloud);
	expect((await submit(other, 3, key)).ids).not.toEqual(first.ids);
});

test("GC-4: arguments above the inline limit that come inline are stored, and travel by reference", async () => {
	const home = await settle(cloud);
	const text = packedArguments("x".repeat(inlineLimitBytes));
	await cloud.operations.submit(home.caller, home.endpoint, { tasks: { [home.fn]: [text] } }, undefined);
	const [task] = cloud.bus.tasks(home.endpoint);
	expect(task?.payload).toHaveLength(0);
	expect(Buffer.from(task?.payloadReference?.sha256 ?? []).toString("hex")).toBe(digest(text));
	expect(task?.payloadReference?.sizeBytes).toBe(text.length);
	const key = endpointKeyOf(home.caller, home.endpoint);
	expect(await read((await cloud.operations.getBlob(key, digest(text))).body)).toBe(text);
});

test("a function registered as plain source is packed for the worker; a name that source cannot bind is refused", async () => {
	const home = await settle(cloud);
	const source = { function_name: "twice", function_code: "def twice(n):\n    return 2 * n\n", serialized: false };
	const id = await cloud.operations.registerFunction(home.caller, source);
	expect((await cloud.operations.getFunction(home.caller, id)).function_code).toBe(
		pack([`st\ntwice:${source.function_code}`]),
	);
	expect(await codeOf(cloud.operations.registerFunction(home.caller, { ...source, function_name: "a:b" }))).toBe(
		"SEMANTICALLY_INVALID",
	);
});

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
	yield Buffer.from(text);
}
const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

async function read(body: AsyncIterable<Uint8Array>): Promise<string> {
	const chunks: Uint8Array[] = [];
	for await (const chunk of body) chunks.push(chunk);
	return Buffer.concat(chunks).toString();
}

test("NEW-14, GC-4: large arguments and results travel by reference, checksummed, for those concerned only", async () => {
	const home = await settle(cloud);
	const stranger = await settle(cloud);
	const key = endpointKeyOf(home.caller, home.endpoint);
	const strangersKey = endpointKeyOf(stranger.caller, stranger.endpoint);
	const text = `11\n${JSON.stringify("argument".repeat(1000))}`;
	const sha256 = digest(text);
	const { operations } = cloud;
	expect(await codeOf(operations.putBlob(home.caller, sha256, bytes("other"), undefined))).toBe("CHECKSUM_MISMATCH");
	const reference = packReference({ sha256, size_bytes: text.length });
	const send = () => operations.submit(home.caller, home.endpoint, { tasks: { [home.fn]: [reference] } }, undefined);
	expect(await codeOf(send())).toBe("BLOB_NOT_FOUND");
	await operations.putBlob(home.caller, sha256, bytes(text), text.length);
	expect(await operations.hasBlob(stranger.caller, sha256)).toBe(false);
	const reply = await send();
	const [task] = cloud.bus.tasks(home.endpoint);
	expect(Buffer.from(task?.payloadReference?.sha256 ?? []).toString("hex")).toBe(sha256);
	expect(task?.payload).toHaveLength(0);
	expect(await read((await operations.getBlob(key, sha256)).body)).toBe(text);
	for (const who of [stranger.caller, strangersKey])
		expect(await codeOf(operations.getBlob(who, sha256))).toBe("BLOB_NOT_FOUND");

	// The result: stored by the endpoint, read by the owner through the task.
	const value = `11\n${JSON.stringify("result".repeat(1000))}`;
	const named = digest(value);
	const id = (reply.tasks[home.fn] as string[])[0] as TaskId;
	await operations.putBlob(key, named, bytes(value), undefined);
	expect(await operations.hasBlob(home.caller, named)).toBe(false);
	const told = nextResults(1);
	await cloud.bus.results(home.endpoint, [
		{
			taskId: idToBytes(id),
			outcome: { case: "valueReference", value: { sha256: Buffer.from(named, "hex"), sizeBytes: 1 } },
		},
	]);
	expect((await told)[0]?.results[0]).toMatchObject({
		state: "success",
		value_reference: { sha256: named, size_bytes: Buffer.byteLength(value) },
	});
	expect(await read((await operations.getBlob(home.caller, named)).body)).toBe(value);
	expect((await operations.getPublicTask(home.caller, id)).result).toBe(value);
});

test("an endpoint cannot make somebody else's value readable by naming it as a result", async () => {
	const victim = await settle(cloud);
	await cloud.operations.putBlob(victim.caller, digest("secret"), bytes("secret"), undefined);
	const thief = await settle(cloud);
	const { ids } = await submit(thief, 1);
	const told = nextResults(1);
	await cloud.bus.results(thief.endpoint, [
		{
			taskId: idToBytes(ids[0] as string),
			outcome: { case: "valueReference", value: { sha256: Buffer.from(digest("secret"), "hex"), sizeBytes: 6 } },
		},
	]);
	expect((await told)[0]?.results[0]).toMatchObject({ state: "failed", failure: { code: "BLOB_STORE_FAILED" } });
	expect(await codeOf(cloud.operations.getBlob(thief.caller, digest("secret")))).toBe("BLOB_NOT_FOUND");
});

test("a result for another endpoint's task or for none is dropped, and its neighbours are recorded", async () => {
	const home = await settle(cloud);
	const stranger = await settle(cloud);
	const { ids } = await submit(home, 1);
	const mine = await submit(stranger, 1);
	const unknown: string[] = [];
	cloud.events.on("task:unknown-result", (event) => unknown.push(event.task));
	const ghost = newId<TaskId>();
	const told = nextResults(1);
	await cloud.bus.results(stranger.endpoint, [
		success(ids[0] as string, "11\n666"),
		success(ghost, "11\n1"),
		success(mine.ids[0] as string, "11\n1"),
	]);
	expect((await told).flatMap((event) => event.results.map((result) => result.task_id))).toEqual(mine.ids);
	await cloud.bus.until(() => cloud.bus.outcomes.length === 1);
	expect(unknown).toEqual([ids[0], ghost]);
	expect((await cloud.operations.getTask(home.caller, ids[0] as TaskId)).state).toBe("received");
});

test("a redelivered result is recorded once and told again; a second, different one changes nothing", async () => {
	const home = await settle(cloud);
	const { ids, group } = await submit(home, 1);
	let told = nextResults(1);
	const message = await cloud.bus.results(home.endpoint, [success(ids[0] as string, "11\n1")]);
	const [first] = await told;
	told = nextResults(1);
	cloud.bus.redeliver("results", message);
	expect(await told).toEqual([first]);
	await cloud.bus.results(home.endpoint, [success(ids[0] as string, "11\n2")]);
	await cloud.bus.until(() => cloud.bus.outcomes.length === 3);
	expect((await cloud.operations.resultsAfter(group, 0n, 10)).results).toEqual(first?.results);
	expect(cloud.bus.outcomes).toEqual(["ack", "ack", "ack"]);
});

test("a message that makes no sense is refused once and does not stop the others", async () => {
	const home = await settle(cloud);
	const rejected: string[] = [];
	cloud.events.on("message:rejected", (event) => rejected.push(event.queue));
	const send = (key: string, body: Buffer, contentType: string) =>
		cloud.bus.publish("results", key, body, { contentType });
	await send(`${home.endpoint}.results`, Buffer.from([0xff, 0xff, 0xff]), "application/x-errand-result-batch");
	await send(`${home.endpoint}.results`, Buffer.from("\u0001{}"), "");
	await send("nobody.results", Buffer.from(""), "application/x-errand-result-batch");
	await cloud.bus.until(() => cloud.bus.outcomes.length === 3);
	expect(cloud.bus.outcomes).toEqual(["drop", "drop", "drop"]);
	expect(rejected).toEqual(["results", "results", "results"]);
	const { ids } = await submit(home, 1);
	const told = nextResults(1);
	await cloud.bus.results(home.endpoint, [success(ids[0] as string, "11\n1")]);
	expect(await told).toHaveLength(1);
});

test("a result in the public interface's own format is taken, and copied to the group's queue when one was asked for", async () => {
	const home = await settle(cloud);
	const reply = await cloud.operations.submit(
		home.caller,
		home.endpoint,
		{ create_queue: true, tasks: { [home.fn]: [packedArguments(1), packedArguments(2)] } },
		undefined,
	);
	const [one, two] = reply.tasks[home.fn] as [string, string];
	const queue = `group.${home.caller.accountId}.${reply.task_group_id}`;
	expect(cloud.broker.calls).toContain(`declare ${home.caller.accountId} ${reply.task_group_id}`);
	const told = nextResults(2);
	const send = (data: Record<string, unknown>) =>
		cloud.bus.publish(
			"results",
			`${home.endpoint}.results`,
			Buffer.from(`\u0001${JSON.stringify({ message_type: "result", data })}`),
			{
				contentType: "",
			},
		);
	await send({ task_id: one, data: "11\n3", details: { python_version: "3.11.7" }, error_details: null });
	await send({
		task_id: two,
		data: "Traceback",
		error_details: { code: "RemoteExecutionError", user_message: "An error" },
	});
	const results = (await told).flatMap((event) => event.results);
	expect(results).toMatchObject([
		{ task_id: one, state: "success", value: "11\n3", execution: { runtime_version: "Python 3.11.7" } },
		{ task_id: two, state: "failed", failure: { code: "FUNCTION_FAILED", stack: "Traceback", message: "An error" } },
	]);
	const copies = cloud.bus.sent
		.filter((message) => message.exchange === "" && message.routingKey === queue)
		.map((message) => JSON.parse(Buffer.from(message.body).subarray(1).toString()));
	expect(copies).toMatchObject([
		{ message_type: "result", data: { task_id: one, data: "11\n3", error_details: null } },
		{
			message_type: "result",
			data: { task_id: two, data: "Traceback", error_details: { code: "RemoteExecutionError" } },
		},
	]);
});

test("states, output and progress are told as they come; what comes twice or past the cap is left out", async () => {
	const home = await settle(cloud);
	const { ids } = await submit(home, 1);
	const id = ids[0] as TaskId;
	const taskId = idToBytes(id);
	const frames: string[] = [];
	cloud.events.on("task:reported", ({ frame }) => frames.push(frame.type === "state" ? frame.state : frame.type));
	const output = (offsetBytes: number, text: string) => ({
		taskId,
		event: { case: "output" as const, value: { stream: OutputStream.STDOUT, offsetBytes, data: Buffer.from(text) } },
	});
	const state = (value: TaskState) => ({
		taskId,
		atUs: 1.7e15,
		event: { case: "state" as const, value: { state: value, host: "n1", reason: "" } },
	});
	await cloud.bus.reports(home.endpoint, [
		state(TaskState.WAITING_FOR_NODES),
		state(TaskState.RUNNING),
		state(TaskState.WAITING_FOR_LAUNCH),
	]);
	await cloud.bus.reports(home.endpoint, [output(0, "héllo "), output(7, "world\n"), output(0, "héllo ")]);
	await cloud.bus.reports(home.endpoint, [
		{ taskId, event: { case: "progress", value: { fraction: 0.5, message: "half" } } },
	]);
	await cloud.bus.reports((await settle(cloud)).endpoint, [output(13, "foreign"), state(TaskState.RUNNING)]);
	expect(frames).toEqual(["waiting-for-nodes", "running", "output", "output", "progress"]);
	const whole = await cloud.operations.getTask(home.caller, id);
	expect(whole.transitions.map((step) => [step.state, step.actor])).toEqual([
		["received", "web-service"],
		["waiting-for-nodes", "n1"],
		["running", "n1"],
	]);
	expect(await cloud.operations.taskOutput(home.caller, id, "stdout", 0)).toMatchObject({
		data: "héllo world\n",
		next_offset_bytes: 13,
		ended: false,
	});
	expect((await cloud.operations.taskOutput(home.caller, id, "stdout", 7)).data).toBe("world\n");
	const told = nextResults(1);
	await cloud.bus.results(home.endpoint, [{ ...success(id, "11\n1"), stdoutBytes: 13 }]);
	await told;
	expect((await cloud.operations.taskOutput(home.caller, id, "stdout", 13)).ended).toBe(true);
	await cloud.bus.reports(home.endpoint, [state(TaskState.RUNNING)]);
	expect((await cloud.operations.getTask(home.caller, id)).state).toBe("success");
});

test("a task that nobody has taken is cancelled at once, and its endpoint is told for later", async () => {
	const home = await settle(cloud);
	const { ids, group } = await submit(home, 2);
	const told = nextResults(1);
	const outcome = await cloud.operations.cancelTasks(home.caller, { taskIds: [ids[0] as TaskId, newId<TaskId>()] });
	expect(outcome).toMatchObject({ cancelled: [ids[0]], requested: [], finished: [] });
	expect(outcome.not_found).toHaveLength(1);
	expect((await told)[0]?.results[0]).toMatchObject({ state: "cancelled", failure: { code: "CANCELLED" } });
	expect(cloud.bus.commands(home.endpoint)).toMatchObject([
		{ command: "cmd_cancel_tasks", kwargs: { task_ids: [ids[0]] } },
	]);
	await cloud.bus.results(home.endpoint, [success(ids[0] as string, "11\n1")]);
	await cloud.bus.until(() => cloud.bus.outcomes.length === 1);
	expect((await cloud.operations.getTask(home.caller, ids[0] as TaskId)).state).toBe("cancelled");
	expect((await cloud.operations.cancelTasks(home.caller, { group })).cancelled).toEqual([ids[1]]);
	expect((await cloud.operations.cancelTasks(home.caller, { taskIds: ids })).finished).toEqual(ids);
});

test("a task that its endpoint has is asked to stop, again until it does, and ends when the endpoint says so", async () => {
	const home = await settle(cloud);
	const { ids } = await submit(home, 1);
	await cloud.bus.heartbeat(home.endpoint, { heartbeat_period: 30, active: true, total_workers: 4 });
	expect(await cloud.operations.getEndpoint(home.caller, home.endpoint)).toMatchObject({
		status: "online",
		unfinished_tasks: 1,
	});
	expect(await cloud.operations.cancelTasks(home.caller, { taskIds: ids })).toMatchObject({
		requested: ids,
		cancelled: [],
	});
	expect(await cloud.operations.getTask(home.caller, ids[0] as TaskId)).toMatchObject({
		state: "received",
		cancel_requested: true,
	});
	await cloud.database.query("update tasks set cancel_requested_at = now() - interval '1 minute' where id = $1", [
		ids[0],
	]);
	await cloud.sweep(new Date());
	expect(cloud.bus.commands(home.endpoint)).toHaveLength(2);
	const told = nextResults(1);
	await cloud.bus.results(home.endpoint, [{ taskId: idToBytes(ids[0] as string), cancelled: true }]);
	expect((await told)[0]?.results[0]?.state).toBe("cancelled");
	await cloud.bus.heartbeat(home.endpoint, { heartbeat_period: 0, active: false });
	expect((await cloud.operations.getEndpoint(home.caller, home.endpoint)).status).toBe("offline");
});

test("NEW-8: HQ-2: what a task asks for reaches its endpoint whole, and what the endpoint says of that demand explains the task", async () => {
	const home = await settle(cloud);
	const { operations, bus } = cloud;
	const reply = await operations.submit(
		home.caller,
		home.endpoint,
		{
			tasks: { [home.fn]: [packedArguments(1)] },
			resource_specification: { num_nodes: 2, num_ranks: 8, resources: { fpga: 1 }, launcher_options: "-v" },
		},
		undefined,
	);
	const id = (reply.tasks[home.fn] as TaskId[])[0] as TaskId;
	const [sent] = bus.tasks(home.endpoint);
	expect(sent?.resources).toMatchObject({ nodes: 2, ranksPerNode: 4, named: [{ name: "fpga", amount: 1 }] });
	expect((await operations.getTask(home.caller, id)).resources).toMatchObject({ num_nodes: 2, launcher_options: "-v" });
	expect(await operations.explainTask(home.caller, id)).toMatchObject({ word: "endpoint-never-started" });

	const row = {
		demand: demandKey(sent?.resources),
		tasks: 1,
		word: "no-such-resources",
		sentence: "Nobody has an fpga.",
	};
	await bus.heartbeat(home.endpoint, { heartbeat_period: 30, active: true, waiting: [row] });
	expect(await operations.explainTask(home.caller, id)).toMatchObject({ word: "delivery", state: "received" });
	await bus.reports(home.endpoint, [
		{
			taskId: idToBytes(id),
			atUs: Date.now() * 1000,
			event: { case: "state", value: { state: TaskState.WAITING_FOR_NODES } },
		},
	]);
	expect(await operations.explainTask(home.caller, id)).toMatchObject({
		word: "no-such-resources",
		sentence: "Nobody has an fpga.",
		state: "waiting-for-nodes",
		endpoint_status: "online",
	});
	await bus.heartbeat(home.endpoint, { heartbeat_period: 0, active: false });
	expect(await operations.explainTask(home.caller, id)).toMatchObject({ word: "endpoint-stopped" });
});

test("a task that has ended can be retried in its group, one that has not cannot", async () => {
	const home = await settle(cloud);
	const { ids, group, texts } = await submit(home, 1);
	const id = ids[0] as TaskId;
	expect(await codeOf(cloud.operations.retryTask(home.caller, id))).toBe("ILLEGAL_TRANSITION");
	const told = nextResults(1);
	await cloud.bus.results(home.endpoint, [
		{ taskId: idToBytes(id), outcome: { case: "failure", value: { code: "LOST" } } },
	]);
	await told;
	const retry = await cloud.operations.retryTask(home.caller, id);
	expect(await cloud.operations.getTask(home.caller, retry)).toMatchObject({
		retry_of: id,
		group_id: group,
		state: "received",
	});
	expect(Buffer.from(cloud.bus.tasks(home.endpoint).at(-1)?.payload ?? []).toString()).toBe(texts[0]);
});

test("tasks are listed newest first, by filter, by page and by the beginning of an id", async () => {
	const home = await settle(cloud);
	const first = await submit(home, 3);
	const second = await submit(home, 2);
	const { operations } = cloud;
	const one = await operations.listTasks(home.caller, { limit: 3 });
	expect(one.items.map((item) => item.id)).toEqual([...second.ids.toReversed(), first.ids[2]]);
	const two = await operations.listTasks(home.caller, { limit: 3, cursor: one.next_cursor as string });
	expect(two.items.map((item) => item.id)).toEqual([first.ids[1], first.ids[0]]);
	expect(two.next_cursor).toBeNull();
	expect((await operations.listTasks(home.caller, { limit: 9, group: second.group })).items).toHaveLength(2);
	expect((await operations.listTasks(home.caller, { limit: 9, states: ["success"] })).items).toEqual([]);
	expect((await operations.listTasks(home.caller, { limit: 9, function: newId<FunctionId>() })).items).toEqual([]);
	const prefix = (first.ids[0] as string).slice(0, 13);
	expect(
		(await operations.listTasks(home.caller, { limit: 9, idPrefix: prefix })).items.map((item) => item.id),
	).toEqual([first.ids[0]]);
	expect(await codeOf(operations.listTasks(home.caller, { limit: 9, cursor: "zzz" }))).toBe("REQUEST_MALFORMED");
	expect(await codeOf(operations.listTasks(home.caller, { limit: 9, idPrefix: "xy" }))).toBe("INVALID_UUID");
});

test("what is another's can be neither seen, run, cancelled, followed nor deleted", async () => {
	const home = await settle(cloud);
	const { ids, group } = await submit(home, 1);
	const id = ids[0] as TaskId;
	const other = account();
	const key = endpointKeyOf(home.caller, home.endpoint);
	const { operations } = cloud;
	const attempts: [string, (who: typeof other) => Promise<unknown>][] = [
		["FUNCTION_ACCESS_FORBIDDEN", (who) => operations.getFunction(who, home.fn)],
		["FUNCTION_ACCESS_FORBIDDEN", (who) => operations.deleteFunction(who, home.fn)],
		["ENDPOINT_ACCESS_FORBIDDEN", (who) => operations.deleteEndpoint(who, home.endpoint)],
		["ENDPOINT_ACCESS_FORBIDDEN", (who) => operations.lockEndpoint(who, home.endpoint)],
		["ENDPOINT_ACCESS_FORBIDDEN", (who) => operations.makeEndpointKey(who, home.endpoint)],
		[
			"ENDPOINT_ACCESS_FORBIDDEN",
			(who) => operations.submit(who, home.endpoint, { tasks: { [home.fn]: ["x"] } }, undefined),
		],
		["TASK_NOT_FOUND", (who) => operations.getTask(who, id)],
		["TASK_NOT_FOUND", (who) => operations.explainTask(who, id)],
		["TASK_NOT_FOUND", (who) => operations.getPublicTask(who, id)],
		["TASK_NOT_FOUND", (who) => operations.retryTask(who, id)],
		["TASK_NOT_FOUND", (who) => operations.taskOutput(who, id, "stdout", 0)],
		["TASK_GROUP_NOT_FOUND", (who) => operations.authorizeGroup(who, group)],
		["TASK_GROUP_NOT_FOUND", (who) => operations.getPublicTaskGroup(who, group)],
		["TASK_GROUP_NOT_FOUND", (who) => operations.cancelTasks(who, { group })],
	];
	for (const [code, attempt] of attempts)
		for (const who of [other, key]) expect([code, await codeOf(attempt(who))]).toEqual([code, code]);
	for (const attempt of [
		() => operations.getEndpoint(other, home.endpoint),
		() => operations.getEndpointMetadata(other, home.endpoint),
		() => operations.registerEndpoint(other, home.endpoint, { endpoint_name: "mine", metadata: {} }),
		() => operations.takeLease(other, home.endpoint, { holder_id: newId<TaskId>(), host: "h", pid: 1 }),
	])
		expect(await codeOf(attempt())).toBe("ENDPOINT_ACCESS_FORBIDDEN");
	expect(await operations.cancelTasks(other, { taskIds: [id] })).toMatchObject({ cancelled: [], not_found: [id] });
	const mine = await settle(cloud, other);
	expect(await codeOf(operations.submit(other, mine.endpoint, { tasks: { [home.fn]: ["x"] } }, undefined))).toBe(
		"FUNCTION_ACCESS_FORBIDDEN",
	);
	expect(
		await codeOf(
			operations.submit(other, mine.endpoint, { tasks: { [mine.fn]: ["x"] }, task_group_id: group }, undefined),
		),
	).toBe("TASK_GROUP_ACCESS_FORBIDDEN");
	for (const attempt of [
		() => operations.registerFunction(key, { function_name: "f", function_code: "6\nej\nf:x" }),
		() => operations.listFunctions(key, { limit: 5 }),
		() => operations.listEndpoints(key, { limit: 5 }),
		() => operations.listTasks(key, { limit: 5 }),
		() => operations.createTaskGroup(key),
		() => operations.resultConnection(key),
		() => operations.registerEndpoint(key, newId<EndpointId>(), { endpoint_name: "x", metadata: {} }),
	])
		expect(await codeOf(attempt())).toBe("FORBIDDEN");
});

test("unknown and deleted functions are refused by name; tasks keep the name", async () => {
	const home = await settle(cloud);
	const { ids } = await submit(home, 1);
	expect((await cloud.operations.listFunctions(home.caller, { limit: 5 })).items).toMatchObject([
		{ id: home.fn, runtime: "javascript" },
	]);
	await cloud.operations.deleteFunction(home.caller, home.fn);
	expect(await codeOf(submit(home, 1))).toBe("FUNCTION_NOT_FOUND");
	expect((await cloud.operations.getTask(home.caller, ids[0] as TaskId)).function_name).toBe("double");
	expect((await cloud.operations.listFunctions(home.caller, { limit: 5 })).items).toEqual([]);
});

test("GC-1: a result is kept for two weeks; then it is forgotten, with its output and the values that only it named", async () => {
	const home = await settle(cloud);
	const text = "11\n1".repeat(10);
	await cloud.operations.putBlob(home.caller, digest(text), bytes(text), undefined);
	const reply = await cloud.operations.submit(
		home.caller,
		home.endpoint,
		{ tasks: { [home.fn]: [packReference({ sha256: digest(text), size_bytes: text.length })] } },
		undefined,
	);
	const id = (reply.tasks[home.fn] as string[])[0] as TaskId;
	const kept = await submit(home, 1);
	const told = nextResults(1);
	await cloud.bus.results(home.endpoint, [success(id, "11\n1")]);
	await told;
	const twoWeeksMs = 14 * 24 * 3_600_000;
	const marginMs = 60_000;
	await cloud.sweep(new Date(Date.now() + twoWeeksMs - marginMs));
	expect((await cloud.operations.getTask(home.caller, id)).state).toBe("success");
	expect((await cloud.operations.getPublicTask(home.caller, id)).result).toBe("11\n1");
	await cloud.sweep(new Date(Date.now() + twoWeeksMs + marginMs));
	expect(await codeOf(cloud.operations.getTask(home.caller, id))).toBe("TASK_NOT_FOUND");
	expect(await codeOf(cloud.operations.getBlob(home.caller, digest(text)))).toBe("BLOB_NOT_FOUND");
	expect((await cloud.operations.getTask(home.caller, kept.ids[0] as TaskId)).state).toBe("received");
});
