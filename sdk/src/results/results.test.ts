import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openTestCloud, type TestCloud } from "../cloud.test-harness.ts";
import { CloudError, Executor, RemoteError } from "../index.ts";
import type { Feed } from "./feed.ts";
import { openResults, type ResultsOptions } from "./results.ts";

let cloud: TestCloud;
beforeEach(async () => {
	cloud = await openTestCloud();
});
afterEach(async () => {
	await cloud[Symbol.asyncDispose]();
});

/** Waits of milliseconds instead of seconds. */
const quick = (options: ResultsOptions): Feed =>
	openResults({ ...options, backOff: { firstMs: 1, limitMs: 5 }, pollingPace: { firstMs: 1, limitMs: 5 } });

const open = (options: object = {}): Executor =>
	new Executor({ endpoint: "local", cloudUrl: cloud.url, token: "good", openFeed: quick, ...options });

function gate(): () => void {
	const { promise, resolve } = Promise.withResolvers<void>();
	cloud.before = () => promise;
	return resolve;
}

const subscriptions = () => cloud.streamRequests.filter((request) => request.type === "subscribe");

describe("the stream of results", () => {
	test("GC-2: results are pushed: nothing asks for them", async () => {
		await using executor = open();
		await executor.map((x: number) => x, [1, 2, 3]).toArray();
		expect(cloud.paths("POST")).not.toContain("/v2/batch_status");
		expect(cloud.paths("GET").filter((path) => path.startsWith("/v1/tasks"))).toEqual([]);
	});

	test("after a cut it goes on from the last cursor handled, and settles each future once", async () => {
		await using executor = open();
		expect(await executor.submit(() => 1)).toBe(1);
		const release = gate();
		const future = executor.submit(() => 2);
		let settled = 0;
		void future.then(() => settled++);
		await future.accepted;
		cloud.closeStreams();
		release();
		expect(await future).toBe(2);
		expect(settled).toBe(1);
		expect(subscriptions().map((each) => each.cursor)).toEqual(["0", "1"]);
	});

	test("a result told twice settles its future once", async () => {
		await using executor = open();
		const future = executor.submit(() => 1);
		expect(await future).toBe(1);
		const { taskGroup: group } = executor;
		const result = cloud.tasks.get(String(future.taskId))?.result;
		cloud.say(group, { type: "results", group, cursor: "9", results: [result] });
		expect(await executor.submit(() => 2)).toBe(2);
		expect(await future).toBe(1);
	});

	test("credit is granted as frames are handled: more results come than the first grant", async () => {
		await using executor = open();
		const values = await executor
			.map(
				(x: number) => x,
				Array.from({ length: 500 }, (_, i) => i),
			)
			.toArray();
		expect(values).toHaveLength(500);
		const granted = cloud.streamRequests
			.filter((request) => request.type === "credit")
			.map((request) => request.frames);
		expect(granted.reduce((sum, frames) => sum + frames, 0)).toBeGreaterThanOrEqual(500 - 64);
	});

	test("a token that is about to end is replaced on the open connection", async () => {
		const asked: boolean[] = [];
		const token = {
			cloudUrl: cloud.url,
			accessToken: async (options?: { forceRefresh?: boolean }) => {
				asked.push(options?.forceRefresh ?? false);
				return "good";
			},
		};
		await using executor = open({ cloudUrl: undefined, token });
		await executor.submit(() => 1);
		cloud.say(executor.taskGroup, { type: "token-expiring", expires_in_s: 60 });
		await vi.waitUntil(() => cloud.streamRequests.some((request) => request.type === "token"));
		expect(cloud.streamRequests.at(-1)).toEqual({ type: "token", access_token: "good" });
		expect(asked.at(-1)).toBe(true);
	});

	test("a connection closed because its token ended comes back with a fresh one", async () => {
		const token = {
			cloudUrl: cloud.url,
			accessToken: async (options?: { forceRefresh?: boolean }) => (options?.forceRefresh ? "fresh" : "good"),
		};
		await using executor = open({ cloudUrl: undefined, token });
		const release = gate();
		const future = executor.submit(() => 1);
		await future.accepted;
		await vi.waitUntil(() => cloud.sockets.size === 1);
		cloud.tokens = new Set(["fresh"]);
		cloud.closeStreams(4401);
		await vi.waitUntil(() => cloud.sockets.size === 1);
		release();
		expect(await future).toBe(1);
		expect(cloud.upgrades.map((headers) => headers.authorization)).toEqual(["Bearer good", "Bearer fresh"]);
	});

	test("a group that may not be followed rejects its futures with the cloud's code", async () => {
		await using executor = open();
		gate();
		const future = executor.submit(() => 1);
		await future.accepted;
		await vi.waitUntil(() => cloud.sockets.size === 1);
		const { taskGroup: group } = executor;
		cloud.say(group, { type: "error", group, code: "TASK_GROUP_ACCESS_FORBIDDEN", detail: "not yours" });
		await expect(future).rejects.toMatchObject({ code: "TASK_GROUP_ACCESS_FORBIDDEN", detail: "not yours" });
		await expect(future).rejects.toBeInstanceOf(CloudError);
	});

	test("a complaint that may be otherwise later is no refusal: the stream opens again", async () => {
		await using executor = open();
		const release = gate();
		const future = executor.submit(() => 1);
		await future.accepted;
		for (const code of ["NOT_READY", "INVALID_AUTH_TOKEN"]) {
			await vi.waitUntil(() => cloud.sockets.size === 1);
			const before = cloud.upgrades.length;
			cloud.say(executor.taskGroup, { type: "error", code, detail: "not now" });
			await vi.waitUntil(() => cloud.upgrades.length > before);
		}
		release();
		expect(await future).toBe(1);
	});

	test("frames that this version does not know, or that are not JSON, do no harm", async () => {
		await using executor = open();
		await executor.submit(() => 1);
		cloud.say(executor.taskGroup, { type: "from-the-future" });
		for (const socket of cloud.sockets.keys()) socket.send("not json");
		expect(await executor.submit(() => 2)).toBe(2);
	});
});

describe("where no WebSocket gets through", () => {
	test("results are asked for instead: values, references and failures", async () => {
		cloud.refuseSockets = true;
		cloud.inlineLimitBytes = 1_000;
		await using executor = open();
		expect(await executor.submit(() => 1)).toBe(1);
		expect(await executor.submit(() => "x".repeat(5_000))).toHaveLength(5_000);
		const failing = executor.submit(() => {
			throw new RangeError("out");
		});
		await expect(failing).rejects.toBeInstanceOf(RemoteError);
		await expect(failing).rejects.toMatchObject({ remoteName: "RangeError", remoteMessage: "out" });
	});

	test("asking ends when the stream opens after all", async () => {
		cloud.refuseSockets = true;
		await using executor = open();
		const release = gate();
		const future = executor.submit(() => 1);
		await vi.waitUntil(() => cloud.paths("POST").includes("/v2/batch_status"));
		cloud.refuseSockets = false;
		await vi.waitUntil(() => cloud.sockets.size === 1);
		release();
		expect(await future).toBe(1);
	});

	test("a group that may not be read rejects its futures", async () => {
		cloud.refuseSockets = true;
		cloud.scripted.push({
			method: "POST",
			path: /batch_status/,
			status: 403,
			body: { code: "FORBIDDEN", detail: "not yours" },
		});
		await using executor = open();
		gate();
		await expect(executor.submit(() => 1)).rejects.toMatchObject({ code: "FORBIDDEN" });
		await expect(executor.submit(() => 2)).rejects.toMatchObject({ code: "FORBIDDEN" });
	});
});
