import { once } from "node:events";
import { newId, type TaskGroupId } from "@errand/proto";
import { type StreamFrame, type StreamRequest, streamFrame } from "@errand/proto/rest";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { type CloudUnderTest, openCloudUnderTest, type TestOptions } from "../http/cloud-under-test.ts";
import { callerNamed, someResult } from "../http/fake-operations.ts";

/** A client over a real socket that hands out frames one by one. */
class Client {
	readonly socket: WebSocket;
	readonly closed: Promise<number>;
	readonly #frames: StreamFrame[] = [];
	readonly #wanting: ((frame: StreamFrame) => void)[] = [];

	constructor(url: string, protocols: string[], headers: Record<string, string>, autoPong = true) {
		this.socket = new WebSocket(url, protocols, { headers, autoPong });
		this.closed = once(this.socket, "close").then(([code]) => code as number);
		this.socket.on("error", () => {});
		this.socket.on("message", (data) => {
			const frame = streamFrame.parse(JSON.parse(String(data)));
			const want = this.#wanting.shift();
			if (want === undefined) this.#frames.push(frame);
			else want(frame);
		});
	}

	send(request: StreamRequest): void {
		this.socket.send(JSON.stringify(request));
	}

	next(): Promise<StreamFrame> {
		const frame = this.#frames.shift();
		return frame === undefined ? new Promise((resolve) => this.#wanting.push(resolve)) : Promise.resolve(frame);
	}
}

async function connect(cloud: CloudUnderTest, token = "ada"): Promise<Client> {
	const client = new Client(`ws://127.0.0.1:${cloud.port}/v1/stream`, [], { authorization: `Bearer ${token}` });
	await once(client.socket, "open");
	return client;
}

/** What the server answers to an upgrade that it refuses. */
async function refusal(cloud: CloudUnderTest, path: string, headers: Record<string, string>, protocols: string[] = []) {
	const socket = new WebSocket(`ws://127.0.0.1:${cloud.port}${path}`, protocols, { headers });
	socket.on("error", () => {});
	const [, response] = (await once(socket, "unexpected-response")) as [unknown, import("node:http").IncomingMessage];
	let text = "";
	for await (const chunk of response) text += chunk;
	return { status: response.statusCode, problem: JSON.parse(text) };
}

async function groupOf(cloud: CloudUnderTest, token = "ada"): Promise<TaskGroupId> {
	const caller = cloud.tokens.get(token);
	if (caller === undefined) throw new Error("no such token");
	return cloud.operations.createTaskGroup(caller);
}

function record(cloud: CloudUnderTest, group: TaskGroupId, cursor: bigint, value?: string): string {
	const result = someResult(value);
	cloud.operations.results.add(group, cursor, result);
	cloud.events.emit("results:recorded", { group, cursors: [cursor], results: [result] });
	return result.task_id;
}

const open = (options?: TestOptions): Promise<CloudUnderTest> => openCloudUnderTest(options);

test("NEW-7: a reader that lost its connection goes on behind the last cursor it handled", async () => {
	await using cloud = await open();
	const group = await groupOf(cloud);
	const first = record(cloud, group, 1n);
	const before = await connect(cloud);
	before.send({ type: "subscribe", group });
	expect(await before.next()).toEqual({ type: "subscribed", group, cursor: "0" });
	expect(await before.next()).toMatchObject({ type: "results", cursor: "1", results: [{ task_id: first }] });
	before.socket.terminate();
	const second = record(cloud, group, 2n);
	const after = await connect(cloud);
	after.send({ type: "subscribe", group, cursor: "1" });
	expect(await after.next()).toEqual({ type: "subscribed", group, cursor: "1" });
	expect(await after.next()).toMatchObject({ type: "results", cursor: "2", results: [{ task_id: second }] });
	const third = record(cloud, group, 3n);
	expect(await after.next()).toMatchObject({ type: "results", cursor: "3", results: [{ task_id: third }] });
});

test("a browser's client gives its token as a subprotocol and is answered with the protocol alone", async () => {
	await using cloud = await open();
	const client = new Client(`ws://127.0.0.1:${cloud.port}/v1/stream`, ["errand.v1", "bearer.ada"], {});
	await once(client.socket, "open");
	expect(client.socket.protocol).toBe("errand.v1");
	expect(JSON.stringify(cloud.lines)).not.toContain("bearer.ada");
});

test("whoever has no good token, scope or origin is refused before the protocol changes", async () => {
	await using cloud = await open();
	const stream = "/v1/stream";
	expect(await refusal(cloud, stream, {})).toMatchObject({ status: 401, problem: { code: "USER_UNAUTHENTICATED" } });
	expect(await refusal(cloud, stream, { authorization: "Bearer x" })).toMatchObject({
		status: 401,
		problem: { code: "INVALID_AUTH_TOKEN" },
	});
	expect(await refusal(cloud, stream, { authorization: "Bearer narrow" })).toMatchObject({
		status: 403,
		problem: { code: "INSUFFICIENT_AUTH_SCOPE" },
	});
	expect(await refusal(cloud, stream, { authorization: "Bearer ada", origin: "https://evil.example" })).toMatchObject({
		status: 403,
		problem: { code: "FORBIDDEN" },
	});
	expect(await refusal(cloud, "/v1/tasks", { authorization: "Bearer ada" })).toMatchObject({
		status: 404,
		problem: { code: "ROUTE_NOT_FOUND" },
	});
});

test("a group that is another's or unknown is refused by name, and nothing of it arrives", async () => {
	await using cloud = await open();
	const foreign = await groupOf(cloud, "bob");
	const unknown = newId<TaskGroupId>();
	const client = await connect(cloud);
	client.send({ type: "subscribe", group: foreign });
	expect(await client.next()).toMatchObject({ type: "error", group: foreign, code: "TASK_GROUP_ACCESS_FORBIDDEN" });
	client.send({ type: "subscribe", group: unknown });
	expect(await client.next()).toMatchObject({ type: "error", group: unknown, code: "TASK_GROUP_NOT_FOUND" });
	record(cloud, foreign, 1n);
	const own = await groupOf(cloud);
	client.send({ type: "subscribe", group: own });
	expect(await client.next()).toMatchObject({ type: "subscribed", group: own });
	expect(cloud.hub.stats().subscriptions).toBe(1);
});

test.each([
	["no JSON", "{", "REQUEST_MALFORMED"],
	["a binary frame", Buffer.from("{}"), "REQUEST_MALFORMED"],
	["an unknown request", '{"type":"steal"}', "SEMANTICALLY_INVALID"],
	["a group that is no id", '{"type":"subscribe","group":"x"}', "SEMANTICALLY_INVALID"],
	[
		"a cursor beyond the store's",
		`{"type":"subscribe","group":"${newId()}","cursor":"9999999999999999999"}`,
		"SEMANTICALLY_INVALID",
	],
	["no credit at all", '{"type":"credit","frames":0}', "SEMANTICALLY_INVALID"],
	["a bad fresh token", '{"type":"token","access_token":"x"}', "INVALID_AUTH_TOKEN"],
])("%s is answered with an error frame, and the connection goes on", async (_name, frame, code) => {
	await using cloud = await open();
	const client = await connect(cloud);
	client.socket.send(frame);
	expect(await client.next()).toMatchObject({ type: "error", code });
	const group = await groupOf(cloud);
	client.send({ type: "subscribe", group });
	expect(await client.next()).toMatchObject({ type: "subscribed" });
});

test("a frame larger than any request ends the connection", async () => {
	await using cloud = await open();
	const client = await connect(cloud);
	client.socket.send("x".repeat(70_000));
	expect(await client.closed).toBe(1009);
});

test("a token's end is told in time, a fresh one keeps the connection, and groups are authorized again with it", async () => {
	await using cloud = await open({ tokenNoticeMs: 60_000 });
	const ada = cloud.tokens.get("ada");
	cloud.tokens.set(
		"short",
		callerNamed("ada", { accountId: ada?.accountId as never, tokenExpiresAtMs: Date.now() + 30_000 }),
	);
	const [kept, lost] = [await groupOf(cloud), await groupOf(cloud)];
	const client = await connect(cloud, "short");
	const notice = await client.next();
	expect(notice).toMatchObject({ type: "token-expiring" });
	for (const group of [kept, lost]) client.send({ type: "subscribe", group });
	expect(await client.next()).toMatchObject({ type: "subscribed", group: kept });
	expect(await client.next()).toMatchObject({ type: "subscribed", group: lost });
	cloud.operations.groups.set(lost, newId());
	client.send({ type: "token", access_token: "ada" });
	expect(await client.next()).toMatchObject({ type: "error", group: lost, code: "TASK_GROUP_ACCESS_FORBIDDEN" });
	record(cloud, lost, 1n);
	const id = record(cloud, kept, 2n);
	expect(await client.next()).toMatchObject({ type: "results", group: kept, results: [{ task_id: id }] });
});

test("a connection ends with its token, and with another account's token", async () => {
	await using cloud = await open({ tokenNoticeMs: 10 });
	cloud.tokens.set("brief", callerNamed("ada", { tokenExpiresAtMs: Date.now() + 50 }));
	const brief = await connect(cloud, "brief");
	expect(await brief.closed).toBe(4401);
	const client = await connect(cloud);
	client.send({ type: "token", access_token: "bob" });
	expect(await client.closed).toBe(4403);
});

test("a revoked token ends the connection at the next beat, and a silent peer is dropped", async () => {
	await using cloud = await open({ beatMs: 20 });
	const revoked = await connect(cloud);
	cloud.tokens.delete("ada");
	expect(await revoked.closed).toBe(4401);
	const silent = new Client(`ws://127.0.0.1:${cloud.port}/v1/stream`, [], { authorization: "Bearer bob" }, false);
	await once(silent.socket, "open");
	expect(await silent.closed).toBe(1006);
});

test("a peer that does not read holds a bounded buffer, and gets the rest when it reads again", async () => {
	await using cloud = await open();
	const group = await groupOf(cloud);
	const client = await connect(cloud);
	client.send({ type: "credit", frames: 10_000 });
	client.send({ type: "subscribe", group });
	expect(await client.next()).toMatchObject({ type: "subscribed" });
	client.socket.pause();
	const value = "x".repeat(200_000);
	const expected: string[] = [];
	let most = 0;
	for (let i = 1n; i <= 200n; i++) {
		expected.push(record(cloud, group, i, value));
		await new Promise((resolve) => setImmediate(resolve));
		most = Math.max(most, cloud.hub.stats().bufferedBytes);
	}
	expect(most).toBeGreaterThan(500_000);
	expect(most).toBeLessThan(1_500_000);
	expect(cloud.operations.results.reads).toBeLessThan(100);
	client.socket.resume();
	const got: string[] = [];
	while (got.length < expected.length) {
		const frame = await client.next();
		if (frame.type === "results") got.push(...frame.results.map((result) => result.task_id));
	}
	expect(got).toEqual(expected);
});

test("when the service stops, readers are told to connect again", async () => {
	const cloud = await open();
	const client = await connect(cloud);
	await cloud[Symbol.asyncDispose]();
	expect(await client.closed).toBe(1012);
});
