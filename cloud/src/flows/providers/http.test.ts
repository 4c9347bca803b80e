/** Runs that ask an action provider elsewhere, which may lie, be away, or forget. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../../operations/test-cloud.ts";
import { TestFlows } from "../test-flows.ts";
import { isAllowed } from "./http.ts";

interface Asked {
	readonly method: string;
	readonly path: string;
	readonly body: { request_id?: string; body?: unknown };
}
type Reply = { status?: number; body?: unknown; text?: string; headers?: Record<string, string> } | "hang up";

let database: TestDatabase;
let flows: TestFlows;
let server: Server;
let url: string;
let asked: Asked[] = [];
let answer: (one: Asked, nth: number) => Reply = () => ({});

async function bodyOf(request: IncomingMessage): Promise<Asked["body"]> {
	let text = "";
	for await (const chunk of request) text += String(chunk);
	return text === "" ? {} : (JSON.parse(text) as Asked["body"]);
}

beforeAll(async () => {
	server = createServer(async (request, response) => {
		const one = { method: request.method ?? "", path: request.url ?? "", body: await bodyOf(request) };
		asked.push(one);
		const reply = answer(one, asked.length);
		if (reply === "hang up") return void request.socket.destroy();
		response.writeHead(reply.status ?? 200, { "content-type": "application/json", ...reply.headers });
		response.end(reply.text ?? JSON.stringify(reply.body ?? {}));
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
	database = await openTestDatabase();
	flows = await TestFlows.open(database, [`${url}providers/`]);
});
afterEach(() => {
	asked = [];
});
afterAll(async () => {
	await flows?.close();
	await database?.close();
	server?.closeAllConnections();
	await new Promise((done) => server?.close(done));
});

const calls = (more: object = {}) => ({
	StartAt: "Call",
	States: {
		Call: {
			Type: "Action",
			ActionUrl: `${url}providers/hello`,
			Parameters: { echo: "hi" },
			WaitTime: 60,
			ExceptionOnActionFailure: true,
			ResultPath: "$.r",
			End: true,
			...more,
		},
	},
});
const doc = (status: string, details: unknown = {}, id = "a1") => ({
	body: { action_id: id, status, details, creator_id: "x" },
});

describe("an action provider elsewhere", () => {
	test("is asked to run, then how it goes, until it has ended", async () => {
		answer = ({ path }, nth) =>
			path.endsWith("/run") || nth < 3 ? { ...doc("ACTIVE"), status: 202 } : doc("SUCCEEDED", { n: 7 });
		const run = await flows.start(calls());
		expect(await flows.outputOf(run)).toMatchObject({ r: { details: { n: 7 }, state_name: "Call" } });
		expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
			"POST /providers/hello/run",
			"GET /providers/hello/a1/status",
			"GET /providers/hello/a1/status",
		]);
		expect(asked[0]?.body).toMatchObject({ request_id: expect.any(String), body: { echo: "hi" } });
	});

	test("that answers at once is asked nothing more", async () => {
		answer = () => doc("SUCCEEDED", { quick: true });
		expect(await flows.outputOf(await flows.start(calls()))).toMatchObject({ r: { details: { quick: true } } });
		expect(asked).toHaveLength(1);
	});

	test.each<[string, Reply]>([
		["is not ready", { status: 503 }],
		["hangs up", "hang up"],
		["asks for patience", { status: 429 }],
		["answers with a page", { text: "<html>log in</html>", headers: { "content-type": "text/html" } }],
		["answers with another document", { body: { hello: "world" } }],
		["answers with a status that there is not", { body: { action_id: "a1", status: "DONE" } }],
	])("that %s is asked again with the same request", async (_what, bad) => {
		answer = (_one, nth) => (nth === 1 ? bad : doc("SUCCEEDED"));
		await flows.outputOf(await flows.start(calls()));
		expect(asked).toHaveLength(2);
		expect(new Set(asked.map(({ body }) => body.request_id)).size).toBe(1);
	});

	test.each<[string, Reply, RegExp]>([
		["refuses", { status: 400, body: { description: "echo is not a word" } }, /400: echo is not a word/],
		["does not know us", { status: 401 }, /answered 401/],
		["sends elsewhere", { status: 302, headers: { location: "http://127.0.0.1:1/" } }, /answered 302/],
	])("that %s makes the state fail as ActionUnableToRun", async (_what, bad, words) => {
		answer = () => bad;
		const ended = await flows.until(await flows.start(calls()));
		expect(ended.details.description).toMatch(/^ActionUnableToRun/);
		expect(ended.details.description).toMatch(words);
		expect(asked).toHaveLength(1);
	});

	test("that has forgotten an action fails it", async () => {
		answer = ({ path }) =>
			path.endsWith("/run") ? doc("ACTIVE") : { status: 404, body: { message: "no such action" } };
		const ended = await flows.until(await flows.start(calls()));
		expect(ended.details.description).toMatch(/ActionFailedException.*404: no such action/);
	});

	test("whose action needs somebody makes the run INACTIVE until it is resumed", async () => {
		let fixed = false;
		answer = ({ path }) => {
			if (path.endsWith("/resume")) fixed = true;
			const details = { code: "ConsentRequired", description: "log in at the archive" };
			return fixed ? doc("SUCCEEDED") : doc("INACTIVE", details);
		};
		const run = await flows.start(calls());
		const waiting = await flows.until(run, (document) => document.status === "INACTIVE");
		expect(waiting.details).toMatchObject({ code: "ConsentRequired", description: "log in at the archive" });
		await flows.cloud.operations.resumeRun(flows.caller, run as never);
		await flows.outputOf(run);
		expect(asked.at(-1)?.path).toBe("/providers/hello/a1/resume");
	});

	test("is told when the run is cancelled", async () => {
		answer = ({ path }) => (path.endsWith("/cancel") ? doc("FAILED", { code: "Cancelled" }) : doc("ACTIVE"));
		const run = await flows.start(calls());
		await expect.poll(() => asked.length).toBeGreaterThan(0);
		await flows.cloud.operations.cancelRun(flows.caller, run as never);
		expect((await flows.until(run)).details.code).toBe("FlowCanceled");
		await expect.poll(() => asked.at(-1)?.path, { timeout: 5_000 }).toBe("/providers/hello/a1/cancel");
	});
});

describe("NEW-24: who may be asked", () => {
	test("a flow that names another address is refused when it is made", async () => {
		for (const other of [
			`${url}elsewhere`,
			"http://169.254.169.254/latest",
			"https://example.org/ap",
			`${url}providers/../admin`,
		])
			await expect(flows.start(calls({ ActionUrl: other }))).rejects.toMatchObject({ code: "FLOW_INVALID" });
		expect(asked).toEqual([]);
	});

	test.each([
		["https://a.example/ap/", "https://a.example/ap/x", true],
		["https://a.example/ap/", "https://a.example/ap", true],
		["https://a.example/ap", "https://a.example/ap", true],
		["https://a.example/ap", "https://a.example/ap2", false],
		["https://a.example/ap/", "https://a.example/ap/../secret", false],
		["https://a.example/ap/", "https://a.example/ap/%2e%2e/secret", false],
		["https://a.example/ap/", "https://a.example.evil.org/ap/x", false],
		["https://a.example/ap/", "https://a.example:444/ap/x", false],
		["https://a.example/ap/", "http://a.example/ap/x", false],
	])("%s covers %s: %s", (base, asks, allowed) => {
		expect(isAllowed(asks, [base])).toBe(allowed);
	});
});
