import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { Fault, faults, isFaultCode, newId, submitLimitTasks } from "@errand/proto";
import { noTransferCounters } from "@errand/proto/rest";
import express from "express";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CloudUnderTest, openCloudUnderTest } from "./cloud-under-test.ts";

type Reply = Awaited<ReturnType<CloudUnderTest["call"]>>;

/** The one error body, with the status of its code. */
function expectProblem(reply: Reply, code: string): void {
	expect(reply.json, reply.text).toEqual({
		status: "Failed",
		code,
		http_status_code: reply.status,
		error_args: expect.any(Array),
		detail: expect.stringMatching(/\w/),
		reason: reply.json?.detail,
	});
	if (!isFaultCode(code)) throw new Error(`${code} is no fault`);
	expect(reply.status).toBe(faults[code].httpStatus);
	expect(reply.headers.get("content-type")).toBe("application/json");
	expect(reply.headers.get("x-request-id")).toMatch(/^[\w.-]+$/);
}

let cloud: CloudUnderTest;
beforeAll(async () => {
	cloud = await openCloudUnderTest({ environment: { ERRAND_CLOUD_CORS_ORIGINS: "https://app.example.org" } });
});
afterAll(() => cloud[Symbol.asyncDispose]());

const registration = {
	function_name: "add",
	function_code: "41\nst\nadd:def add(a, b=1):\n    return a + b\n",
	meta: { python_version: "3.11.7", sdk_version: "4.15.0", serde_identifier: "st" },
};
const endpointBody = { endpoint_name: "ep1", public: false, metadata: { endpoint_version: "4.15.0" } };
const leaseBody = { holder_id: newId(), host: "node1", pid: 7 };

async function endpointAndFunction() {
	const endpoint = (await cloud.call("POST", "/v3/endpoints", { body: endpointBody })).json.endpoint_id as string;
	const fn = (await cloud.call("POST", "/v3/functions", { body: registration })).json.function_uuid as string;
	return { endpoint, fn };
}

/** What each route is called with when all is well; a route without a row here fails the walk. */
async function goodRequests(): Promise<Record<string, { path: string; body?: unknown; status?: number }>> {
	const { endpoint, fn } = await endpointAndFunction();
	const doomed = await endpointAndFunction();
	const submitBody = { tasks: { [fn]: ["6\n11\n[1]", "6\n11\n[2]"] }, create_queue: false };
	const submitted = (await cloud.call("POST", `/v3/endpoints/${endpoint}/submit`, { body: submitBody })).json;
	const task = submitted.tasks[fn][0];
	const some = newId();
	const definition = { StartAt: "Only", States: { Only: { Type: "Pass", End: true } } };
	const bytes = randomBytes(300_000);
	const sha256 = createHash("sha256").update(bytes).digest("hex");
	await cloud.call("PUT", `/v1/blobs/${sha256}`, { body: bytes });
	const { meta, ...earlier } = registration;
	const group = submitted.task_group_id;
	const people = `g-${randomBytes(4).toString("hex")}`;
	await cloud.call("POST", "/v1/groups", { body: { name: people } });
	await cloud.call("POST", "/v1/groups", { body: { name: `${people}-doomed` } });
	const shareBody = { group: people, functions: [fn], tasks_per_day: 10 };
	const share = (await cloud.call("PUT", `/v1/endpoints/${endpoint}/shares`, { body: shareBody })).json.id;
	const item = { source_path: "/data/a", destination_path: "/data/b" };
	const transferBody = { source_endpoint: endpoint, destination_endpoint: newId(), items: [item] };
	const moved = (await cloud.call("POST", "/v1/transfers", { body: transferBody })).json.id;
	const agentBody = { certificate: "PEM", collections: [{ name: "data" }] };
	const policyBody = { name: "recent logins", authentication_assurance_timeout: 60 };
	const policy = (await cloud.call("POST", "/v1/policies", { body: policyBody })).json.id;
	const doomedPolicy = (await cloud.call("POST", "/v1/policies", { body: policyBody })).json.id;
	return {
		"POST /v1/transfers": { path: "/v1/transfers", body: transferBody },
		"GET /v1/transfers": { path: "/v1/transfers?status=ACTIVE&status=FAILED&id_prefix=00aa" },
		"GET /v1/transfers/{transfer_id}": { path: `/v1/transfers/${moved}` },
		"POST /v1/transfers/{transfer_id}/cancel": { path: `/v1/transfers/${moved}/cancel` },
		"GET /v1/transfers/{transfer_id}/events": { path: `/v1/transfers/${moved}/events?limit=10` },
		"GET /v1/transfers/{transfer_id}/files": { path: `/v1/transfers/${moved}/files?outcome=failed` },
		"POST /v1/transfers/{transfer_id}/reports": {
			path: `/v1/transfers/${moved}/reports`,
			body: { write_token: "t", counters: noTransferCounters },
		},
		"PUT /v1/transfer-agents/{agent_id}": { path: `/v1/transfer-agents/${newId()}`, body: agentBody },
		"HEAD /v2/version": { path: "/v2/version" },
		"GET /v2/version": { path: "/v2/version?service=all" },
		"GET /v2/authenticate": { path: "/v2/authenticate" },
		"POST /v3/functions": { path: "/v3/functions", body: registration },
		"POST /v2/functions": { path: "/v2/functions", body: { ...earlier, metadata: meta } },
		"GET /v2/functions/{function_id}": { path: `/v2/functions/${fn.toUpperCase()}` },
		"DELETE /v2/functions/{function_id}": { path: `/v2/functions/${doomed.fn}` },
		"POST /v3/endpoints": { path: "/v3/endpoints", body: endpointBody },
		"PUT /v3/endpoints/{endpoint_id}": { path: `/v3/endpoints/${endpoint}`, body: endpointBody },
		"POST /v3/endpoints/{endpoint_id}/lock": { path: `/v3/endpoints/${endpoint}/lock` },
		"GET /v3/endpoints/{endpoint_id}/allowed_functions": { path: `/v3/endpoints/${endpoint}/allowed_functions` },
		"POST /v3/endpoints/{endpoint_id}/submit": { path: `/v3/endpoints/${endpoint}/submit`, body: submitBody },
		"POST /v2/submit": {
			path: "/v2/submit",
			body: {
				tasks: [
					[fn, endpoint, "x"],
					[fn, endpoint, "y"],
				],
			},
		},
		"POST /v2/endpoints": { path: "/v2/endpoints", body: { ...endpointBody, endpoint_uuid: endpoint } },
		"GET /v2/endpoints": { path: "/v2/endpoints?role=owner" },
		"GET /v2/endpoints/{endpoint_id}": { path: `/v2/endpoints/${endpoint}` },
		"GET /v2/endpoints/{endpoint_id}/status": { path: `/v2/endpoints/${endpoint}/status` },
		"DELETE /v2/endpoints/{endpoint_id}": { path: `/v2/endpoints/${doomed.endpoint}` },
		"POST /v2/endpoints/{endpoint_id}/lock": { path: `/v2/endpoints/${endpoint}/lock` },
		"GET /v2/tasks/{task_id}": { path: `/v2/tasks/${task}` },
		"POST /v2/batch_status": { path: "/v2/batch_status", body: { task_ids: [task, newId()] } },
		"GET /v2/taskgroup/{task_group_id}": { path: `/v2/taskgroup/${group}` },
		"GET /v2/get_amqp_result_connection_url": { path: "/v2/get_amqp_result_connection_url" },
		"GET /v1/functions": { path: "/v1/functions?limit=10" },
		"GET /v1/endpoints": { path: "/v1/endpoints" },
		"GET /v1/endpoints/{endpoint}": { path: "/v1/endpoints/ep1" },
		"GET /v1/endpoints/{endpoint_id}/user-endpoints": { path: `/v1/endpoints/${endpoint}/user-endpoints?limit=10` },
		"POST /v1/endpoints/{endpoint_id}/key": { path: `/v1/endpoints/${endpoint}/key` },
		"PUT /v1/endpoints/{endpoint_id}/lease": { path: `/v1/endpoints/${endpoint}/lease`, body: leaseBody },
		"DELETE /v1/endpoints/{endpoint_id}/lease": { path: `/v1/endpoints/${endpoint}/lease`, body: leaseBody },
		"GET /v1/tasks": {
			path: `/v1/tasks?state=failed&state=running,success&group=${group}&since=2026-01-01T00:00:00Z&id_prefix=abcd`,
		},
		"POST /v1/tasks/cancel": { path: "/v1/tasks/cancel", body: { task_group_id: group } },
		"GET /v1/tasks/{task_id}": { path: `/v1/tasks/${task}` },
		"GET /v1/tasks/{task_id}/explanation": { path: `/v1/tasks/${task}/explanation` },
		"POST /v1/tasks/{task_id}/cancel": { path: `/v1/tasks/${task}/cancel` },
		"POST /v1/tasks/{task_id}/retry": { path: `/v1/tasks/${task}/retry` },
		"GET /v1/tasks/{task_id}/output": { path: `/v1/tasks/${task}/output?stream=stderr&offset=5` },
		"POST /v1/groups": { path: "/v1/groups", body: { name: `${people}-new` } },
		"GET /v1/groups": { path: "/v1/groups?limit=5" },
		"GET /v1/groups/{group}": { path: `/v1/groups/${people}` },
		"DELETE /v1/groups/{group}": { path: `/v1/groups/${people}-doomed` },
		"PUT /v1/groups/{group}/members/{account}": { path: `/v1/groups/${people}/members/bob`, body: { admin: true } },
		"DELETE /v1/groups/{group}/members/{account}": { path: `/v1/groups/${people}/members/bob` },
		"PUT /v1/endpoints/{endpoint_id}/shares": { path: `/v1/endpoints/${endpoint}/shares`, body: shareBody },
		"GET /v1/endpoints/{endpoint_id}/shares": { path: `/v1/endpoints/${endpoint}/shares` },
		"DELETE /v1/endpoints/{endpoint_id}/shares/{share_id}": { path: `/v1/endpoints/${endpoint}/shares/${share}` },
		"GET /v1/shared-endpoints": { path: "/v1/shared-endpoints" },
		"PUT /v1/accounts/{account}/admin": { path: "/v1/accounts/bob/admin", body: { admin: true } },
		"GET /v1/audit": {
			path: "/v1/audit?actor=bob&action=endpoint.share&since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z",
		},
		"POST /v1/flows": { path: "/v1/flows", body: { title: "flow", definition } },
		"GET /v1/flows": { path: "/v1/flows?limit=5&filter_fulltext=x" },
		"POST /v1/flows/validate": { path: "/v1/flows/validate", body: { definition } },
		"GET /v1/flows/{flow_id}": { path: `/v1/flows/${some}` },
		"PUT /v1/flows/{flow_id}": { path: `/v1/flows/${some}`, body: { flow_viewers: ["public"] } },
		"DELETE /v1/flows/{flow_id}": { path: `/v1/flows/${some}` },
		"POST /v1/flows/{flow_id}/run": { path: `/v1/flows/${some}/run`, body: { body: {}, tags: ["a"] } },
		"POST /v1/flows/{flow_id}/validate_run": { path: `/v1/flows/${some}/validate_run`, body: { body: {} } },
		"GET /v1/flows/{flow_id}/runs": { path: `/v1/flows/${some}/runs?filter_status=ACTIVE` },
		"GET /v1/runs": { path: `/v1/runs?filter_flow_id=${some},${some}&marker=x` },
		"GET /v1/runs/{run_id}": { path: `/v1/runs/${some}?include_flow_description=True` },
		"PUT /v1/runs/{run_id}": { path: `/v1/runs/${some}`, body: { label: "l" } },
		"GET /v1/runs/{run_id}/definition": { path: `/v1/runs/${some}/definition` },
		"GET /v1/runs/{run_id}/log": { path: `/v1/runs/${some}/log?reverse_order=true` },
		"GET /v1/runs/{run_id}/states": { path: `/v1/runs/${some}/states` },
		"POST /v1/runs/{run_id}/cancel": { path: `/v1/runs/${some}/cancel` },
		"POST /v1/runs/{run_id}/resume": { path: `/v1/runs/${some}/resume` },
		"POST /v1/runs/{run_id}/rerun": { path: `/v1/runs/${some}/rerun` },
		"POST /v1/runs/{run_id}/release": { path: `/v1/runs/${some}/release` },
		"POST /v1/batch/runs": { path: "/v1/batch/runs", body: { filters: { run_ids: [some] } } },
		"POST /v1/policies": { path: "/v1/policies", body: { name: "p", authentication_assurance_timeout: 60 } },
		"GET /v1/policies": { path: "/v1/policies?limit=5" },
		"GET /v1/policies/{policy_id}": { path: `/v1/policies/${policy}` },
		"PUT /v1/policies/{policy_id}": { path: `/v1/policies/${policy}`, body: { name: "q" } },
		"DELETE /v1/policies/{policy_id}": { path: `/v1/policies/${doomedPolicy}` },
		"GET /v2/api/projects": { path: "/v2/api/projects" },
		"POST /v2/api/projects": {
			path: "/v2/api/projects",
			body: { project: { display_name: "lab", contact_email: "ada@example.org", admin_ids: [endpoint] } },
		},
		"GET /v2/api/policies": { path: "/v2/api/policies" },
		"POST /v2/api/policies": {
			path: "/v2/api/policies",
			body: {
				policy: {
					...{ project_id: newId(), display_name: "p", description: "", high_assurance: false },
					domain_constraints_include: ["*.Example.org"],
				},
			},
		},
		"GET /v2/api/policies/{policy_id}": { path: `/v2/api/policies/${policy}` },
		"POST /v1/task-groups": { path: "/v1/task-groups" },
		"PUT /v1/blobs/{sha256}": { path: `/v1/blobs/${sha256}`, body: bytes },
		"HEAD /v1/blobs/{sha256}": { path: `/v1/blobs/${sha256}` },
		"GET /v1/blobs/{sha256}": { path: `/v1/blobs/${sha256}` },
		"GET /v1/openapi.json": { path: "/v1/openapi.json" },
	};
}

test("every route answers a good request with its status and a reply of its schema", async () => {
	const requests = await goodRequests();
	for (const row of cloud.app.routes) {
		const name = `${row.method} ${row.path}`;
		const request = requests[name];
		if (request === undefined) throw new Error(`${name} has no good request in this test`);
		const reply = await cloud.call(row.method, request.path, { body: request.body });
		expect(reply.status, `${name}: ${reply.text}`).toBe(row.status ?? 200);
	}
});

test("GC-7: every route but the open ones refuses a request without a token, with a bad one, and with one for other things", async () => {
	const requests = await goodRequests();
	for (const row of cloud.app.routes.filter((route) => route.access !== "open" && route.method !== "HEAD")) {
		const { path, body } = requests[`${row.method} ${row.path}`] as { path: string; body?: unknown };
		const before = cloud.operations.calls.length;
		expectProblem(await cloud.call(row.method, path, { body, token: "" }), "USER_UNAUTHENTICATED");
		const bad = await cloud.call(row.method, path, { body, token: "stolen" });
		expectProblem(bad, "INVALID_AUTH_TOKEN");
		expect(bad.headers.get("www-authenticate")).toContain("invalid_token");
		expectProblem(await cloud.call(row.method, path, { body, token: "narrow" }), "INSUFFICIENT_AUTH_SCOPE");
		expect(cloud.operations.calls.length, row.path).toBe(before);
	}
});

test("the operator's token needs no scope", async () => {
	expect((await cloud.call("GET", "/v1/tasks", { token: "root" })).status).toBe(200);
});

test("every route refuses the wrong method, and says which are right", async () => {
	for (const path of new Set(cloud.app.routes.map((row) => row.path))) {
		const reply = await cloud.call("PATCH", path.replace(/\{\w+\}/g, newId()));
		expectProblem(reply, "METHOD_NOT_ALLOWED");
		expect(reply.headers.get("allow")).toMatch(/GET|POST|PUT|DELETE/);
	}
});

test("every route with an id in its path refuses what is none", async () => {
	for (const row of cloud.app.routes.filter((route) => route.params !== undefined && route.method !== "HEAD")) {
		if (/\{(sha256|endpoint|group|account)\}/.test(row.path)) continue;
		const reply = await cloud.call(row.method, row.path.replace(/\{\w+\}/g, "not-an-id"), {});
		expectProblem(reply, "INVALID_UUID");
	}
	expectProblem(await cloud.call("GET", "/v1/blobs/xyz"), "SEMANTICALLY_INVALID");
	expectProblem(await cloud.call("GET", "/v1/endpoints/%00"), "SEMANTICALLY_INVALID");
	expectProblem(await cloud.call("GET", "/v1/tasks/%E0%A4%A"), "REQUEST_MALFORMED");
});

/** With something in it that is there. */
const pathOf = (path: string, endpoint: string): string =>
	path
		.replace("{endpoint_id}", endpoint)
		.replace(/\{(group|account)\}/g, "somebody")
		.replace(/\{\w+_id\}/g, newId());

describe("every route with a body refuses", () => {
	const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`;
	test.each([
		["nothing", undefined, {}, "REQUEST_MALFORMED"],
		["what is no JSON", "{", {}, "REQUEST_MALFORMED"],
		["what is no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), {}, "REQUEST_MALFORMED"],
		["another content type", "a=b", { "content-type": "application/x-www-form-urlencoded" }, "REQUEST_MALFORMED"],
		["an encoding", "{}", { "content-encoding": "gzip" }, "REQUEST_MALFORMED"],
		["the wrong kind of value", "[]", {}, "SEMANTICALLY_INVALID"],
		["half a surrogate pair", '{"metadata":{"a":"\\ud800"}}', {}, "SEMANTICALLY_INVALID"],
		["a NUL character", '{"metadata":{"a":"\\u0000"}}', {}, "SEMANTICALLY_INVALID"],
		["nesting without end", `{"metadata":${deep}}`, {}, "SEMANTICALLY_INVALID"],
	])("%s", async (_name, body, headers, code) => {
		const { endpoint } = await endpointAndFunction();
		for (const row of cloud.app.routes.filter((route) => route.body !== undefined)) {
			const path = pathOf(row.path, endpoint);
			expectProblem(await cloud.call(row.method, path, { body, headers }), code);
		}
	});

	test("more bytes than it takes, declared or not", async () => {
		const { endpoint } = await endpointAndFunction();
		for (const row of cloud.app.routes.filter((route) => route.body !== undefined)) {
			const path = pathOf(row.path, endpoint);
			const limit = row.bodyLimit ?? { bytes: 1024 * 1024, code: "TASK_PAYLOAD_TOO_LARGE" };
			const body = `"${"x".repeat(limit.bytes)}"`;
			expectProblem(await cloud.call(row.method, path, { body }), limit.code);
		}
		const head =
			"POST /v2/batch_status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\nTransfer-Encoding: chunked\r\n\r\n";
		const chunk = `${(600_000).toString(16)}\r\n${"1".repeat(600_000)}\r\n`;
		const said = await overSocket(cloud.port, head + chunk + chunk);
		expect(said).toContain("413");
		expect(said).toContain("TASK_PAYLOAD_TOO_LARGE");
	});
});

/** What a server says to raw bytes until it has said a whole error body. */
function overSocket(port: number, text: string): Promise<string> {
	return new Promise((resolve, reject) => {
		let said = "";
		const socket = connect(port, "127.0.0.1", () => socket.write(text));
		socket.setEncoding("utf8");
		socket.on("error", reject);
		socket.on("data", (data) => {
			said += data;
			if (!/\}$|\r\n\r\n$/.test(said)) return;
			socket.destroy();
			resolve(said);
		});
	});
}

describe("a refusal says what, which and the limit", () => {
	test.each([
		["POST", "/v3/functions", { function_name: "" }, "SEMANTICALLY_INVALID", /function_name: .*; function_code/],
		[
			"POST",
			"/v3/functions",
			{ ...registration, function_code: "x".repeat(9 * 2 ** 20) },
			"FUNCTION_TOO_LARGE",
			/8388608/,
		],
		[
			"POST",
			"/v3/endpoints",
			{ ...endpointBody, endpoint_name: "../etc" },
			"SEMANTICALLY_INVALID",
			/endpoint_name: .*slash/,
		],
		["POST", `/v3/endpoints/${newId()}/submit`, { tasks: {} }, "SEMANTICALLY_INVALID", /tasks: there is none/],
		["POST", `/v3/endpoints/${newId()}/submit`, { tasks: { x: ["1"] } }, "SEMANTICALLY_INVALID", /tasks/],
		[
			"POST",
			`/v3/endpoints/${newId()}/submit`,
			{ tasks: { [newId()]: [7] } },
			"SEMANTICALLY_INVALID",
			/tasks\["[0-9a-f-]+"\]\[0\]: /,
		],
		[
			"POST",
			`/v3/endpoints/${newId()}/submit`,
			{ tasks: { [newId()]: new Array(submitLimitTasks + 1).fill("1") } },
			"BATCH_RUN_TOO_LARGE",
			/at most 20000 tasks, this has 20001/,
		],
		["POST", `/v3/endpoints/${newId()}/submit`, { tasks: { [newId()]: ["1"] } }, "ENDPOINT_NOT_FOUND", /no /],
		[
			"POST",
			"/v2/submit",
			{ tasks: new Array(submitLimitTasks).fill([newId(), newId(), "1"]) },
			"ENDPOINT_NOT_FOUND",
			/no /,
		],
		["GET", "/v1/tasks?stat=failed", undefined, "SEMANTICALLY_INVALID", /stat/],
		["GET", "/v1/tasks?state=sleeping", undefined, "SEMANTICALLY_INVALID", /state\[0\]/],
		["GET", "/v1/tasks?limit=0", undefined, "SEMANTICALLY_INVALID", /limit/],
		["GET", "/v1/tasks?limit=1001", undefined, "SEMANTICALLY_INVALID", /limit/],
		["GET", "/v1/tasks?endpoint=x", undefined, "INVALID_UUID", /endpoint/],
		["GET", "/v1/tasks?id_prefix=ab", undefined, "SEMANTICALLY_INVALID", /id_prefix/],
		["GET", "/v1/tasks?since=yesterday", undefined, "SEMANTICALLY_INVALID", /since/],
		["POST", "/v1/tasks/cancel", {}, "SEMANTICALLY_INVALID", /task_ids, or task_group_id/],
		["POST", `/v1/tasks/${newId()}/cancel`, undefined, "TASK_NOT_FOUND", /no task/],
		["GET", `/v1/tasks/${newId()}/output?offset=-1`, undefined, "SEMANTICALLY_INVALID", /offset/],
		["GET", `/v2/tasks/${newId()}`, undefined, "TASK_NOT_FOUND", /no /],
		["GET", "/v4/nothing", undefined, "ROUTE_NOT_FOUND", /GET \/v4\/nothing.*openapi/],
	])("%s %s → %4$s", async (method, path, body, code, detail) => {
		const reply = await cloud.call(method, path, { body });
		expectProblem(reply, code);
		expect(reply.json.detail).toMatch(detail);
	});
});

test("what fails inside is logged with the request's id and tells the caller nothing of it", async () => {
	cloud.operations.failNext(new Error("relation tasks does not exist at postgres://u:p@db"));
	const reply = await cloud.call("GET", "/v1/tasks", { headers: { "x-request-id": "my-request-1" } });
	expectProblem(reply, "INTERNAL_ERROR");
	expect(reply.headers.get("x-request-id")).toBe("my-request-1");
	expect(reply.text).not.toContain("postgres");
	const logged = cloud.lines.find((line) => line.msg === "request failed" && line.requestId === "my-request-1");
	expect(JSON.stringify(logged)).toContain("relation tasks");
});

test("a fault's Retry-After is told in whole seconds", async () => {
	cloud.operations.failNext(new Fault("RESOURCE_LOCKED", "The endpoint is locked.", { retryAfterS: 12.2 }));
	const locked = await cloud.call("POST", "/v3/endpoints", { body: endpointBody });
	expectProblem(locked, "RESOURCE_LOCKED");
	expect(locked.headers.get("retry-after")).toBe("13");
});

test("a submit carries its idempotency key, lower-case ids and nothing that was not asked for", async () => {
	const { endpoint, fn } = await endpointAndFunction();
	const key = newId();
	const body = { tasks: { [fn.toUpperCase()]: ["a\u0000b"], [fn]: ["c"] }, create_queue: true, surprise: 1 };
	const reply = await cloud.call("POST", `/v3/endpoints/${endpoint.toUpperCase()}/submit`, {
		body,
		headers: { "idempotency-key": key.toUpperCase() },
	});
	expect(reply.json.tasks[fn]).toHaveLength(2);
	expect(cloud.operations.calls.at(-1)).toEqual([
		"submit",
		endpoint,
		{ tasks: { [fn]: ["a\u0000b", "c"] }, create_queue: true },
		key,
	]);
	const bad = await cloud.call("POST", `/v3/endpoints/${endpoint}/submit`, {
		body,
		headers: { "idempotency-key": "1" },
	});
	expectProblem(bad, "REQUEST_MALFORMED");
});

test("GC-3: a batch of 10,000 tasks is one request", async () => {
	const { endpoint, fn } = await endpointAndFunction();
	const body = { tasks: { [fn]: new Array(10_000).fill("4\n11\n") } };
	const reply = await cloud.call("POST", `/v3/endpoints/${endpoint}/submit`, { body });
	expect(reply.json.tasks[fn]).toHaveLength(10_000);
});

test("the reply to a registration is of the kind that the daemon can use", async () => {
	const keys = async (body: unknown) => Object.keys((await cloud.call("POST", "/v3/endpoints", { body })).json).sort();
	const common = ["endpoint_id", "heartbeat_queue_info", "result_queue_info", "warnings"];
	const manager = [...common, "command_queue_info"].sort();
	expect(await keys({ ...endpointBody, metadata: { user_config_template: "engine: {}" } })).toEqual(manager);
	expect(await keys({ ...endpointBody, multi_user: true })).toEqual(manager);
	expect(await keys(endpointBody)).toEqual([...common, "task_queue_info"].sort());
	const ours = await keys({ ...endpointBody, metadata: { errand_protocol: 1, errand_journal_id: newId() } });
	expect(ours).toEqual([...common, "task_queue_info", "command_queue_info", "report_queue_info"].sort());
});

test("a blob streams through in both directions, and is refused when its bytes are others", async () => {
	const bytes = randomBytes(3_000_000);
	const sha256 = createHash("sha256").update(bytes).digest("hex");
	expectProblem(await cloud.call("GET", `/v1/blobs/${sha256}`), "BLOB_NOT_FOUND");
	expect((await cloud.call("HEAD", `/v1/blobs/${sha256}`)).status).toBe(404);
	expectProblem(await cloud.call("PUT", `/v1/blobs/${sha256}`, { body: bytes.subarray(1) }), "CHECKSUM_MISMATCH");
	expect((await cloud.call("PUT", `/v1/blobs/${sha256.toUpperCase()}`, { body: bytes })).status).toBe(200);
	const response = await fetch(`${cloud.url}/v1/blobs/${sha256}`, { headers: { authorization: "Bearer ada" } });
	expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
	expect(response.headers.get("etag")).toBe(`"${sha256}"`);
	const head = `PUT /v1/blobs/${sha256} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\nContent-Length: 99999999999\r\n\r\n`;
	expect(await overSocket(cloud.port, head)).toContain("BLOB_TOO_LARGE");
});

test("NEW-14: a blob whose sender goes away is not stored", async () => {
	const sha256 = "0".repeat(64);
	const aborted = new AbortController();
	const body = new ReadableStream({
		start: (controller) => controller.enqueue(new Uint8Array(1000)),
		pull: () => aborted.abort(),
	});
	const headers = { authorization: "Bearer ada" };
	const init = { method: "PUT", body, headers, duplex: "half", signal: aborted.signal } as RequestInit;
	await expect(fetch(`${cloud.url}/v1/blobs/${sha256}`, init)).rejects.toThrow();
	expect((await cloud.call("HEAD", `/v1/blobs/${sha256}`)).status).toBe(404);
});

test("requests beyond the rate are told when to come again, others' are not", async () => {
	const environment = { ERRAND_CLOUD_RATE_LIMIT_PER_S: "1", ERRAND_CLOUD_RATE_LIMIT_BURST: "3" };
	await using limited = await openCloudUnderTest({ environment });
	const replies = await Promise.all([1, 2, 3, 4].map(() => limited.call("GET", "/v1/tasks")));
	expect(replies.map((reply) => reply.status).sort()).toEqual([200, 200, 200, 429]);
	const refused = replies.find((reply) => reply.status === 429) as Reply;
	expectProblem(refused, "TOO_MANY_REQUESTS");
	expect(refused.headers.get("retry-after")).toBe("1");
	expect((await limited.call("GET", "/v1/tasks", { token: "bob" })).status).toBe(200);
	const guesses = await Promise.all([1, 2, 3, 4].map((i) => limited.call("GET", "/v1/tasks", { token: `guess${i}` })));
	expect(guesses.map((reply) => reply.status).sort()).toEqual([401, 401, 401, 429]);
});

test("pages of an allowed origin may use the interface with a token, others may not", async () => {
	const preflight = (origin: string) =>
		cloud.call("OPTIONS", "/v1/tasks", { token: "", headers: { origin, "access-control-request-method": "GET" } });
	const allowed = await preflight("https://app.example.org");
	expect(allowed.status).toBe(204);
	expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.example.org");
	expect(allowed.headers.get("access-control-allow-headers")).toContain("Authorization");
	expect(allowed.headers.has("access-control-allow-credentials")).toBe(false);
	expect((await preflight("https://evil.example")).headers.has("access-control-allow-origin")).toBe(false);
});

test("replies are not cached, sniffed or framed", async () => {
	const { headers } = await cloud.call("GET", "/v1/tasks");
	expect(headers.get("cache-control")).toBe("no-store");
	expect(headers.get("x-content-type-options")).toBe("nosniff");
	expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
	expect(headers.has("x-powered-by")).toBe(false);
});

test("the access log tells who, what and how long, and no token, query or body", async () => {
	await cloud.call("GET", "/v1/tasks?id_prefix=abcdef");
	const line = cloud.lines.filter((one) => one.msg === "request" && one.path === "/v1/tasks").at(-1);
	expect(line).toMatchObject({ method: "GET", route: "/v1/tasks", status: 200, address: "127.0.0.1" });
	expect(line?.account).toBe(cloud.tokens.get("ada")?.accountId);
	expect(JSON.stringify(cloud.lines)).not.toMatch(/Bearer|abcdef|def add/);
});

test("the identity provider's router gets what the table does not have, and its parser's errors have the one shape", async () => {
	const identityRouter = express.Router();
	identityRouter.post("/v1/accounts", express.json({ limit: 100 }), (request, response) => {
		response.json(request.body);
	});
	await using own = await openCloudUnderTest({ identityRouter });
	expect((await own.call("POST", "/v1/accounts", { body: { a: 1 } })).json).toEqual({ a: 1 });
	expectProblem(await own.call("POST", "/v1/accounts", { body: "{" }), "REQUEST_MALFORMED");
	expectProblem(await own.call("POST", "/v1/accounts", { body: { a: "x".repeat(200) } }), "TASK_PAYLOAD_TOO_LARGE");
	expectProblem(await own.call("DELETE", "/v1/accounts"), "METHOD_NOT_ALLOWED");
	expectProblem(await own.call("GET", "/v1/else"), "ROUTE_NOT_FOUND");
});

test("health, readiness and the landing page answer anybody", async () => {
	expect((await cloud.call("GET", "/healthz", { token: "" })).json).toEqual({ status: "ok" });
	expect((await cloud.call("GET", "/readyz", { token: "" })).json).toEqual({ status: "ready" });
	cloud.operations.missing = ["the broker does not answer"];
	const reply = await cloud.call("GET", "/readyz", { token: "" });
	expectProblem(reply, "NOT_READY");
	expect(reply.json.detail).toContain("the broker does not answer");
	expect(reply.headers.has("retry-after")).toBe(true);
	const page = await cloud.call("GET", "/", { token: "" });
	expect(page.status).toBe(200);
	expect(page.headers.get("content-type")).toContain("text/html");
	expect(page.text).toContain("/v1/openapi.json");
	expect(page.text).toContain("Not ready: the broker does not answer.");
	cloud.operations.missing = [];
	expect((await cloud.call("GET", "/", { token: "" })).text).toContain(">ready</a>");
});

test("metrics count requests by route and are for this machine or the operator", async () => {
	await cloud.call("GET", "/v1/tasks");
	const shown = await cloud.call("GET", "/metrics", { token: "" });
	expect(shown.text).toMatch(/errand_http_request_seconds_count\{method="GET",route="\/v1\/tasks",status="200"\} \d+/);
	const headers = { "x-forwarded-for": "203.0.113.9" };
	expectProblem(await cloud.call("GET", "/metrics", { token: "", headers }), "FORBIDDEN");
	expectProblem(await cloud.call("GET", "/metrics", { token: "ada", headers }), "FORBIDDEN");
	expect((await cloud.call("GET", "/metrics", { token: "root", headers })).status).toBe(200);
});
