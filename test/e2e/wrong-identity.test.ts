/**
 * NEW-24, NEW-25: everything that the running cloud has, with the wrong identity: every route of its own document,
 * every queue and exchange of its broker, every stream. Ada owns things; the others try to get at them.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	commandQueue,
	contentTypes,
	type EndpointId,
	exchanges,
	type FaultCode,
	faults,
	groupQueuePrefix,
	idToBytes,
	newId,
	pack,
	packReference,
	routingKey,
	submitLimitBytes,
	submitLimitTasks,
	taskQueue,
} from "@errand/proto";
import {
	type AgentAssignments,
	computeScope,
	errandClientId,
	noTransferCounters,
	peerClientId,
	streamClose,
} from "@errand/proto/rest";
import { create, OutputStream, ReportBatchSchema, ResultBatchSchema, toBinary } from "@errand/proto/wire";
import { Client, requestDeviceLogin } from "@errand/sdk";
import { type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { loadLinkIdentity } from "../../endpoint/src/link/certificate.ts";
import { TestCloud } from "../harness/cloud.ts";
import { type Deployment, deploymentNames, startDeployment } from "../harness/deployment.ts";

/** In everything of Ada's that has text; nobody else may ever read it. */
const mark = "only-for-ada";
const code = pack([`ej\nf:export const f = () => "${mark}"`]);
const argumentsText = pack(["11\n[]", "11\n{}"]);
const nobodysId = "00000000-0000-4000-8000-000000000000";

const callerNames = ["owner", "other", "key", "otherKey", "admin", "operator"] as const;
type CallerName = (typeof callerNames)[number];

interface Registered {
	readonly id: EndpointId;
	/** Of its AMQP user. */
	readonly connectionUrl: string;
}

/** What Ada has, and what Bob has. */
interface Scene {
	readonly cloud: TestCloud;
	readonly tokens: Readonly<Record<CallerName, string>>;
	readonly ada: Client;
	readonly bob: Client;
	readonly adasAccount: string;
	readonly bobsAccount: string;
	readonly endpoint: Registered;
	readonly bobsEndpoint: Registered;
	readonly functionId: string;
	readonly bobsFunction: string;
	readonly group: string;
	/** Ended, with output, and with a result in the blob store. */
	readonly ended: string;
	readonly blob: string;
	readonly resultBlob: string;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function tokenOfKey(key: { client_id: string; client_secret: string; token_endpoint: string }): Promise<string> {
	const reply = await fetch(key.token_endpoint, {
		method: "POST",
		headers: { authorization: `Basic ${Buffer.from(`${key.client_id}:${key.client_secret}`).toString("base64")}` },
		body: new URLSearchParams({ grant_type: "client_credentials", scope: computeScope }),
	});
	expect(reply.status).toBe(200);
	return ((await reply.json()) as { access_token: string }).access_token;
}

const registration = (name: string) => ({ endpoint_name: name, metadata: { errand_protocol: 1 as const } });

async function register(client: Client, name: string): Promise<Registered> {
	const reply = await client.registerEndpoint(registration(name));
	return { id: reply.endpoint_id as EndpointId, connectionUrl: reply.task_queue_info.connection_url };
}

async function submitOne(client: Client, endpoint: string, fn: string, group: string, queue = false): Promise<string> {
	const body = { tasks: { [fn]: [argumentsText] }, task_group_id: group, create_queue: queue };
	const reply = await client.submit(endpoint, body);
	return reply.tasks[fn]?.[0] as string;
}

/** Speaks for an endpoint as its daemon does. */
async function asEndpoint<T>({ connectionUrl }: Registered, work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
	const model = await connect(connectionUrl, { noDelay: true });
	model.on("error", () => undefined);
	try {
		const channel = await model.createConfirmChannel();
		channel.on("error", () => undefined);
		return await work(channel);
	} finally {
		await model.close().catch(() => undefined);
	}
}

async function sendResult(
	channel: ConfirmChannel,
	endpoint: EndpointId,
	taskId: string,
	blob?: { sha256: string; sizeBytes: number },
): Promise<void> {
	const outcome =
		blob === undefined
			? { case: "value" as const, value: Buffer.from("11\n1") }
			: {
					case: "valueReference" as const,
					value: { sha256: Buffer.from(blob.sha256, "hex"), sizeBytes: blob.sizeBytes },
				};
	const batch = create(ResultBatchSchema, { results: [{ taskId: idToBytes(taskId), outcome, stdoutBytes: 12 }] });
	channel.publish(exchanges.results, routingKey(endpoint, "results"), Buffer.from(toBinary(ResultBatchSchema, batch)), {
		contentType: contentTypes.resultBatch,
	});
	await channel.waitForConfirms();
}

/** Until the task has ended; its document. */
async function whenEnded(client: Client, taskId: string) {
	const { group_id } = await client.getTask(taskId);
	const socket = new WebSocket(`${client.cloudUrl.replace(/^http/, "ws")}/v1/stream`, "errand.v1", {
		headers: { authorization: `Bearer ${await client.accessToken()}` },
	});
	await new Promise<void>((resolve, reject) => {
		socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", group: group_id })));
		socket.on("message", (data) => {
			const frame = JSON.parse(String(data)) as { type: string; results?: { task_id: string }[] };
			if (frame.type === "results" && frame.results?.some((one) => one.task_id === taskId)) resolve();
		});
		socket.on("error", reject);
		socket.on("close", () => reject(new Error("the stream ended")));
	});
	socket.close();
	return client.getTask(taskId);
}

async function setScene(cloud: TestCloud): Promise<Scene> {
	// The first administrator: the operator acts as this account, so neither is Ada or Bob.
	const admin = await cloud.login("root", { admin: true });
	const ada = await cloud.login("ada");
	const bob = await cloud.login("bob");
	const endpoint = await register(ada.client, "adas");
	const bobsEndpoint = await register(bob.client, "bobs");
	const key = await tokenOfKey(await ada.client.makeEndpointKey(endpoint.id));
	const otherKey = await tokenOfKey(await bob.client.makeEndpointKey(bobsEndpoint.id));
	const functionId = await ada.client.registerFunction({ function_name: mark, function_code: code });
	const bobsFunction = await bob.client.registerFunction({ function_name: "f", function_code: code });
	const group = await ada.client.createTaskGroup();
	const ended = await submitOne(ada.client, endpoint.id, functionId, group, true);

	const value = new TextEncoder().encode(`${mark}, in arguments`);
	const blob = sha256(value);
	await ada.client.putBlob(blob, value);
	const result = new TextEncoder().encode(`11\n"${mark}, as a result"`);
	const resultBlob = sha256(result);
	await new Client({ cloudUrl: cloud.url, token: key }).putBlob(resultBlob, result);
	await asEndpoint(endpoint, async (channel) => {
		const output = { stream: OutputStream.STDOUT, offsetBytes: 0, data: Buffer.from(mark) };
		const reports = create(ReportBatchSchema, {
			reports: [{ taskId: idToBytes(ended), atUs: Date.now() * 1000, event: { case: "output", value: output } }],
		});
		channel.publish(
			exchanges.reports,
			routingKey(endpoint.id, "reports"),
			Buffer.from(toBinary(ReportBatchSchema, reports)),
			{ contentType: contentTypes.reportBatch },
		);
		await sendResult(channel, endpoint.id, ended, { sha256: resultBlob, sizeBytes: result.length });
	});
	expect(await whenEnded(ada.client, ended)).toMatchObject({
		state: "success",
		result_reference: { sha256: resultBlob },
	});
	return {
		cloud,
		tokens: {
			owner: ada.token,
			other: bob.token,
			key,
			otherKey,
			admin: admin.token,
			operator: cloud.operatorToken,
		},
		ada: ada.client,
		bob: bob.client,
		adasAccount: (await ada.client.whoami()).id,
		bobsAccount: (await bob.client.whoami()).id,
		endpoint,
		bobsEndpoint,
		functionId,
		bobsFunction,
		group,
		ended,
		blob,
		resultBlob,
	};
}

interface Ask {
	readonly path: string;
	readonly body?: unknown;
	readonly bytes?: Uint8Array<ArrayBuffer>;
	readonly headers?: Readonly<Record<string, string>>;
}

function send(url: string, method: string, token: string | undefined, ask: Ask): Promise<Response> {
	return fetch(url + ask.path, {
		method,
		headers: {
			...(token !== undefined && { authorization: `Bearer ${token}` }),
			...(ask.body !== undefined && { "content-type": "application/json" }),
			...ask.headers,
		},
		...(ask.body !== undefined && { body: JSON.stringify(ask.body) }),
		...(ask.bytes !== undefined && { body: ask.bytes }),
	});
}

/** The one error shape, with this code; nothing of Ada's in it. */
async function expectProblem(reply: Response, code: FaultCode, what: string, method = "GET"): Promise<void> {
	const text = await reply.text();
	expect({ what, status: reply.status, text }).toMatchObject({ status: faults[code].httpStatus });
	expect(text, what).not.toContain(mark);
	if (method === "HEAD") return;
	const said = JSON.parse(text) as Record<string, unknown>;
	expect({ what, said }).toMatchObject({
		said: { status: "Failed", code, http_status_code: faults[code].httpStatus, error_args: expect.any(Array) },
	});
	expect(said.detail, what).toBe(said.reason);
	expect(String(said.detail).length, what).toBeGreaterThan(10);
}

type Outcome = "ok" | FaultCode;
/** By caller; `rest` for those that are not named. */
type Outcomes = Partial<Record<CallerName, Outcome>> & { rest: Outcome };

type Check = (reply: Response, scene: Scene, caller: CallerName) => Promise<void>;

interface Row {
	/** A request about something of Ada's, made anew for each caller where the request uses it up. */
	readonly ask: (scene: Scene, caller: CallerName) => Promise<Ask> | Ask;
	readonly may: Outcomes;
	/** In the reply of those who may, also of those who see their own things only. */
	readonly check?: Check;
}

const everybody: Outcomes = { rest: "ok" };
/** Any account; an endpoint's key is none. */
const accountsOnly = (refusal: FaultCode): Outcomes => ({ rest: "ok", key: refusal, otherKey: refusal });
const owner = (refusal: FaultCode): Outcomes => ({ rest: refusal, owner: "ok" });
const ownerAndAdmins = (refusal: FaultCode): Outcomes => ({ rest: refusal, owner: "ok", admin: "ok", operator: "ok" });
const administrators: Outcomes = { rest: "FORBIDDEN", admin: "ok", operator: "ok" };

/** Only Ada's reply has something of Ada's in it. */
const onlyOwn: Check = async (reply, scene, caller) => {
	const text = await reply.text();
	const hers = [mark, scene.endpoint.id, scene.functionId, scene.group, scene.ended];
	for (const one of hers) if (caller !== "owner") expect(text, caller).not.toContain(one);
	if (caller === "owner") expect(hers.some((one) => text.includes(one))).toBe(true);
};

/** A flow that does nothing, for long. */
const waiting = { StartAt: "Wait", States: { Wait: { Type: "Wait", Seconds: 86_400, Comment: mark, End: true } } };

const freshName = () => `n${randomBytes(6).toString("hex")}`;
const fresh = {
	endpoint: async ({ ada }: Scene) => (await register(ada, freshName())).id,
	function: ({ ada }: Scene) => ada.registerFunction({ function_name: mark, function_code: code }),
	task: ({ ada, endpoint, functionId, group }: Scene) => submitOne(ada, endpoint.id, functionId, group),
	flow: async ({ ada }: Scene) => (await ada.flows.create({ title: mark, definition: waiting })).id,
	run: async (scene: Scene) => (await scene.ada.flows.start(await fresh.flow(scene), { body: { mark } })).run_id,
	endedRun: async (scene: Scene) => {
		const run = await fresh.run(scene);
		await scene.ada.flows.cancelRun(run);
		await expect.poll(async () => (await scene.ada.flows.getRun(run)).status).toBe("FAILED");
		return run;
	},
};
/** Somebody whom no row asks for. */
async function stranger({ cloud }: Scene): Promise<string> {
	const name = freshName();
	await cloud.createAccount(name);
	return name;
}

/** A group of Ada's with one more member. */
async function groupOfTwo(scene: Scene): Promise<{ group: string; member: string }> {
	const member = await stranger(scene);
	const group = (await scene.ada.sharing.createGroup(freshName())).name;
	await scene.ada.sharing.setMember(group, member);
	return { group, member };
}

const agentBody = async () => ({
	certificate: (await linkIdentity).certificate,
	collections: [{ name: "data" }],
});
const identityDirectory = mkdtempSync(join(tmpdir(), "errand-identity-"));
const linkIdentity = loadLinkIdentity(identityDirectory).finally(() => rmSync(identityDirectory, { recursive: true }));

/** The agent of Ada's endpoint is there, and asks what to do. */
async function pollAs({ cloud, endpoint, tokens }: Scene, caller: CallerName): Promise<AgentAssignments> {
	const body = await agentBody();
	const reply = await send(cloud.url, "PUT", tokens[caller], { path: `/v1/transfer-agents/${endpoint.id}`, body });
	return (await reply.json()) as AgentAssignments;
}

const transferOf = ({ endpoint }: Scene) => ({
	source_endpoint: endpoint.id,
	destination_endpoint: endpoint.id,
	items: [{ source_path: `/data/${mark}`, destination_path: "/data/copy" }],
});

async function freshTransfer(scene: Scene): Promise<string> {
	await pollAs(scene, "key");
	return (await scene.ada.transfers.submit(transferOf(scene))).id;
}

/** An authentication policy of Ada's. */
const policyOf = async ({ ada }: Scene): Promise<string> =>
	(await ada.authPolicies.create({ name: mark, domain_constraints_include: ["uni.edu"] })).id;

const publicPolicyOf = (project: string) => ({
	policy: { project_id: project, display_name: mark, description: "", domain_constraints_include: ["uni.edu"] },
});

/** A token of the identity service, as the public interface's clients get one beside that for computing. */
async function authTokenOf({ cloud }: Scene, username: string, scopes: readonly string[]): Promise<string> {
	const { reply } = await requestDeviceLogin({
		cloudUrl: cloud.url,
		client: { id: peerClientId, scopes: [computeScope, ...scopes] },
		onPrompt: ({ userCode }) => cloud.approveDevice(userCode, username),
	});
	return (reply.other_tokens as { access_token: string }[])[0]?.access_token ?? "";
}

const leaseBody = () => ({ holder_id: newId(), host: "h", pid: 1 });
/** Endpoints are found by id, so a refusal may say that there is one; tasks, groups and values are not even that. */
const endpointRefused = "ENDPOINT_ACCESS_FORBIDDEN";

/** One row for each route of the document: a route without one fails the test. */
const table: Readonly<Record<string, Row>> = {
	"GET /v1/cloud": { ask: () => ({ path: "/v1/cloud" }), may: everybody },
	"GET /v1/openapi.json": { ask: () => ({ path: "/v1/openapi.json" }), may: everybody },
	"GET /v2/version": { ask: () => ({ path: "/v2/version" }), may: everybody },
	"HEAD /v2/version": { ask: () => ({ path: "/v2/version" }), may: everybody },
	"GET /v2/authenticate": { ask: () => ({ path: "/v2/authenticate" }), may: everybody },
	"GET /v1/whoami": {
		ask: () => ({ path: "/v1/whoami" }),
		may: everybody,
		check: async (reply, _scene, caller) => {
			const names = { owner: "ada", key: "ada", other: "bob", otherKey: "bob", admin: "root" };
			const kind = caller === "key" || caller === "otherKey" ? "endpoint" : "account";
			const said = (await reply.json()) as { username: string; kind: string };
			expect(said.kind).toBe(kind);
			if (caller !== "operator") expect(said.username).toBe(names[caller]);
		},
	},

	// accounts
	"GET /v1/accounts": {
		ask: () => ({ path: "/v1/accounts" }),
		may: administrators,
		check: async (reply) => expect(await reply.text()).not.toMatch(/password/i),
	},
	"POST /v1/accounts": {
		ask: () => ({ path: "/v1/accounts", body: { username: freshName(), password: randomBytes(12).toString("hex") } }),
		may: administrators,
	},
	"POST /v1/clients": {
		ask: () => ({ path: "/v1/clients", body: { name: "c" } }),
		may: accountsOnly("FORBIDDEN"),
	},
	"POST /v1/device-approvals": {
		ask: async ({ cloud }) => {
			const reply = await fetch(`${cloud.url}/v2/oauth2/device`, {
				method: "POST",
				body: new URLSearchParams({ client_id: errandClientId, scope: computeScope }),
			});
			const { user_code } = (await reply.json()) as { user_code: string };
			return { path: "/v1/device-approvals", body: { user_code, username: "ada" } };
		},
		may: { rest: "FORBIDDEN", operator: "ok" },
	},

	// functions
	"POST /v3/functions": {
		ask: () => ({ path: "/v3/functions", body: { function_name: "f", function_code: code } }),
		may: accountsOnly("FORBIDDEN"),
	},
	"POST /v2/functions": {
		ask: () => ({ path: "/v2/functions", body: { function_name: "f", function_code: code } }),
		may: accountsOnly("FORBIDDEN"),
	},
	"GET /v1/functions": { ask: () => ({ path: "/v1/functions" }), may: accountsOnly("FORBIDDEN"), check: onlyOwnList() },
	"GET /v2/functions/{function_id}": {
		ask: ({ functionId }) => ({ path: `/v2/functions/${functionId}` }),
		may: ownerAndAdmins("FUNCTION_ACCESS_FORBIDDEN"),
	},
	"DELETE /v2/functions/{function_id}": {
		ask: async (scene) => ({ path: `/v2/functions/${await fresh.function(scene)}` }),
		may: ownerAndAdmins("FUNCTION_ACCESS_FORBIDDEN"),
	},

	// endpoints
	"POST /v3/endpoints": {
		// Bob's may have the name of Ada's: each account has names of its own, so hers is never touched.
		ask: (_scene, caller) => ({ path: "/v3/endpoints", body: registration(caller === "other" ? "adas" : freshName()) }),
		may: accountsOnly("FORBIDDEN"),
		check: async (reply, scene) => expect(await reply.text()).not.toContain(scene.endpoint.id),
	},
	"PUT /v3/endpoints/{endpoint_id}": {
		ask: async (scene, caller) => {
			const id = caller === "owner" ? await fresh.endpoint(scene) : scene.endpoint.id;
			return { path: `/v3/endpoints/${id}`, body: registration(caller === "owner" ? freshName() : "adas") };
		},
		may: { rest: endpointRefused, owner: "ok", key: "ok" },
	},
	"POST /v2/endpoints": {
		ask: async (scene, caller) => {
			const id = caller === "owner" ? await fresh.endpoint(scene) : scene.endpoint.id;
			const name = caller === "owner" ? freshName() : "adas";
			return { path: "/v2/endpoints", body: { ...registration(name), endpoint_uuid: id } };
		},
		may: { rest: endpointRefused, owner: "ok", key: "ok" },
	},
	"GET /v1/endpoints": { ask: () => ({ path: "/v1/endpoints" }), may: accountsOnly("FORBIDDEN"), check: onlyOwnList() },
	"GET /v2/endpoints": {
		ask: () => ({ path: "/v2/endpoints?role=any" }),
		may: accountsOnly("FORBIDDEN"),
		check: onlyOwnList(),
	},
	"GET /v1/endpoints/{endpoint}": {
		ask: ({ endpoint }) => ({ path: `/v1/endpoints/${endpoint.id}` }),
		may: { ...ownerAndAdmins(endpointRefused), key: "ok" },
	},
	"GET /v2/endpoints/{endpoint_id}": {
		ask: ({ endpoint }) => ({ path: `/v2/endpoints/${endpoint.id}` }),
		may: { ...ownerAndAdmins(endpointRefused), key: "ok" },
	},
	"GET /v2/endpoints/{endpoint_id}/status": {
		ask: ({ endpoint }) => ({ path: `/v2/endpoints/${endpoint.id}/status` }),
		may: { ...ownerAndAdmins(endpointRefused), key: "ok" },
	},
	"GET /v3/endpoints/{endpoint_id}/allowed_functions": {
		ask: ({ endpoint }) => ({ path: `/v3/endpoints/${endpoint.id}/allowed_functions` }),
		may: { ...ownerAndAdmins(endpointRefused), key: "ok" },
	},
	"DELETE /v2/endpoints/{endpoint_id}": {
		ask: async (scene) => ({ path: `/v2/endpoints/${await fresh.endpoint(scene)}` }),
		may: ownerAndAdmins(endpointRefused),
	},
	"POST /v2/endpoints/{endpoint_id}/lock": {
		ask: async (scene) => ({ path: `/v2/endpoints/${await fresh.endpoint(scene)}/lock` }),
		may: ownerAndAdmins(endpointRefused),
	},
	"POST /v3/endpoints/{endpoint_id}/lock": {
		ask: async (scene) => ({ path: `/v3/endpoints/${await fresh.endpoint(scene)}/lock` }),
		may: ownerAndAdmins(endpointRefused),
	},
	"GET /v1/endpoints/{endpoint_id}/user-endpoints": {
		ask: ({ endpoint }) => ({ path: `/v1/endpoints/${endpoint.id}/user-endpoints` }),
		may: ownerAndAdmins(endpointRefused),
	},
	"POST /v1/endpoints/{endpoint_id}/key": {
		ask: async (scene) => ({ path: `/v1/endpoints/${await fresh.endpoint(scene)}/key` }),
		may: owner(endpointRefused),
	},
	"PUT /v1/endpoints/{endpoint_id}/lease": {
		ask: async (scene, caller) => {
			const id = caller === "key" ? scene.endpoint.id : await fresh.endpoint(scene);
			return { path: `/v1/endpoints/${id}/lease`, body: leaseBody() };
		},
		may: { rest: endpointRefused, owner: "ok", key: "ok" },
	},
	"DELETE /v1/endpoints/{endpoint_id}/lease": {
		ask: async (scene, caller) => {
			const id = caller === "key" ? scene.endpoint.id : await fresh.endpoint(scene);
			return { path: `/v1/endpoints/${id}/lease`, body: leaseBody() };
		},
		may: { rest: endpointRefused, owner: "ok", key: "ok" },
	},

	// tasks
	"POST /v3/endpoints/{endpoint_id}/submit": {
		// Public code, so that only the endpoint can be the reason.
		ask: async ({ ada, endpoint }) => {
			const fn = await ada.registerFunction({ function_name: "f", function_code: code, public: true });
			return { path: `/v3/endpoints/${endpoint.id}/submit`, body: { tasks: { [fn]: [argumentsText] } } };
		},
		may: ownerAndAdmins(endpointRefused),
	},
	"POST /v2/submit": {
		ask: async ({ ada, endpoint }) => {
			const fn = await ada.registerFunction({ function_name: "f", function_code: code, public: true });
			return { path: "/v2/submit", body: { tasks: [[fn, endpoint.id, argumentsText]] } };
		},
		may: { ...ownerAndAdmins(endpointRefused), key: "FORBIDDEN", otherKey: "FORBIDDEN" },
	},
	"GET /v1/tasks": {
		ask: ({ group }) => ({ path: `/v1/tasks?group=${group}` }),
		may: accountsOnly("FORBIDDEN"),
		check: onlyOwn,
	},
	"GET /v1/tasks/{task_id}": {
		ask: ({ ended }) => ({ path: `/v1/tasks/${ended}` }),
		may: ownerAndAdmins("TASK_NOT_FOUND"),
	},
	"GET /v1/tasks/{task_id}/explanation": {
		ask: ({ ended }) => ({ path: `/v1/tasks/${ended}/explanation` }),
		may: ownerAndAdmins("TASK_NOT_FOUND"),
		check: async (reply, { ended }) => expect(await reply.json()).toMatchObject({ task_id: ended, word: null }),
	},
	"GET /v2/tasks/{task_id}": {
		ask: ({ ended }) => ({ path: `/v2/tasks/${ended}` }),
		may: ownerAndAdmins("TASK_NOT_FOUND"),
		check: async (reply) => expect(await reply.text()).toContain(mark),
	},
	"GET /v1/tasks/{task_id}/output": {
		ask: ({ ended }) => ({ path: `/v1/tasks/${ended}/output` }),
		may: ownerAndAdmins("TASK_NOT_FOUND"),
		check: async (reply) => expect(await reply.json()).toMatchObject({ data: mark }),
	},
	"POST /v2/batch_status": {
		ask: ({ ended }) => ({ path: "/v2/batch_status", body: { task_ids: [ended] } }),
		// Each id is answered for itself.
		may: everybody,
		check: async (reply, { ended }, caller) => {
			const { results } = (await reply.json()) as { results: Record<string, { status: string; reason?: string }> };
			if (caller === "owner" || caller === "admin" || caller === "operator")
				expect(results[ended]?.status).toBe("success");
			else expect(results[ended]).toEqual({ task_id: ended, status: "failed", reason: expect.stringContaining(ended) });
		},
	},
	"POST /v1/tasks/{task_id}/cancel": {
		ask: async (scene) => ({ path: `/v1/tasks/${await fresh.task(scene)}/cancel` }),
		may: ownerAndAdmins("TASK_NOT_FOUND"),
	},
	"POST /v1/tasks/cancel": {
		ask: ({ group }) => ({ path: "/v1/tasks/cancel", body: { task_group_id: group } }),
		may: ownerAndAdmins("TASK_GROUP_NOT_FOUND"),
	},
	"POST /v1/tasks/{task_id}/retry": {
		ask: ({ ended }) => ({ path: `/v1/tasks/${ended}/retry` }),
		may: owner("TASK_NOT_FOUND"),
	},

	// groups and results
	"POST /v1/task-groups": { ask: () => ({ path: "/v1/task-groups" }), may: accountsOnly("FORBIDDEN") },
	"GET /v2/taskgroup/{task_group_id}": {
		ask: ({ group }) => ({ path: `/v2/taskgroup/${group}` }),
		may: ownerAndAdmins("TASK_GROUP_NOT_FOUND"),
	},
	"GET /v2/get_amqp_result_connection_url": {
		ask: () => ({ path: "/v2/get_amqp_result_connection_url" }),
		may: accountsOnly("FORBIDDEN"),
		check: async (reply, { adasAccount }, caller) => {
			const text = await reply.text();
			expect(text.includes(adasAccount), caller).toBe(caller === "owner");
		},
	},

	// groups of people, shares, the audit log
	// authentication policies
	"POST /v1/policies": {
		ask: () => ({ path: "/v1/policies", body: { name: freshName(), domain_constraints_include: ["uni.edu"] } }),
		may: accountsOnly("FORBIDDEN"),
	},
	"GET /v1/policies": {
		ask: async (scene) => {
			await policyOf(scene);
			return { path: "/v1/policies?limit=1000" };
		},
		may: accountsOnly("FORBIDDEN"),
		check: async (reply, { adasAccount }, caller) => {
			const { items } = (await reply.json()) as { items: { owner_id: string }[] };
			expect(items.some((one) => one.owner_id === adasAccount)).toBe(caller === "owner");
		},
	},
	"GET /v1/policies/{policy_id}": {
		ask: async (scene) => ({ path: `/v1/policies/${await policyOf(scene)}` }),
		may: ownerAndAdmins("POLICY_NOT_FOUND"),
	},
	"PUT /v1/policies/{policy_id}": {
		ask: async (scene) => ({ path: `/v1/policies/${await policyOf(scene)}`, body: { description: "x" } }),
		may: { ...owner("POLICY_NOT_FOUND"), admin: "FORBIDDEN", operator: "FORBIDDEN" },
	},
	"DELETE /v1/policies/{policy_id}": {
		ask: async (scene) => ({ path: `/v1/policies/${await policyOf(scene)}` }),
		may: ownerAndAdmins("POLICY_NOT_FOUND"),
	},
	// These take tokens of the identity service; everybody here has one of the compute service.
	"GET /v2/api/projects": { ask: () => ({ path: "/v2/api/projects" }), may: { rest: "INVALID_AUTH_TOKEN" } },
	"POST /v2/api/projects": {
		ask: () => ({ path: "/v2/api/projects", body: { project: { display_name: "p", contact_email: "" } } }),
		may: { rest: "INVALID_AUTH_TOKEN" },
	},
	"GET /v2/api/policies": { ask: () => ({ path: "/v2/api/policies" }), may: { rest: "INVALID_AUTH_TOKEN" } },
	"POST /v2/api/policies": {
		ask: () => ({ path: "/v2/api/policies", body: publicPolicyOf(nobodysId) }),
		may: { rest: "INVALID_AUTH_TOKEN" },
	},
	"GET /v2/api/policies/{policy_id}": {
		ask: async (scene) => ({ path: `/v2/api/policies/${await policyOf(scene)}` }),
		may: { rest: "INVALID_AUTH_TOKEN" },
	},

	"POST /v1/groups": {
		ask: () => ({ path: "/v1/groups", body: { name: freshName() } }),
		may: accountsOnly("FORBIDDEN"),
	},
	// flows
	"POST /v1/flows": {
		ask: () => ({ path: "/v1/flows", body: { title: "t", definition: waiting } }),
		may: accountsOnly("FORBIDDEN"),
	},
	"GET /v1/flows": {
		ask: async (scene) => ({ path: `/v1/flows?filter_fulltext=${(await fresh.flow(scene)) && mark}` }),
		may: accountsOnly("FORBIDDEN"),
		check: onlyOwnList(),
	},
	"POST /v1/flows/validate": {
		ask: () => ({ path: "/v1/flows/validate", body: { definition: waiting } }),
		may: accountsOnly("FORBIDDEN"),
	},
	"GET /v1/flows/{flow_id}": {
		ask: async (scene) => ({ path: `/v1/flows/${await fresh.flow(scene)}` }),
		may: ownerAndAdmins("FLOW_NOT_FOUND"),
	},
	"PUT /v1/flows/{flow_id}": {
		ask: async (scene) => ({ path: `/v1/flows/${await fresh.flow(scene)}`, body: { title: "mine now" } }),
		may: ownerAndAdmins("FLOW_NOT_FOUND"),
	},
	"DELETE /v1/flows/{flow_id}": {
		ask: async (scene) => ({ path: `/v1/flows/${await fresh.flow(scene)}` }),
		may: ownerAndAdmins("FLOW_NOT_FOUND"),
	},
	"POST /v1/flows/{flow_id}/run": {
		ask: async (scene) => ({ path: `/v1/flows/${await fresh.flow(scene)}/run`, body: { body: {} } }),
		// Who administers the cloud sees the flow, and runs it in nobody's name.
		may: { ...owner("FLOW_NOT_FOUND"), admin: "FLOW_ACCESS_FORBIDDEN", operator: "FLOW_ACCESS_FORBIDDEN" },
	},
	"POST /v1/flows/{flow_id}/validate_run": {
		ask: async (scene) => ({ path: `/v1/flows/${await fresh.flow(scene)}/validate_run`, body: { body: {} } }),
		may: { ...owner("FLOW_NOT_FOUND"), admin: "FLOW_ACCESS_FORBIDDEN", operator: "FLOW_ACCESS_FORBIDDEN" },
	},
	"GET /v1/runs": {
		ask: async (scene) => ({
			path: `/v1/runs?filter_flow_id=${(await fresh.run(scene)) && (await fresh.flow(scene))}`,
		}),
		may: accountsOnly("FORBIDDEN"),
		check: onlyOwnList(),
	},
	"GET /v1/flows/{flow_id}/runs": {
		ask: async (scene) => ({
			path: `/v1/flows/${(await scene.ada.flows.getRun(await fresh.run(scene))).flow_id}/runs`,
		}),
		may: accountsOnly("FORBIDDEN"),
		check: onlyOwnList(),
	},
	"GET /v1/runs/{run_id}": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"PUT /v1/runs/{run_id}": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}`, body: { label: "mine now" } }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"GET /v1/runs/{run_id}/definition": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}/definition` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"GET /v1/runs/{run_id}/log": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}/log` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"GET /v1/runs/{run_id}/states": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}/states` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"POST /v1/runs/{run_id}/cancel": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}/cancel` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"POST /v1/runs/{run_id}/resume": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.run(scene)}/resume` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"POST /v1/runs/{run_id}/rerun": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.endedRun(scene)}/rerun` }),
		may: { ...owner("RUN_NOT_FOUND"), admin: "RUN_ACCESS_FORBIDDEN", operator: "RUN_ACCESS_FORBIDDEN" },
	},
	"POST /v1/runs/{run_id}/release": {
		ask: async (scene) => ({ path: `/v1/runs/${await fresh.endedRun(scene)}/release` }),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},
	"POST /v1/batch/runs": {
		ask: async (scene) => ({
			path: "/v1/batch/runs",
			body: { filters: { run_ids: [await fresh.run(scene)] }, set: { status: "cancel" } },
		}),
		may: ownerAndAdmins("RUN_NOT_FOUND"),
	},

	"GET /v1/groups": { ask: () => ({ path: "/v1/groups" }), may: accountsOnly("FORBIDDEN"), check: onlyOwnList() },
	"GET /v1/groups/{group}": {
		ask: async (scene) => ({ path: `/v1/groups/${(await groupOfTwo(scene)).group}` }),
		may: ownerAndAdmins("AUTH_GROUP_NOT_FOUND"),
	},
	"DELETE /v1/groups/{group}": {
		ask: async (scene) => ({ path: `/v1/groups/${(await groupOfTwo(scene)).group}` }),
		may: ownerAndAdmins("AUTH_GROUP_NOT_FOUND"),
	},
	"PUT /v1/groups/{group}/members/{account}": {
		ask: async (scene) => {
			const { group, member } = await groupOfTwo(scene);
			return { path: `/v1/groups/${group}/members/${member}`, body: { admin: true } };
		},
		may: ownerAndAdmins("AUTH_GROUP_NOT_FOUND"),
	},
	"DELETE /v1/groups/{group}/members/{account}": {
		ask: async (scene) => {
			const { group, member } = await groupOfTwo(scene);
			return { path: `/v1/groups/${group}/members/${member}` };
		},
		may: ownerAndAdmins("AUTH_GROUP_NOT_FOUND"),
	},
	"PUT /v1/endpoints/{endpoint_id}/shares": {
		ask: async (scene) => {
			const body = { account: await stranger(scene), functions: null };
			return { path: `/v1/endpoints/${await fresh.endpoint(scene)}/shares`, body };
		},
		may: owner(endpointRefused),
	},
	"GET /v1/endpoints/{endpoint_id}/shares": {
		ask: async (scene) => ({ path: `/v1/endpoints/${await fresh.endpoint(scene)}/shares` }),
		may: ownerAndAdmins(endpointRefused),
	},
	"DELETE /v1/endpoints/{endpoint_id}/shares/{share_id}": {
		ask: async (scene) => {
			const id = await fresh.endpoint(scene);
			const share = await scene.ada.sharing.shareEndpoint(id, { account: await stranger(scene), functions: null });
			return { path: `/v1/endpoints/${id}/shares/${share.id}` };
		},
		may: ownerAndAdmins(endpointRefused),
	},
	"GET /v1/shared-endpoints": { ask: () => ({ path: "/v1/shared-endpoints" }), may: accountsOnly("FORBIDDEN") },
	"GET /v1/audit": { ask: () => ({ path: "/v1/audit" }), may: administrators },
	"PUT /v1/accounts/{account}/admin": {
		ask: async (scene) => ({ path: `/v1/accounts/${await stranger(scene)}/admin`, body: { admin: true } }),
		may: administrators,
	},

	// transfers
	"POST /v1/transfers": {
		ask: async (scene) => {
			await pollAs(scene, "key");
			return { path: "/v1/transfers", body: transferOf(scene) };
		},
		// Not the cloud's administrators: files are not theirs.
		may: { rest: endpointRefused, owner: "ok", key: "FORBIDDEN", otherKey: "FORBIDDEN" },
	},
	"GET /v1/transfers": {
		ask: () => ({ path: "/v1/transfers" }),
		may: accountsOnly("FORBIDDEN"),
		check: async (reply, scene, caller) => {
			const text = await reply.text();
			expect(text.includes(scene.endpoint.id), caller).toBe(caller === "owner");
		},
	},
	"GET /v1/transfers/{transfer_id}": {
		ask: async (scene) => ({ path: `/v1/transfers/${await freshTransfer(scene)}` }),
		may: ownerAndAdmins("TRANSFER_NOT_FOUND"),
	},
	"POST /v1/transfers/{transfer_id}/cancel": {
		ask: async (scene) => ({ path: `/v1/transfers/${await freshTransfer(scene)}/cancel` }),
		may: ownerAndAdmins("TRANSFER_NOT_FOUND"),
	},
	"GET /v1/transfers/{transfer_id}/events": {
		ask: async (scene) => ({ path: `/v1/transfers/${await freshTransfer(scene)}/events` }),
		may: ownerAndAdmins("TRANSFER_NOT_FOUND"),
	},
	"GET /v1/transfers/{transfer_id}/files": {
		ask: async (scene) => ({ path: `/v1/transfers/${await freshTransfer(scene)}/files` }),
		may: ownerAndAdmins("TRANSFER_NOT_FOUND"),
	},
	"POST /v1/transfers/{transfer_id}/reports": {
		ask: async (scene) => {
			// Of the oldest, which the endpoint is told of; with its token, so that only the identity is wrong.
			await freshTransfer(scene);
			const { assignments } = await pollAs(scene, "key");
			const told = assignments.find((one) => one.role === "destination");
			const body = { write_token: told?.write_token, counters: noTransferCounters };
			return { path: `/v1/transfers/${told?.transfer_id}/reports`, body };
		},
		may: { rest: "FORBIDDEN", key: "ok" },
	},
	"PUT /v1/transfer-agents/{agent_id}": {
		ask: async (scene) => ({ path: `/v1/transfer-agents/${scene.endpoint.id}`, body: await agentBody() }),
		may: { rest: "FORBIDDEN", key: "ok" },
		check: async (reply) => expect(await reply.text()).toContain("revision"),
	},

	// values
	"PUT /v1/blobs/{sha256}": {
		ask: (_scene, caller) => {
			const bytes = new TextEncoder().encode(`of ${caller}`);
			return { path: `/v1/blobs/${sha256(bytes)}`, bytes };
		},
		may: everybody,
	},
	"GET /v1/blobs/{sha256}": {
		ask: ({ resultBlob }) => ({ path: `/v1/blobs/${resultBlob}` }),
		// Ada by her task, its endpoint because it stored it; an administrator reads results through the task.
		may: { rest: "BLOB_NOT_FOUND", owner: "ok", key: "ok" },
	},
	"HEAD /v1/blobs/{sha256}": {
		ask: ({ blob }) => ({ path: `/v1/blobs/${blob}` }),
		may: owner("BLOB_NOT_FOUND"),
	},

	"GET /v1/stream": {
		// Without an upgrade it is nothing; the streams themselves are below.
		ask: () => ({ path: "/v1/stream" }),
		may: { rest: "ROUTE_NOT_FOUND" },
	},
};

/** As {@link onlyOwn}, for lists whose first page may not have the thing that was made first. */
function onlyOwnList(): Check {
	return async (reply, scene, caller) => {
		const text = await reply.text();
		if (caller === "owner") return expect(text.length).toBeGreaterThan(10);
		for (const one of [mark, scene.endpoint.id, scene.functionId, scene.adasAccount])
			expect(text, caller).not.toContain(one);
	};
}

interface Document {
	paths: Record<string, Record<string, { security?: unknown[] }>>;
}

async function routesOf(url: string): Promise<{ name: string; method: string; path: string; open: boolean }[]> {
	const document = (await (await fetch(`${url}/v1/openapi.json`)).json()) as Document;
	return Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, { security }]) => ({
			name: `${method.toUpperCase()} ${path}`,
			method: method.toUpperCase(),
			path,
			open: security?.length === 0,
		})),
	);
}

/** The path with ids of nothing, for who is refused before anything is looked at. */
const anywhere = (path: string): string => path.replace("{sha256}", "0".repeat(64)).replaceAll(/\{\w+\}/g, nobodysId);

/** Every route that needs a token, with this one. */
async function walkWithBadToken(url: string, token: string | undefined, code: FaultCode): Promise<void> {
	const routes = (await routesOf(url)).filter(({ open, path }) => !open && path !== "/v1/stream");
	expect(routes.length).toBeGreaterThan(30);
	for (const { name, method, path } of routes) {
		const reply = await send(url, method, token, { path: anywhere(path) });
		expect(reply.headers.get("www-authenticate"), name).toContain("Bearer");
		await expectProblem(reply, code, name, method);
	}
}

/** How the server answers to a WebSocket: the frames and the close, or the refused upgrade. */
class Stream {
	readonly #frames: Record<string, unknown>[] = [];
	readonly #socket: WebSocket;
	#wake: () => void = () => undefined;
	refusal: { status: number; body: string } | undefined;
	closed: { code: number } | undefined;

	constructor(url: string, token: string | undefined, protocols: string[] = ["errand.v1"]) {
		this.#socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/stream`, protocols, {
			...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
		});
		const changed = () => this.#wake();
		this.#socket.on("message", (data) => {
			this.#frames.push(JSON.parse(String(data)));
			changed();
		});
		this.#socket.on("error", changed);
		this.#socket.on("close", (code) => {
			this.closed = { code };
			changed();
		});
		this.#socket.on("unexpected-response", (_request, response) => {
			let body = "";
			response.on("data", (chunk) => {
				body += String(chunk);
			});
			response.on("end", () => {
				this.refusal = { status: response.statusCode ?? 0, body };
				changed();
			});
		});
	}

	async opened(): Promise<this> {
		if (this.#socket.readyState === WebSocket.CONNECTING)
			await new Promise((resolve, reject) => this.#socket.once("open", resolve).once("error", reject));
		return this;
	}

	send(frame: object): void {
		this.#socket.send(JSON.stringify(frame));
	}

	async until<T>(look: (frames: readonly Record<string, unknown>[]) => T | undefined): Promise<T> {
		for (;;) {
			const found = look(this.#frames);
			if (found !== undefined) return found;
			await new Promise<void>((resolve) => {
				this.#wake = resolve;
			});
		}
	}

	frame(type: string): Promise<Record<string, unknown>> {
		return this.until((frames) => frames.find((one) => one.type === type));
	}

	close(): void {
		this.#socket.on("error", () => undefined);
		this.#socket.terminate();
	}
}

/** Does something on a channel of its own and returns how the broker refuses it; undefined when it does not. */
async function refusalOf(url: string, act: (channel: ConfirmChannel) => unknown): Promise<string | undefined> {
	const model: ChannelModel = await connect(url, { noDelay: true });
	const { promise: broken, resolve } = Promise.withResolvers<string>();
	model.on("error", (error) => resolve(error.message));
	try {
		const channel = await model.createConfirmChannel();
		channel.on("error", (error) => resolve(error.message));
		const done = (async () => {
			await act(channel);
			await channel.waitForConfirms();
			// A refusal of something that has no answer arrives before the answer to what follows.
			await model.createChannel();
			return undefined;
		})().catch((error: Error) => error.message);
		const first = await Promise.race([broken, done]);
		// "Channel closed" only repeats what the channel's own error says better.
		return first?.includes("Channel") ? await broken : first;
	} finally {
		await model.close().catch(() => undefined);
	}
}

const nothing = Buffer.alloc(0);

describe.each(deploymentNames)("NEW-24, NEW-25: with the wrong identity, on the %s deployment", (name) => {
	let deployment: Deployment;
	let scene: Scene;

	beforeAll(async () => {
		deployment = await startDeployment(name);
		scene = await setScene(deployment.cloud);
	}, 180_000);
	afterAll(async () => {
		await deployment?.stop();
	});

	test("the table has a row for every route of the document, and none for another", async () => {
		const routes = (await routesOf(scene.cloud.url)).map((route) => route.name);
		expect(Object.keys(table).sort()).toEqual(routes.sort());
	});

	test.each(callerNames)("every route answers the %s as the policy says", async (caller) => {
		const { url } = scene.cloud;
		for (const [name, row] of Object.entries(table)) {
			const [method = ""] = name.split(" ");
			const ask = await row.ask(scene, caller);
			const reply = await send(url, method, scene.tokens[caller], ask);
			const outcome = row.may[caller] ?? row.may.rest;
			if (outcome !== "ok") await expectProblem(reply, outcome, `${caller}: ${name}`, method);
			else {
				const said = reply.ok ? "" : await reply.text();
				expect({ caller, name, ok: reply.ok, said }).toEqual({ caller, name, ok: true, said: "" });
				if (row.check) await row.check(reply, scene, caller);
				else await reply.arrayBuffer();
			}
		}
	});

	test.each<[string, FaultCode, () => Promise<string | undefined>]>([
		["no token", "USER_UNAUTHENTICATED", async () => undefined],
		["rubbish", "INVALID_AUTH_TOKEN", async () => "rubbish"],
		["a token that somebody has changed", "INVALID_AUTH_TOKEN", async () => tampered(scene.tokens.owner)],
		["a token without a signature", "INVALID_AUTH_TOKEN", async () => unsigned(scene.tokens.owner)],
		["a token that was logged out", "INVALID_AUTH_TOKEN", () => revoked(deployment.cloud)],
		["a key that another has replaced", "INVALID_AUTH_TOKEN", () => replacedKey(scene)],
		["a wrong operator token", "INVALID_AUTH_TOKEN", async () => `errand_operator_${"A".repeat(43)}`],
	])("with %s every route and the stream refuse", async (_what, code, token) => {
		const bad = await token();
		await walkWithBadToken(scene.cloud.url, bad, code);
		const stream = new Stream(scene.cloud.url, bad);
		const { status, body } = await stream.until(() => stream.refusal);
		expect(status).toBe(401);
		expect(JSON.parse(body)).toMatchObject({ status: "Failed", code });
		stream.close();
	});

	test("one cannot run another's function, in another's group, with another's value", async () => {
		const { bob, bobsEndpoint, functionId, bobsFunction, group, blob, resultBlob } = scene;
		const refused = (body: object, code: FaultCode) =>
			expect(bob.submit(bobsEndpoint.id, body as never)).rejects.toMatchObject({ code });
		await refused({ tasks: { [functionId]: [argumentsText] } }, "FUNCTION_ACCESS_FORBIDDEN");
		await refused({ tasks: { [bobsFunction]: [argumentsText] }, task_group_id: group }, "TASK_GROUP_ACCESS_FORBIDDEN");
		for (const one of [blob, resultBlob]) {
			const reference = packReference({ sha256: one, size_bytes: 5 });
			await refused({ tasks: { [bobsFunction]: [reference] } }, "BLOB_NOT_FOUND");
		}
		expect((await bob.listTasks()).items).toEqual([]);
	});

	test("a project and its policies are for those who administer it, with a token that was given for that", async () => {
		const manageProjects = "urn:globus:auth:scope:auth.globus.org:manage_projects";
		const [hers, his, without] = [
			await authTokenOf(scene, "ada", ["openid", manageProjects]),
			await authTokenOf(scene, "bob", ["openid", manageProjects]),
			await authTokenOf(scene, "ada", ["openid"]),
		];
		const ask = (token: string, method: string, path: string, body?: object) =>
			send(scene.cloud.url, method, token, { path: `/v2/api/${path}`, body });
		const projectBody = { project: { display_name: mark, contact_email: "", admin_ids: [] } };
		await expectProblem(await ask(without, "GET", "projects"), "INSUFFICIENT_AUTH_SCOPE", "without the scope");
		const { project } = (await (await ask(hers, "POST", "projects", projectBody)).json()) as {
			project: { id: string };
		};
		const made = await ask(hers, "POST", "policies", publicPolicyOf(project.id));
		const { policy } = (await made.json()) as { policy: { id: string } };
		expect(await (await ask(hers, "GET", "policies")).text()).toContain(policy.id);
		for (const path of ["projects", "policies"]) expect(await (await ask(his, "GET", path)).text()).not.toContain(mark);
		await expectProblem(await ask(his, "GET", `policies/${policy.id}`), "POLICY_NOT_FOUND", "another's policy");
		const inHers = await ask(his, "POST", "policies", publicPolicyOf(project.id));
		await expectProblem(inHers, "PROJECT_NOT_FOUND", "another's project");
	});

	test("a mixed request does what is one's own and does not find the rest", async () => {
		const mine = await submitOne(
			scene.bob,
			scene.bobsEndpoint.id,
			scene.bobsFunction,
			await scene.bob.createTaskGroup(),
		);
		const hers = await fresh.task(scene);
		expect(await scene.bob.cancelTasks({ taskIds: [mine, hers] })).toMatchObject({
			cancelled: [mine],
			requested: [],
			not_found: [hers],
		});
		expect((await scene.ada.getTask(hers)).state).toBe("received");
		expect((await scene.ada.getTask(hers)).cancel_requested).toBe(false);
	});

	test("the same idempotency key of two accounts has nothing to do with each other", async () => {
		const key = newId();
		const one = await scene.ada.submit(scene.endpoint.id, { tasks: { [scene.functionId]: [argumentsText] } }, key);
		const two = await scene.bob.submit(
			scene.bobsEndpoint.id,
			{ tasks: { [scene.bobsFunction]: [argumentsText] } },
			key,
		);
		expect(two.task_group_id).not.toBe(one.task_group_id);
		expect(Object.values(two.tasks)).not.toEqual(Object.values(one.tasks));
	});

	test("naming a value's checksum without its bytes gives no right to it", async () => {
		const reply = await send(scene.cloud.url, "PUT", scene.tokens.other, {
			path: `/v1/blobs/${scene.blob}`,
			bytes: new TextEncoder().encode("something else"),
		});
		await expectProblem(reply, "CHECKSUM_MISMATCH", "put");
		expect(await scene.bob.hasBlob(scene.blob)).toBe(false);
		expect(new TextDecoder().decode(await scene.ada.getBlob(scene.blob))).toContain(mark);
	});

	describe("streams", () => {
		test.each(["other", "key", "otherKey"] as const)("the %s cannot follow Ada's group", async (caller) => {
			const stream = await new Stream(scene.cloud.url, scene.tokens[caller]).opened();
			stream.send({ type: "subscribe", group: scene.group, also: ["state", "output", "progress"] });
			expect(await stream.frame("error")).toMatchObject({ group: scene.group, code: "TASK_GROUP_NOT_FOUND" });
			// A group that there is not is told in the same words.
			stream.send({ type: "subscribe", group: nobodysId });
			const other = await stream.until((frames) => frames.find((one) => one.group === nobodysId));
			expect(other).toMatchObject({ type: "error", code: "TASK_GROUP_NOT_FOUND" });
			stream.close();
		});

		test("the token may come as a subprotocol, and then stands for the same caller", async () => {
			const stream = await new Stream(scene.cloud.url, undefined, [
				"errand.v1",
				`bearer.${scene.tokens.other}`,
			]).opened();
			stream.send({ type: "subscribe", group: scene.group });
			expect(await stream.frame("error")).toMatchObject({ code: "TASK_GROUP_NOT_FOUND" });
			stream.close();
		});

		test("a connection cannot be handed over to another account", async () => {
			const stream = await new Stream(scene.cloud.url, scene.tokens.other).opened();
			stream.send({ type: "token", access_token: scene.tokens.owner });
			expect(await stream.until(() => stream.closed)).toEqual({ code: streamClose.forbidden });
		});

		test("a web page of another origin is not let in", async () => {
			const socket = new WebSocket(`${scene.cloud.url.replace(/^http/, "ws")}/v1/stream`, "errand.v1", {
				headers: { authorization: `Bearer ${scene.tokens.owner}`, origin: "https://evil.example" },
			});
			const status = await new Promise((resolve) => {
				socket.on("error", () => undefined);
				socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
			});
			expect(status).toBe(403);
			socket.terminate();
		});
	});

	describe("queues", () => {
		const toQueues: Record<string, (channel: ConfirmChannel, queue: string) => unknown> = {
			consume: (channel, queue) => channel.consume(queue, () => undefined),
			get: (channel, queue) => channel.get(queue),
			"look at": (channel, queue) => channel.checkQueue(queue),
			purge: (channel, queue) => channel.purgeQueue(queue),
			delete: (channel, queue) => channel.deleteQueue(queue),
			"publish to": (channel, queue) => channel.publish("", queue, nothing),
			"bind to results": (channel, queue) => channel.bindQueue(queue, exchanges.results, "#"),
			"unbind from tasks": (channel, queue) => channel.unbindQueue(queue, exchanges.tasks, queue),
		};
		const readerOf = (token: string) => new Client({ cloudUrl: scene.cloud.url, token });
		async function readerUrl(token: string): Promise<{ queue_prefix: string; connection_url: string }> {
			const reply = await send(readerOf(token).cloudUrl, "GET", token, { path: "/v2/get_amqp_result_connection_url" });
			return (await reply.json()) as { queue_prefix: string; connection_url: string };
		}
		const adasGroupQueue = () => `${groupQueuePrefix(scene.adasAccount)}${scene.group}`;
		const foreignQueues = () => [
			taskQueue(scene.endpoint.id),
			commandQueue(scene.endpoint.id),
			adasGroupQueue(),
			"results",
			"heartbeats",
			"reports",
		];

		test.each(Object.keys(toQueues))("neither another's endpoint nor another's reader can %s a queue", async (verb) => {
			const bobsEndpoint = (await scene.bob.updateEndpoint(scene.bobsEndpoint.id, registration("bobs"))).task_queue_info
				.connection_url;
			const bobsReader = (await readerUrl(scene.tokens.other)).connection_url;
			// RabbitMQ tells everybody who knows a queue's whole name how many messages wait in it.
			if (name === "full" && verb === "look at") return;
			// An endpoint may write to the cloud's queues, so it may see that they are there.
			const queues = foreignQueues().filter((queue) => verb !== "look at" || queue.includes("."));
			for (const queue of queues)
				for (const [who, url] of Object.entries({ bobsEndpoint, bobsReader }))
					expect(await refusalOf(url, (channel) => toQueues[verb]?.(channel, queue)), `${who} ${queue}`).toMatch(
						/access.refused/i,
					);
		});

		test("an endpoint publishes under its own name only, and to nobody's tasks or commands", async () => {
			const url = (await scene.bob.updateEndpoint(scene.bobsEndpoint.id, registration("bobs"))).task_queue_info
				.connection_url;
			const { id } = scene.endpoint;
			const own = scene.bobsEndpoint.id;
			const places: [string, string][] = [
				["results", routingKey(id, "results")],
				["heartbeats", routingKey(id, "heartbeats")],
				["reports", routingKey(id, "reports")],
				["results", `${own}.results.${id}`],
				["results", `x${own}.results`],
				["results", ""],
				["tasks", taskQueue(id)],
				["commands", commandQueue(id)],
				["tasks", taskQueue(own)],
				["amq.topic", "x"],
				["", taskQueue(own)],
			];
			for (const [exchange, key] of places)
				expect(await refusalOf(url, (c) => c.publish(exchange, key, nothing)), `${exchange} ${key}`).toMatch(
					/access.refused/i,
				);
			for (const act of [
				(c: ConfirmChannel) => c.assertQueue(`${own}.more`),
				(c: ConfirmChannel) => c.assertQueue(""),
				(c: ConfirmChannel) => c.assertExchange("more", "topic"),
				(c: ConfirmChannel) => c.deleteExchange("results"),
				(c: ConfirmChannel) => c.deleteQueue(taskQueue(own)),
			])
				expect(await refusalOf(url, act)).toMatch(/access.refused/i);
			// What it may do it can.
			expect(
				await refusalOf(url, async (c) => {
					await c.consume(taskQueue(own), () => undefined);
					await c.consume(commandQueue(own), () => undefined);
				}),
			).toBeUndefined();
		});

		test("a reader consumes its own groups' queues and does nothing else", async () => {
			const { queue_prefix, connection_url } = await readerUrl(scene.tokens.owner);
			expect(adasGroupQueue().startsWith(queue_prefix)).toBe(true);
			expect(await refusalOf(connection_url, (c) => c.consume(adasGroupQueue(), () => undefined))).toBeUndefined();
			for (const act of [
				(c: ConfirmChannel) => c.assertQueue(`${queue_prefix}more`),
				(c: ConfirmChannel) => c.publish("", adasGroupQueue(), nothing),
				(c: ConfirmChannel) => c.publish("results", routingKey(scene.endpoint.id, "results"), nothing),
				(c: ConfirmChannel) => c.consume(taskQueue(scene.endpoint.id), () => undefined),
				(c: ConfirmChannel) => c.deleteQueue(adasGroupQueue()),
			])
				expect(await refusalOf(connection_url, act)).toMatch(/access.refused/i);
		});

		test("no password, a wrong one, an earlier one, or one of a locked endpoint opens nothing", async () => {
			const { connection_url: reader } = await readerUrl(scene.tokens.owner);
			const changed = (url: string, change: (url: URL) => void): string => {
				const copy = new URL(url);
				change(copy);
				return copy.href;
			};
			const locked = await register(scene.ada, freshName());
			await send(scene.cloud.url, "POST", scene.tokens.owner, { path: `/v3/endpoints/${locked.id}/lock` });
			const renewed = await register(scene.ada, freshName());
			await scene.ada.updateEndpoint(renewed.id, registration(freshName()));
			for (const url of [
				changed(reader, (u) => {
					u.password = "";
				}),
				changed(reader, (u) => {
					u.password = "wrong";
				}),
				changed(reader, (u) => {
					u.username = "guest";
					u.password = "guest";
				}),
				changed(reader, (u) => {
					u.username = `acct-${scene.bobsAccount}`;
				}),
				locked.connectionUrl,
				renewed.connectionUrl,
			])
				await expect(connect(url).then((model) => model.close())).rejects.toThrow(/refused|403/i);
		});

		test("an endpoint's word about another's task, or with another's value, counts for nothing", async () => {
			const hers = await fresh.task(scene);
			const group = await scene.bob.createTaskGroup();
			const stolen = await submitOne(scene.bob, scene.bobsEndpoint.id, scene.bobsFunction, group);
			const his = await submitOne(scene.bob, scene.bobsEndpoint.id, scene.bobsFunction, group);
			const bobs = {
				id: scene.bobsEndpoint.id,
				connectionUrl: (await scene.bob.updateEndpoint(scene.bobsEndpoint.id, registration("bobs"))).task_queue_info
					.connection_url,
			};
			await asEndpoint(bobs, async (channel) => {
				await sendResult(channel, bobs.id, hers);
				await sendResult(channel, bobs.id, stolen, { sha256: scene.blob, sizeBytes: 5 });
				await sendResult(channel, bobs.id, his);
			});
			expect(await whenEnded(scene.bob, his)).toMatchObject({ state: "success" });
			expect(await whenEnded(scene.bob, stolen)).toMatchObject({
				state: "failed",
				failure: { code: "BLOB_STORE_FAILED" },
			});
			expect(await scene.bob.hasBlob(scene.blob)).toBe(false);
			expect((await scene.ada.getTask(hers)).state).toBe("received");
		});
	});
});

/** The token with another account in it, signed as before. */
function tampered(token: string): string {
	const [head, claims = "", signature] = token.split(".");
	const changed = { ...JSON.parse(Buffer.from(claims, "base64url").toString()), sub: nobodysId };
	return [head, Buffer.from(JSON.stringify(changed)).toString("base64url"), signature].join(".");
}

function unsigned(token: string): string {
	const [, claims] = token.split(".");
	const head = Buffer.from(JSON.stringify({ alg: "none", typ: "at+jwt" })).toString("base64url");
	return `${head}.${claims}.`;
}

async function revoked(cloud: TestCloud): Promise<string> {
	const { token } = await cloud.login(freshName());
	const reply = await fetch(`${cloud.url}/v2/oauth2/token/revoke`, {
		method: "POST",
		body: new URLSearchParams({ client_id: errandClientId, token }),
	});
	expect(reply.status).toBe(200);
	return token;
}

async function replacedKey({ ada }: Scene): Promise<string> {
	const { id } = await register(ada, freshName());
	const token = await tokenOfKey(await ada.makeEndpointKey(id));
	await ada.makeEndpointKey(id);
	return token;
}

describe("NEW-24: requests that ask too much", () => {
	let cloud: TestCloud;
	let operator: Client;
	const perSecond = 2;

	beforeAll(async () => {
		cloud = await TestCloud.start({
			ERRAND_CLOUD_ACCESS_TOKEN_S: "5",
			ERRAND_CLOUD_RATE_LIMIT_PER_S: String(perSecond),
			ERRAND_CLOUD_RATE_LIMIT_BURST: "150",
		});
		operator = new Client({ cloudUrl: cloud.url, token: cloud.operatorToken });
	}, 120_000);
	afterAll(async () => {
		await cloud?.stop();
	});

	/** A request whose headers announce what is never sent. */
	function announce(method: string, path: string, headers: Record<string, string | number>): Promise<Response> {
		return new Promise((resolve, reject) => {
			const request = httpRequest(cloud.url + path, {
				method,
				headers: { authorization: `Bearer ${cloud.operatorToken}`, ...headers },
			});
			request.on("error", reject).on("response", (response) => {
				const chunks: Buffer[] = [];
				response.on("data", (chunk: Buffer) => chunks.push(chunk));
				response.on("end", () => {
					resolve(new Response(Buffer.concat(chunks), { status: response.statusCode ?? 0 }));
					request.destroy();
				});
			});
			request.flushHeaders();
		});
	}
	const json = { "content-type": "application/json" };
	const submitPath = `/v3/endpoints/${nobodysId}/submit`;

	test.each<[string, string, string, number, FaultCode]>([
		["a submit", "POST", submitPath, submitLimitBytes + 1, "TASK_PAYLOAD_TOO_LARGE"],
		["a function", "POST", "/v3/functions", 64 * 1024 ** 2, "FUNCTION_TOO_LARGE"],
		["a list of ids", "POST", "/v2/batch_status", 8 * 1024 ** 2, "TASK_PAYLOAD_TOO_LARGE"],
		["an account", "POST", "/v1/accounts", 8 * 1024 ** 2, "TASK_PAYLOAD_TOO_LARGE"],
		["a value", "PUT", `/v1/blobs/${"0".repeat(64)}`, 5 * 1024 ** 3, "BLOB_TOO_LARGE"],
	])("%s that is too large is refused before it is read", async (what, method, path, size, code) => {
		await expectProblem(await announce(method, path, { ...json, "content-length": size }), code, what);
	});

	const deep = `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`;
	test.each<[string, string, string, string | undefined, FaultCode]>([
		["a body that is not JSON", "POST", submitPath, "{", "REQUEST_MALFORMED"],
		["a body that is not JSON, of an account", "POST", "/v1/accounts", "{", "REQUEST_MALFORMED"],
		["no body", "POST", "/v3/functions", undefined, "REQUEST_MALFORMED"],
		["a body of another shape", "POST", "/v3/functions", "[]", "SEMANTICALLY_INVALID"],
		["a body nested without end", "POST", submitPath, deep, "SEMANTICALLY_INVALID"],
		["a body nested without end, of an account", "POST", "/v1/accounts", deep, "SEMANTICALLY_INVALID"],
		[
			"a key that means something to JavaScript",
			"POST",
			submitPath,
			'{"tasks":{"__proto__":["x"]}}',
			"SEMANTICALLY_INVALID",
		],
		["no tasks", "POST", submitPath, '{"tasks":{}}', "SEMANTICALLY_INVALID"],
		["an id that is none", "GET", "/v1/tasks/1", undefined, "INVALID_UUID"],
		["a checksum that is a path", "GET", "/v1/blobs/..%2F..%2Foperator-token", undefined, "SEMANTICALLY_INVALID"],
		["a path that cannot be decoded", "GET", "/v1/tasks/%E0%A4%A", undefined, "REQUEST_MALFORMED"],
		["a page that is too long", "GET", "/v1/tasks?limit=100000", undefined, "SEMANTICALLY_INVALID"],
		["a cursor from nowhere", "GET", "/v1/tasks?cursor=%00", undefined, "REQUEST_MALFORMED"],
		["a task that there is not", "GET", `/v1/tasks/${nobodysId}`, undefined, "TASK_NOT_FOUND"],
		["an endpoint that there is not", "POST", submitPath, `{"tasks":{"${nobodysId}":["x"]}}`, "ENDPOINT_NOT_FOUND"],
		["a route that there is not", "GET", "/v1/nothing", undefined, "ROUTE_NOT_FOUND"],
		["a route that is a path", "GET", "/v1/..%2f..%2fetc/passwd", undefined, "ROUTE_NOT_FOUND"],
		["another method", "PATCH", "/v1/tasks", undefined, "METHOD_NOT_ALLOWED"],
		["another method, of an account", "PATCH", "/v1/accounts", undefined, "METHOD_NOT_ALLOWED"],
	])("%s is refused", async (what, method, path, body, code) => {
		const reply = await fetch(cloud.url + path, {
			method,
			headers: { authorization: `Bearer ${cloud.operatorToken}`, ...(body !== undefined && json) },
			...(body !== undefined && { body }),
		});
		if (code === "METHOD_NOT_ALLOWED") expect(reply.headers.get("allow")).toContain("GET");
		await expectProblem(reply, code, what);
	});

	test("too many tasks in one request are refused", async () => {
		const tasks = { [nobodysId]: Array.from({ length: submitLimitTasks + 1 }, () => "x") };
		await expect(operator.submit(nobodysId, { tasks })).rejects.toMatchObject({ code: "BATCH_RUN_TOO_LARGE" });
	});

	test("the reader of a page learns nothing of the inside, and no page may frame it", async () => {
		const reply = await fetch(`${cloud.url}/device`);
		expect(reply.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
		expect(reply.headers.get("x-frame-options")).toBe("DENY");
		for (const cookie of reply.headers.getSetCookie()) expect(cookie.toLowerCase()).toMatch(/httponly/);
		for (const cookie of reply.headers.getSetCookie()) expect(cookie.toLowerCase()).toMatch(/samesite=lax/);
		expect(reply.headers.get("x-powered-by")).toBeNull();
	});

	test("a token that has ended is refused by every route, and its stream is closed", async () => {
		const { token } = await cloud.login("late");
		const stream = await new Stream(cloud.url, token).opened();
		expect(await stream.until(() => stream.closed)).toEqual({ code: streamClose.unauthenticated });
		await walkWithBadToken(cloud.url, token, "INVALID_AUTH_TOKEN");
	});

	test("too many requests are told when to come again, and the SDK comes then", async () => {
		const ask = () => send(cloud.url, "GET", cloud.operatorToken, { path: "/v1/tasks" });
		let refused: Response | undefined;
		for (let asked = 0; asked < 1000 && refused === undefined; asked++) {
			const reply = await ask();
			if (reply.status === 429) refused = reply;
			else await reply.arrayBuffer();
		}
		if (refused === undefined) throw new Error("1,000 requests were not too many");
		expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
		await expectProblem(refused, "TOO_MANY_REQUESTS", "the last");
		const begun = performance.now();
		// More than one may fit into a second, so the first of these waits at the latest.
		await Promise.all(Array.from({ length: perSecond + 2 }, () => operator.listTasks()));
		expect(performance.now() - begun).toBeGreaterThan(900);
	});
});
