/**
 * What an endpoint may send that it should not: with its real credentials, from a plain client, on real parts. Nothing of
 * it may end the cloud, hide what follows, or be recorded; each leaves a line in the log.
 */
import {
	contentTypes,
	encodeMessage,
	idToBytes,
	joinBuffer,
	newId,
	pack,
	routingKey,
	serializations,
	type TaskId,
} from "@errand/proto";
import { create, ReportBatchSchema, ResultBatchSchema, TaskState, toBinary } from "@errand/proto/wire";
import type { Client } from "@errand/sdk";
import { type ChannelModel, type ConfirmChannel, connect, type Options } from "amqplib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";

type Queue = "results" | "heartbeats" | "reports";
type ResultInit = NonNullable<Parameters<typeof create<typeof ResultBatchSchema>>[1]>["results"];

const batch = (results: ResultInit): Buffer =>
	Buffer.from(toBinary(ResultBatchSchema, create(ResultBatchSchema, { results: results ?? [] })));
const value = (id: string, text: string) => ({
	taskId: idToBytes(id),
	outcome: { case: "value" as const, value: Buffer.from(text) },
});
const asBatch: Options.Publish = { contentType: contentTypes.resultBatch };
const asJson: Options.Publish = { contentType: contentTypes.json };
const asReports: Options.Publish = { contentType: contentTypes.reportBatch };
const json = (text: string): Buffer => Buffer.from(`\u0001${text}`);
const cut = (whole: Uint8Array, part: number): Buffer =>
	Buffer.from(whole.subarray(0, Math.floor(whole.length * part)));

describe.each(deploymentNames)("messages that make no sense, %s deployment", (name) => {
	let deployment: Deployment;
	let client: Client;
	let endpoint: string;
	let strangers: string;
	let fn: string;
	let connection: ChannelModel;
	let channel: ConfirmChannel;

	beforeAll(async () => {
		deployment = await startDeployment(name);
		const { client: ada } = await deployment.cloud.login("ada");
		client = ada;
		const { endpoint_id, result_queue_info } = await client.registerEndpoint({
			endpoint_name: "mine",
			metadata: { errand_protocol: 1 },
		});
		endpoint = endpoint_id;
		strangers = (await client.registerEndpoint({ endpoint_name: "another", metadata: { errand_protocol: 1 } }))
			.endpoint_id;
		fn = await client.ensureFunction({
			function_name: "f",
			function_code: pack([joinBuffer(serializations.javascriptSource, "f:export const f = () => 1;")]),
		});
		connection = await connect(result_queue_info.connection_url);
		channel = await connection.createConfirmChannel();
	});
	afterAll(async () => {
		await connection?.close();
		await deployment?.stop();
	});

	async function submitted(to: string, count = 1): Promise<TaskId[]> {
		const text = pack([joinBuffer(serializations.json, "[]"), joinBuffer(serializations.json, "{}")]);
		const reply = await client.submit(to, { tasks: { [fn]: Array.from({ length: count }, () => text) } });
		return reply.tasks[fn] as TaskId[];
	}
	async function send(queue: Queue, body: Buffer, options: Options.Publish): Promise<void> {
		channel.publish(queue, routingKey(endpoint, queue), body, { persistent: true, mandatory: true, ...options });
		await channel.waitForConfirms();
	}
	/** A good result of a fresh task, sent after everything else: when it is there, what came before was not in its way. */
	async function andThenAGoodOne(): Promise<void> {
		const [id] = (await submitted(endpoint)) as [TaskId];
		await send("results", batch([value(id, "11\n42")]), asBatch);
		await expect.poll(async () => (await client.getTask(id)).state, { timeout: 10_000 }).toBe("success");
	}
	const lineAfter = (from: number, text: string) => deployment.cloud.process.line(text, from);

	const good = batch([value(newId(), "11\n1")]);
	const publicResult = encodeMessage("result", { task_id: newId(), data: "11\n1", details: {}, error_details: null });
	const beat = (state: string, id = "ENDPOINT") =>
		`{"message_type":"ep_status_report","data":{"endpoint_id":"${id}","global_state":${state},"task_statuses":{}}}`;

	const refused: Readonly<Record<string, readonly [Queue, Buffer, Options.Publish, string]>> = {
		"no bytes at all": ["results", Buffer.alloc(0), {}, "version byte missing"],
		"a batch that is none": ["results", Buffer.alloc(50, 0xff), asBatch, "could not take a message"],
		"a batch cut in the middle": ["results", cut(good, 0.5), asBatch, "could not take a message"],
		"a batch cut before its last byte": ["results", good.subarray(0, -1), asBatch, "could not take a message"],
		"a batch that does not say what it is": ["results", good, {}, "version byte 10"],
		"a batch under another's content type": ["results", good, { contentType: "text/plain" }, "version byte 10"],
		"a public result cut in the middle": ["results", cut(publicResult, 0.5), asJson, "not JSON in UTF-8"],
		"a public result of another version": [
			"results",
			Buffer.from(publicResult).fill(2, 0, 1),
			asJson,
			"version byte 2",
		],
		"a task where a result belongs": [
			"results",
			Buffer.from(encodeMessage("task", { task_id: newId(), task_buffer: "x" })),
			asJson,
			'expected \\"result\\"',
		],
		"text that is not UTF-8": ["results", Buffer.from([1, 0xc3, 0x28]), asJson, "not JSON in UTF-8"],
		"a hundred thousand things that are no transitions": [
			"results",
			json(
				`{"message_type":"result","data":{"task_id":"${newId()}","data":"","task_statuses":[${"0,".repeat(100_000)}0]}}`,
			),
			asJson,
			"Too big",
		],
		"a result whose task's id has 15 bytes": [
			"results",
			batch([{ ...value(newId(), "11\n1"), taskId: Buffer.alloc(15) }]),
			asBatch,
			"1 of 1 results name no task",
		],
		"a heartbeat of another endpoint": ["heartbeats", json(beat("{}", newId())), asJson, "a heartbeat of endpoint"],
		"a heartbeat of ten megabytes": [
			"heartbeats",
			json(beat(`{"x":"${"x".repeat(10_000_000)}"}`)),
			asJson,
			"more than",
		],
		"a heartbeat with a thousand levels": [
			"heartbeats",
			json(beat(`${'{"x":'.repeat(1000)}1${"}".repeat(1000)}`)),
			asJson,
			"levels deep",
		],
		"a heartbeat with a hundred thousand levels": [
			"heartbeats",
			json(beat(`${'{"x":'.repeat(100_000)}1${"}".repeat(100_000)}`)),
			asJson,
			"could not take a message",
		],
		"a heartbeat without a state": ["heartbeats", json(beat("null")), asJson, "global_state"],
		"reports that are none": ["reports", Buffer.alloc(9, 0xff), asReports, "could not take a message"],
	};

	test.each(Object.entries(refused))(
		"%s is refused with a line in the log",
		async (_, [queue, body, options, says]) => {
			const from = deployment.cloud.process.lineCount;
			await send(queue, Buffer.from(body.toString("latin1").replace("ENDPOINT", endpoint), "latin1"), options);
			const line = JSON.parse(await lineAfter(from, says));
			expect(line).toMatchObject({ queue, endpoint });
			expect(JSON.stringify(line).length).toBeLessThan(2_000);
		},
	);

	test("a result of a task that is a stranger's, or of none, is not recorded and named in the log", async () => {
		const [theirs] = (await submitted(strangers)) as [TaskId];
		const [mine] = (await submitted(endpoint)) as [TaskId];
		const ghost = newId<TaskId>();
		const from = deployment.cloud.process.lineCount;
		await send("results", batch([value(theirs, "11\n666"), value(ghost, "11\n1"), value(mine, "11\n1")]), asBatch);
		for (const task of [theirs, ghost]) {
			const line = JSON.parse(await lineAfter(from, `"task":"${task}"`));
			expect(line).toMatchObject({ endpoint, msg: "dropped a result for a task that is not this endpoint's" });
		}
		await expect.poll(async () => (await client.getTask(mine)).state).toBe("success");
		expect((await client.getTask(theirs)).state).toBe("received");
		const report = {
			taskId: idToBytes(theirs),
			event: { case: "state" as const, value: { state: TaskState.RUNNING, reason: "", host: "" } },
		};
		const reports = toBinary(ReportBatchSchema, create(ReportBatchSchema, { reports: [report] }));
		await send("reports", Buffer.from(reports), asReports);
		expect(JSON.parse(await lineAfter(from, "left out reports"))).toMatchObject({
			endpoint,
			tasks: [theirs],
			count: 1,
		});
		expect((await client.getTask(theirs)).state).toBe("received");
	});

	test("what is wrong in a batch does not take the rest of it along", async () => {
		const [id] = (await submitted(endpoint)) as [TaskId];
		const wrong = { ...value(newId(), "11\n1"), taskId: Buffer.alloc(3) };
		await send("results", batch([wrong, value(id, "11\n7")]), asBatch);
		await expect.poll(async () => (await client.getTask(id)).state).toBe("success");
	});

	test("the same result twice, and then another one, is recorded once, as it came first", async () => {
		const [id] = (await submitted(endpoint)) as [TaskId];
		for (const text of ["11\n1", "11\n1", "11\n2"]) await send("results", batch([value(id, text)]), asBatch);
		await andThenAGoodOne();
		expect(await client.getTask(id)).toMatchObject({ state: "success", result: "11\n1" });
	});

	test("absurd numbers, names and headers in a good result do no harm to it", async () => {
		const [one, two] = (await submitted(endpoint, 2)) as [TaskId, TaskId];
		const absurd = {
			...value(one, "11\n1"),
			stdoutBytes: Number.NaN,
			stderrBytes: 1e300,
			execution: {
				startedAtUs: Number.NEGATIVE_INFINITY,
				finishedAtUs: 1e308,
				host: "a\u0000b",
				workerPid: 2 ** 32 - 1,
			},
		};
		const headers = {
			"": { "": [[[null, { "!": "decimal", value: { places: 255, digits: 1 } }]]] },
			n: 0.5,
			__proto__: "x",
		};
		await send("results", batch([absurd]), { ...asBatch, headers, expiration: "0001000000", priority: 255 });
		const failed = encodeMessage("result", {
			task_id: two,
			data: "trace",
			error_details: { code: "constructor", user_message: "m" },
			task_statuses: [{ timestamp: 1e308, state: "execution-start", actor: "" }],
		});
		await send("results", Buffer.from(failed), asJson);
		await expect.poll(async () => (await client.getTask(two)).state).toBe("failed");
		expect(await client.getTask(one)).toMatchObject({
			state: "success",
			execution: { started_at_ms: 0, finished_at_ms: 0, worker_pid: 2 ** 32 - 1 },
		});
		expect((await client.getTask(two)).failure).toMatchObject({ code: "FUNCTION_FAILED", name: "constructor" });
	});

	test("a heartbeat with absurd values counts as far as it can, and changes no prototype", async () => {
		for (const state of [
			'{"heartbeat_period":-5}',
			'{"heartbeat_period":1e400,"active":"yes"}',
			'{"heartbeat_period":[],"blocks":"none","waiting":7,"trouble":{"a":1}}',
			'{"__proto__":{"active":false},"constructor":{"prototype":{"x":1}},"heartbeat_period":30}',
		])
			await send("heartbeats", json(beat(state, endpoint)), asJson);
		await expect.poll(async () => (await client.getEndpoint(endpoint)).status).toBe("online");
		expect((await client.listEndpoints()).items.map(({ name: one }) => one)).toContain("mine");
	});

	test("and after all that the queues are empty and the cloud serves", async () => {
		await andThenAGoodOne();
		expect(deployment.cloud.process.ended).toBe(false);
		expect(deployment.cloud.process.output).not.toContain("broker channel lost");
	});
});
