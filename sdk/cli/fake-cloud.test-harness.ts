/**
 * A cloud double for the command's tests: node:http with recorded documents in the shapes of `@errand/proto/rest`
 * (each is parsed with its schema before it leaves). Only what a verb needs to see is kept.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { joinBuffer, pack } from "@errand/proto";
import * as rest from "@errand/proto/rest";
import * as z from "zod";

export const ids = {
	account: "11111111-1111-4111-8111-111111111111",
	endpoint: "22222222-2222-4222-8222-222222222222",
	function: "33333333-3333-4333-8333-333333333333",
	group: "44444444-4444-4444-8444-444444444444",
	succeeded: "aaaa1111-0000-4000-8000-000000000001",
	failed: "aaaa2222-0000-4000-8000-000000000002",
	running: "bbbb3333-0000-4000-8000-000000000003",
	submitted: "cccc4444-0000-4000-8000-000000000004",
	retried: "dddd5555-0000-4000-8000-000000000005",
	transfer: "eeee7777-0000-4000-8000-000000000007",
	policy: "eeee6666-0000-4000-8000-000000000006",
} as const;

const at = (second: number): string => new Date(Date.UTC(2026, 0, 31, 12, 0, second)).toISOString();
/** What a test's clock says: half a minute after everything. */
export const nowMs = Date.parse(at(50));

const execution: rest.ExecutionDocument = {
	host: "node-7",
	block_id: "block-1",
	manager_id: "manager-1",
	worker_pid: 4711,
	runtime_version: "node 24",
	started_at_ms: Date.parse(at(1)),
	finished_at_ms: Date.parse(at(3)),
	losses: 0,
};

const thrown: rest.FailureDocument = {
	code: "FUNCTION_FAILED",
	name: "RangeError",
	message: "no flight to count",
	stack: "RangeError: no flight to count\n    at pickBusiest (errand:busiest:3:11)",
	exit_code: 0,
	signal: "",
	stderr_tail: "",
};

export function taskDocument(id: string, more: Partial<rest.TaskDocument> = {}): rest.TaskDocument {
	return rest.taskDocument.parse({
		id,
		group_id: ids.group,
		endpoint_id: ids.endpoint,
		endpoint_name: "local",
		function_id: ids.function,
		function_name: "mean",
		state: "success",
		cancel_requested: false,
		created_at: at(0),
		finished_at: at(3),
		retry_of: null,
		failure: null,
		resources: { cores: 2 },
		version_skew: null,
		transitions: [
			{ state: "received", at: at(0), actor: "cloud" },
			{ state: "running", at: at(1), actor: "endpoint" },
		],
		execution,
		result: joinBuffer("11", "2"),
		stdout_bytes: 4,
		stderr_bytes: 0,
		...more,
	} satisfies rest.TaskDocument);
}

const endpointRow: rest.EndpointSummary = {
	id: ids.endpoint,
	name: "local",
	display_name: null,
	owner_id: ids.account,
	status: "online",
	last_seen_at: at(40),
	host: "login-1",
	public: false,
	details: { total_workers: 4, idle_workers: 1 },
	unfinished_tasks: 3,
	created_at: at(0),
};

const account: rest.AccountSummary = {
	id: ids.account,
	username: "ada",
	name: "Ada",
	email: "ada@example.org",
	admin: true,
	created_at: at(0),
};

const group: rest.AccountGroupDocument = {
	id: ids.group,
	name: "astro",
	description: "",
	members: 1,
	admin: true,
	created_at: at(0),
	people: [{ account_id: ids.account, username: "ada", admin: true, added_at: at(0) }],
};

const policy: rest.AuthPolicy = {
	id: ids.policy,
	name: "staff",
	description: "",
	owner_id: ids.account,
	project_id: null,
	domain_constraints_include: ["uni.edu", "*.lab.org"],
	domain_constraints_exclude: null,
	authentication_assurance_timeout: 900,
	endpoints: 1,
	created_at: at(0),
};

const share: rest.EndpointShare = {
	id: ids.retried,
	endpoint_id: ids.endpoint,
	account: { id: ids.running, username: "bob" },
	group: null,
	tasks_per_day: 100,
	functions: [ids.function],
	container_image: null,
	shared_by: ids.account,
	created_at: at(0),
};

const flow: rest.FlowDocument = {
	id: ids.group,
	title: "analyse",
	subtitle: "of every sample",
	description: "",
	keywords: ["samples"],
	definition: { StartAt: "Only", States: { Only: { Type: "Pass", End: true } } },
	input_schema: {},
	flow_owner: `urn:globus:auth:identity:${ids.account}`,
	created_by: `urn:globus:auth:identity:${ids.account}`,
	flow_viewers: ["public"],
	flow_starters: [],
	flow_administrators: [],
	run_managers: [],
	run_monitors: [],
	created_at: at(0),
	updated_at: at(0),
	user_role: "flow_owner",
	api_version: "1.0",
	synchronous: false,
	log_supported: true,
	types: ["Action"],
};

const flowRun: rest.RunDocument = {
	run_id: ids.submitted,
	action_id: ids.submitted,
	flow_id: ids.group,
	flow_title: "analyse",
	flow_last_updated: at(0),
	start_time: at(10),
	completion_time: at(12),
	status: "SUCCEEDED",
	display_status: "SUCCEEDED",
	details: { code: "FlowSucceeded", description: "The run completed successfully", details: { output: { n: 2 } } },
	run_owner: `urn:globus:auth:identity:${ids.account}`,
	created_by: `urn:globus:auth:identity:${ids.account}`,
	run_managers: [],
	run_monitors: [],
	manage_by: [],
	monitor_by: [],
	user_role: "run_owner",
	label: "first",
	tags: ["try"],
	rerun_of: null,
};

const visit: rest.RunVisit = {
	branch: "",
	visit: 1,
	state: "Only",
	type: "Pass",
	attempts: 1,
	entered_at: at(10),
	left_at: at(12),
	outcome: "succeeded",
	input: {},
	output: { n: 2 },
	error: null,
};

const lastPage = { limit: 100, has_next_page: false, marker: null };
const userEndpoints: rest.UserEndpointSummary[] = [
	{
		id: ids.running,
		owner: { id: ids.account, username: "ada" },
		config: { max_blocks: 4 },
		runtime: { errand_sdk_version: "0.1.0" },
		status: "online",
		start_error: null,
		last_seen_at: at(0),
		unfinished_tasks: 12,
	},
	{
		id: ids.failed,
		owner: { id: ids.running, username: "bob" },
		config: {},
		runtime: {},
		status: "failed",
		start_error: "no account for bob\nask ops@example.org",
		last_seen_at: null,
		unfinished_tasks: 0,
	},
];

interface Reply {
	status?: number;
	body?: unknown;
}

export interface FakeCloud {
	readonly url: string;
	/** What was asked, as `METHOD /path?query`. */
	readonly requests: string[];
	/** The bodies of JSON requests, in their order. */
	readonly bodies: unknown[];
	readonly tasks: Map<string, rest.TaskDocument>;
	/** Output parts still to be told, by `task stream`; when they run out the output has ended. */
	readonly output: Map<string, string[]>;
	endpoint: rest.EndpointSummary;
	/** Why tasks wait that wait; of the others only that they do not. */
	explanation: Pick<rest.Explanation, "word" | "sentence">;
	/** Answers instead of the table, when it returns something. */
	intercept: ((method: string, path: string) => Reply | undefined) | undefined;
	close(): Promise<void>;
}

/** One that is over. */
const transfer: rest.TransferDocument = {
	id: ids.transfer,
	owner_id: ids.account,
	source_endpoint: ids.endpoint,
	destination_endpoint: ids.endpoint,
	items: [{ source_path: "/data/a", destination_path: "/data/b/a", recursive: false }],
	label: "",
	verify: "wire",
	preserve_timestamp: false,
	delete_destination_extra: false,
	skip_source_errors: false,
	recursive_symlinks: "ignore",
	filter_rules: [],
	deadline: null,
	status: "SUCCEEDED",
	nice_status: "OK",
	nice_status_description: "done",
	used_route: "relay",
	counters: {
		...rest.noTransferCounters,
		files: 1,
		files_transferred: 1,
		bytes: 3_000_000_000,
		bytes_transferred: 3_000_000_000,
		bytes_checksummed: 3_000_000_000,
	},
	effective_bytes_per_second: 1_000_000_000,
	fatal_error: null,
	created_at: at(0),
	started_at: at(0),
	completed_at: at(3),
};

const page = <Row>(items: Row[]): { items: Row[]; next_cursor: null } => ({ items, next_cursor: null });

interface Asked {
	cloud: FakeCloud;
	path: string[];
	query: URLSearchParams;
	body: unknown;
}

const notFound = (code: string, detail: string): Reply => ({
	status: 404,
	body: { status: "Failed", code, http_status_code: 404, error_args: [], detail, reason: detail },
});

const place = { connection_url: "amqp://x", exchange: "tasks", queue: "q" };
const publishing = {
	...place,
	queue_publish_kwargs: { exchange: "results", routing_key: "k", mandatory: true, properties: { delivery_mode: 2 } },
} as const;

function output({ cloud, path, query }: Asked): Reply {
	const stream = query.get("stream") as "stdout" | "stderr";
	const offset = Number(query.get("offset"));
	const data = cloud.output.get(`${path[2]} ${stream}`)?.shift() ?? "";
	const left = cloud.output.get(`${path[2]} ${stream}`)?.length ?? 0;
	return {
		body: rest.taskOutput.parse({
			stream,
			offset_bytes: offset,
			data,
			next_offset_bytes: offset + Buffer.byteLength(data),
			truncated: false,
			ended: left === 0,
		}),
	};
}

function oneTask({ cloud, path }: Asked): Reply {
	const task = cloud.tasks.get(path[2] ?? "");
	return task ? { body: task } : notFound("TASK_NOT_FOUND", `Task ${path[2]} is not known.`);
}

function explained({ cloud, path }: Asked): Reply {
	const task = cloud.tasks.get(path[2] ?? "");
	if (task === undefined) return notFound("TASK_NOT_FOUND", `Task ${path[2]} is not known.`);
	const { endpoint } = cloud;
	const offline = endpoint.status === "offline";
	const waits = task.state === "received" || task.state.startsWith("waiting");
	const why = offline
		? { word: waits ? ("endpoint-offline" as const) : null, sentence: "It is offline: errand endpoint start local." }
		: waits
			? cloud.explanation
			: { word: null, sentence: `It does not wait: ${task.state}.` };
	return {
		body: rest.explanation.parse({
			...why,
			task_id: task.id,
			state: task.state,
			since: at(30),
			endpoint_id: endpoint.id,
			endpoint_name: endpoint.name,
			endpoint_status: endpoint.status,
			endpoint_seen_at: endpoint.last_seen_at,
			trouble: null,
			version_skew: null,
		} satisfies rest.Explanation),
	};
}

function someTasks({ cloud, query }: Asked): Reply {
	const states = query.getAll("state");
	const prefix = query.get("id_prefix") ?? "";
	const rows = [...cloud.tasks.values()].filter(
		(task) => task.id.startsWith(prefix) && (states.length === 0 || states.includes(task.state)),
	);
	return { body: rest.page(rest.taskSummary).parse(page(rows)) };
}

function oneEndpoint({ cloud, path }: Asked): Reply {
	const { endpoint } = cloud;
	return path[2] === endpoint.id || path[2] === endpoint.name
		? { body: rest.endpointSummary.parse(endpoint) }
		: notFound("ENDPOINT_NOT_FOUND", `Endpoint ${path[2]} is not known.`);
}

/** `METHOD` and the path with `*` for what changes. */
const routes: Record<string, (asked: Asked) => Reply> = {
	"GET /v1/cloud": ({ cloud }) => ({
		body: rest.cloudDocument.parse({
			name: "Errand",
			version: "0.1.0",
			issuer: cloud.url,
			client_id: rest.errandClientId,
			scopes: ["openid", rest.computeScope],
			inline_limit_bytes: 1,
			submit_limit_bytes: 1,
			submit_limit_tasks: 1,
		}),
	}),
	"GET /.well-known/openid-configuration": ({ cloud }) => ({
		body: {
			issuer: cloud.url,
			token_endpoint: `${cloud.url}/token`,
			device_authorization_endpoint: `${cloud.url}/device-code`,
			revocation_endpoint: `${cloud.url}/revoke`,
		},
	}),
	"POST /device-code": ({ cloud }) => ({
		body: {
			device_code: "secret-device-code",
			user_code: "ABCD-EFGH",
			verification_uri: `${cloud.url}/device`,
			verification_uri_complete: `${cloud.url}/device?user_code=ABCD-EFGH`,
			expires_in: 600,
			interval: 0,
		},
	}),
	"POST /token": () => ({
		body: {
			access_token: "fresh",
			refresh_token: "again",
			token_type: "Bearer",
			expires_in: 3600,
			scope: rest.computeScope,
		},
	}),
	"POST /revoke": () => ({ body: {} }),
	"POST /v1/device-approvals": () => ({ body: {} }),
	"POST /v1/clients": ({ body }) => ({
		body: rest.clientCreated.parse({
			client_id: ids.group,
			client_secret: "client-secret",
			name: (body as { name: string }).name,
		}),
	}),
	"GET /v1/whoami": () => ({
		body: rest.whoami.parse({ ...account, kind: "account", scopes: [rest.computeScope], expires_at: at(59) }),
	}),
	"GET /v1/tasks": someTasks,
	"GET /v1/tasks/*": oneTask,
	"GET /v1/tasks/*/explanation": explained,
	"GET /v1/tasks/*/output": output,
	"POST /v1/tasks/*/cancel": ({ path }) => ({
		body: rest.cancelled.parse({ cancelled: [], requested: [path[2]], finished: [], not_found: [] }),
	}),
	"POST /v1/tasks/cancel": ({ body }) => {
		const asked = rest.cancellation.parse(body).task_ids ?? [];
		const of = (...wanted: string[]): string[] => asked.filter((id) => wanted.includes(id));
		return {
			body: rest.cancelled.parse({
				cancelled: [],
				requested: of(ids.running),
				finished: of(ids.succeeded, ids.failed),
				not_found: asked.filter((id) => ![ids.running, ids.succeeded, ids.failed].some((known) => known === id)),
			}),
		};
	},
	"POST /v1/tasks/*/retry": ({ path }) => ({ body: { task_id: ids.retried, retry_of: path[2] } }),
	"POST /v1/transfers": ({ body }) => {
		const { items, deadline } = rest.transferSubmission.parse(body);
		return { body: { ...transfer, items, deadline: deadline ?? null } };
	},
	"GET /v1/transfers": () => ({ body: rest.page(rest.transferDocument).parse(page([transfer])) }),
	"GET /v1/transfers/*": () => ({ body: rest.transferDocument.parse(transfer) }),
	"POST /v1/transfers/*/cancel": () => ({ body: transfer }),
	"GET /v1/transfers/*/events": () => ({
		body: rest.page(rest.transferEvent).parse(
			page([
				{ code: "STARTED", is_error: false, description: "asking the source", details: {}, time: at(0) },
				{ code: "SUCCEEDED", is_error: false, description: "all files are there", details: {}, time: at(3) },
			]),
		),
	}),
	"GET /v1/transfers/*/files": () => ({
		body: rest.page(rest.transferFile).parse(
			page([
				{
					path: "/data/b/a",
					outcome: "transferred",
					bytes: 3_000_000_000,
					digest: `sha256:${"0".repeat(64)}`,
					took_ms: 3000,
					reason: null,
				},
			]),
		),
	}),
	"GET /v1/functions": () => ({
		body: rest.page(rest.functionSummary).parse(
			page([
				{
					id: ids.function,
					name: "mean",
					runtime: "python",
					description: "the middle",
					public: false,
					group_id: null,
					owner_id: ids.account,
					created_at: at(0),
				},
			]),
		),
	}),
	"GET /v2/functions/*": () => ({
		body: rest.functionDocument.parse({
			function_uuid: ids.function,
			function_name: "mean",
			function_code: pack([joinBuffer("st", "mean:def mean(xs):\n    return sum(xs) / len(xs)\n")]),
			metadata: {},
		}),
	}),
	"POST /v3/functions": () => ({ body: { function_uuid: ids.function } }),
	"DELETE /v2/functions/*": () => ({ body: { result: 302 } }),
	"GET /v1/endpoints": ({ cloud }) => ({ body: rest.page(rest.endpointSummary).parse(page([cloud.endpoint])) }),
	"GET /v1/endpoints/*": oneEndpoint,
	"POST /v3/endpoints": () => ({
		body: rest.endpointRegistered.parse({
			endpoint_id: ids.endpoint,
			task_queue_info: place,
			command_queue_info: place,
			result_queue_info: publishing,
			heartbeat_queue_info: publishing,
			report_queue_info: publishing,
			warnings: [],
		}),
	}),
	"POST /v1/endpoints/*/key": ({ cloud }) => ({
		body: rest.endpointKey.parse({
			client_id: ids.group,
			client_secret: "endpoint-secret",
			token_endpoint: `${cloud.url}/token`,
		}),
	}),
	"DELETE /v2/endpoints/*": () => ({ body: {} }),
	/** For the endpoint program of the tests: the daemon's registration. */
	"POST /test/online": ({ cloud }) => {
		cloud.endpoint = { ...cloud.endpoint, status: "online", last_seen_at: at(49) };
		return { body: {} };
	},
	"POST /v3/endpoints/*/submit": ({ cloud, body }) => {
		const [functionId] = Object.keys(rest.submission.parse(body).tasks);
		if (!cloud.tasks.has(ids.submitted)) cloud.tasks.set(ids.submitted, taskDocument(ids.submitted));
		return {
			body: rest.submitted.parse({
				request_id: ids.account,
				task_group_id: ids.group,
				endpoint_id: ids.endpoint,
				tasks: { [functionId as string]: [ids.submitted] },
			}),
		};
	},
	"GET /v1/accounts": () => ({ body: rest.page(rest.accountSummary).parse(page([account])) }),
	"POST /v1/accounts": ({ body }) => {
		const { password, ...made } = rest.accountCreation.parse(body);
		return { body: rest.accountSummary.parse({ ...account, name: "", email: "", ...made, id: ids.running }) };
	},
	"PUT /v1/accounts/*/admin": ({ body }) => ({ body: rest.administration.parse(body) && {} }),
	"GET /v1/audit": () => ({
		body: rest.page(rest.auditEntry).parse(
			page([
				{
					id: 7,
					at: at(0),
					actor_id: ids.account,
					actor: "ada",
					acting_as: "operator",
					action: "account.admin",
					thing: ids.running,
					details: { username: "grace", admin: true },
				},
			]),
		),
	}),
	"POST /v1/policies": ({ body }) => ({ body: { ...policy, ...rest.authPolicyCreation.parse(body) } }),
	"GET /v1/policies": () => ({ body: rest.page(rest.authPolicy).parse(page([policy])) }),
	"PUT /v1/policies/*": ({ body }) => ({ body: { ...policy, ...rest.authPolicyChange.parse(body) } }),
	"DELETE /v1/policies/*": () => ({ body: {} }),
	"POST /v1/groups": ({ body }) => ({ body: { ...group, ...rest.accountGroupCreation.parse(body) } }),
	"GET /v1/groups": () => ({ body: rest.page(rest.accountGroupSummary).parse(page([group])) }),
	"GET /v1/groups/*": () => ({ body: rest.accountGroupDocument.parse(group) }),
	"DELETE /v1/groups/*": () => ({ body: {} }),
	"PUT /v1/groups/*/members/*": ({ body }) => ({ body: rest.membershipChange.parse(body) && group }),
	"DELETE /v1/groups/*/members/*": () => ({ body: {} }),
	"GET /v1/endpoints/*/user-endpoints": () => ({
		body: rest.page(rest.userEndpointSummary).parse(page(userEndpoints)),
	}),
	"PUT /v1/endpoints/*/shares": ({ body }) => {
		const { account: _who, group: named, ...limits } = rest.endpointSharing.parse(body);
		const partner = named === undefined ? {} : { account: null, group: { id: ids.group, name: named } };
		return { body: rest.endpointShare.parse({ ...share, ...limits, ...partner }) };
	},
	"GET /v1/endpoints/*/shares": () => ({ body: rest.page(rest.endpointShare).parse(page([share])) }),
	"DELETE /v1/endpoints/*/shares/*": () => ({ body: {} }),
	"GET /v1/shared-endpoints": () => ({ body: page([]) }),
	"POST /v1/flows": ({ body }) => ({ body: { ...flow, title: rest.flowCreation.parse(body).title } }),
	"POST /v1/flows/validate": ({ body }) => ({ body: rest.flowValidation.parse(body) && { scopes: {}, warnings: [] } }),
	"GET /v1/flows": () => ({ body: rest.flowPage.parse({ flows: [flow], ...lastPage }) }),
	"GET /v1/flows/*": ({ path }) => (path[2] === flow.id ? { body: flow } : notFound("FLOW_NOT_FOUND", "No such flow.")),
	"DELETE /v1/flows/*": () => ({ body: flow }),
	"POST /v1/flows/*/run": ({ body }) => ({ body: { ...flowRun, label: rest.runStart.parse(body).label ?? "" } }),
	"GET /v1/runs": () => ({ body: rest.runPage.parse({ runs: [flowRun], ...lastPage }) }),
	"GET /v1/runs/*": ({ path }) =>
		path[2] === flowRun.run_id ? { body: rest.runDocument.parse(flowRun) } : notFound("RUN_NOT_FOUND", "No such run."),
	"GET /v1/runs/*/log": () => ({
		body: rest.runLogPage.parse({
			entries: [
				{
					time: at(10),
					code: "PassStarted",
					description: "State Only of type Pass started",
					details: { state_name: "Only", state_type: "Pass", input: {} },
				},
			],
			...lastPage,
			end_marker: "1",
		}),
	}),
	"GET /v1/runs/*/states": () => ({ body: rest.runVisits.parse({ states: [visit], truncated: false }) }),
	"POST /v1/runs/*/cancel": () => ({ body: flowRun }),
	"POST /v1/runs/*/resume": () => ({ body: flowRun }),
	"POST /v1/runs/*/rerun": () => ({ body: { ...flowRun, run_id: ids.retried, rerun_of: flowRun.run_id } }),
	"POST /v1/runs/*/release": () => ({ body: flowRun }),
	"GET /healthz": () => ({ body: {} }),
	"GET /readyz": () => ({ body: {} }),
};

const table = Object.entries(routes).map(([key, answer]) => {
	const [method, path] = key.split(" ") as [string, string];
	const pattern = path.replaceAll(".", "\\.").replaceAll("*", "[^/]+");
	return { method, pattern: new RegExp(`^${pattern}$`), exact: !path.includes("*"), answer };
});

async function readBody(request: IncomingMessage): Promise<unknown> {
	let text = "";
	for await (const chunk of request) text += String(chunk);
	return request.headers["content-type"]?.includes("json") ? z.json().parse(JSON.parse(text)) : text;
}

export async function openFakeCloud(): Promise<FakeCloud> {
	const server: Server = createServer((request, response) => {
		const url = new URL(request.url ?? "/", "http://fake");
		const asked = `${request.method} ${url.pathname}${url.search}`;
		cloud.requests.push(asked);
		void readBody(request)
			.then((body): Reply => {
				if (typeof body === "object") cloud.bodies.push(body);
				const told = cloud.intercept?.(request.method ?? "", url.pathname);
				if (told) return told;
				const found = table
					.filter((row) => row.method === request.method && row.pattern.test(url.pathname))
					.sort((a, b) => Number(b.exact) - Number(a.exact))[0];
				if (!found) return notFound("ROUTE_NOT_FOUND", `${asked} is not known.`);
				return found.answer({ cloud, path: url.pathname.split("/").slice(1), query: url.searchParams, body });
			})
			.catch((error: unknown): Reply => ({ status: 500, body: { code: "INTERNAL_ERROR", detail: String(error) } }))
			.then(({ status = 200, body }) => {
				response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body ?? {}));
			});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const cloud: FakeCloud = {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		requests: [],
		bodies: [],
		tasks: new Map([
			[ids.succeeded, taskDocument(ids.succeeded)],
			[ids.failed, failedTask()],
			[ids.running, runningTask()],
		]),
		output: new Map(),
		endpoint: endpointRow,
		explanation: { word: "block-pending", sentence: "One block is queued; the scheduler says Priority." },
		intercept: undefined,
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
	return cloud;
}

function failedTask(): rest.TaskDocument {
	const { result, ...rest } = taskDocument(ids.failed, { state: "failed", failure: thrown });
	return rest;
}

function runningTask(): rest.TaskDocument {
	const { result, ...rest } = taskDocument(ids.running, { state: "running", finished_at: null, execution: null });
	return rest;
}
